import { GatewayError } from '@cloudapi2/contracts'
import type { KvBucket } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import { isRemoved, type SecretsKeys, sealProperties } from '@cloudapi2/tenants'
import type { CompaniesStore } from '../companies/companies.store.ts'
import { type Company, propertiesOf } from '../companies/company.ts'
import { type Broadcaster, knownRecord, wantedRecord } from './broadcast.handler.ts'
import { decideBroadcast } from './broadcast.ts'

export interface Reconciler {
  /** Something may have changed about this company: it will be looked at soon. */
  changed: (companyId: string) => void
  /** All companies will be compared soon. `asking`: with what the bucket says when asked, not with what it told us. */
  compare: (how?: { asking: boolean }) => void
  /** False until all companies were compared, and told where they differed, once. */
  hasCompared: () => boolean
  stop: () => Promise<void>
}

const PAGE = 500
/** Broadcasts at once: enough to be quick, few enough to leave connections for requests. */
const WORKERS = 4
/** After a compare that did not get through. */
const RETRY_MS = 2_000

/**
 * Keeps what the services were told the same as the table, whoever writes to it: at once where a change is heard of, and
 * by comparing everything every `intervalMs`.
 */
export const createReconciler = ({
  store,
  kv,
  broadcaster,
  keys,
  log,
  intervalMs,
}: {
  store: CompaniesStore
  kv: KvBucket
  broadcaster: Broadcaster
  keys: SecretsKeys
  log: Logger
  intervalMs: number
}): Reconciler => {
  /** What the bucket told: as good as asking it, in the long run, and no work for anybody. */
  const mirror = new Map<string, Uint8Array>()
  const pending = new Set<string>()
  const working = new Set<Promise<void>>()
  let isStopped = false
  let isMirrorComplete = false
  let hasCompared = false
  let wantsCompare: 'no' | 'mirror' | 'asking' = 'no'
  let comparing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let stopWatch: (() => void) | undefined

  /** False when it failed; that is logged here, and the next compare tries again. */
  const tell = async (companyId: string): Promise<boolean> => {
    try {
      await broadcaster.broadcast(companyId)
      return true
    } catch (error) {
      log.error({ event: 'company.broadcast_failed', company_id: companyId, ...describe(error) })
      return false
    }
  }

  const work = () => {
    for (const companyId of pending) {
      if (working.size >= WORKERS || isStopped) return
      pending.delete(companyId)
      const job = tell(companyId).then(() => {
        working.delete(job)
        work()
      })
      working.add(job)
    }
  }

  const differs = (company: Company): boolean => {
    if (sealProperties(keys, company.id, propertiesOf(company)).sealed.length > 0) return true
    const faults = broadcaster.faultsOf(company)
    const known = knownRecord(company.id, mirror.get(company.id))
    const wanted = wantedRecord(company, faults, known)
    return decideBroadcast({ keys, known, wanted, now: company.updatedAt }) !== undefined
  }

  /** Tells all that differ, a few at a time. Returns how many could not be told. */
  const tellAll = async (companyIds: readonly string[]): Promise<number> => {
    const rest = companyIds.values()
    let failed = 0
    const worker = async () => {
      for (const companyId of rest) {
        if (isStopped) return
        if (!(await tell(companyId))) failed++
      }
    }
    await Promise.all(Array.from({ length: WORKERS }, worker))
    return failed
  }

  const compareAll = async (asking: boolean): Promise<void> => {
    const startedAt = performance.now()
    // Taken first: a company that is told of while the table is read is not mistaken for one without a row.
    const orphans = new Set(
      [...mirror].flatMap(([companyId, value]) => {
        const record = knownRecord(companyId, value)
        return record === undefined || isRemoved(record) ? [] : [companyId]
      }),
    )
    const different: string[] = []
    let count = 0
    let afterId: string | undefined
    for (;;) {
      const page = await store.list({ limit: PAGE, ...(afterId === undefined ? {} : { afterId }) })
      for (const company of page) {
        orphans.delete(company.id)
        if (asking || differs(company)) different.push(company.id)
      }
      count += page.length
      afterId = page.at(-1)?.id
      if (page.length < PAGE || isStopped) break
    }
    // Removing a company makes Meta's webhooks for it 404: the wrong database, or one not restored yet, must not do that to
    // all. Whoever empties the table on purpose, while this runs, is heard by the triggers.
    if (!hasCompared && count === 0 && orphans.size > 1) throw new CompaniesTableEmpty(orphans.size)
    const failed = await tellAll([...different, ...orphans])
    log[failed > 0 ? 'error' : 'debug']({
      event: 'companies.compared',
      count,
      told: different.length + orphans.size,
      failed,
      duration_ms: Math.round(performance.now() - startedAt),
    })
    if (failed > 0) throw new CompareIncomplete(failed)
  }

  const run = () => {
    if (comparing !== undefined || isStopped || !isMirrorComplete || wantsCompare === 'no') return
    const asking = wantsCompare === 'asking'
    wantsCompare = 'no'
    clearTimeout(timer)
    comparing = compareAll(asking)
      .then(
        () => {
          hasCompared = true
          return { delayMs: intervalMs, again: false }
        },
        (error: unknown) => {
          if (!(error instanceof CompareIncomplete))
            log.error({ event: 'companies.compare_failed', ...describe(error) })
          return { delayMs: Math.min(RETRY_MS, intervalMs), again: asking }
        },
      )
      .then(({ delayMs, again }) => {
        comparing = undefined
        if (isStopped) return
        timer = setTimeout(() => compare({ asking: again }), delayMs)
        timer.unref()
        run() // when it was asked for meanwhile
      })
  }

  const compare = ({ asking }: { asking: boolean } = { asking: false }) => {
    if (asking) wantsCompare = 'asking'
    else if (wantsCompare === 'no') wantsCompare = 'mirror'
    run()
  }

  const watch = () => {
    kv.watch({
      onValue: (companyId, value) => {
        if (value === undefined) mirror.delete(companyId)
        else mirror.set(companyId, value.value)
      },
      onCurrent: () => {
        isMirrorComplete = true
        // Also when it is told everything again: a compare that ran before that did not know what is in the bucket now.
        compare()
      },
    }).then(
      (stop) => {
        if (isStopped) stop()
        else stopWatch = stop
      },
      (error: unknown) => {
        log.error({ event: 'companies.watch_failed', ...describe(error) })
        if (!isStopped) setTimeout(watch, RETRY_MS).unref()
      },
    )
  }
  watch()

  return {
    changed: (companyId) => {
      pending.add(companyId)
      work()
    },
    compare,
    hasCompared: () => hasCompared,
    stop: async () => {
      isStopped = true
      clearTimeout(timer)
      stopWatch?.()
      await Promise.all([...working, comparing])
    },
  }
}

/** The table has no company, the services know several: more likely the wrong table than the end of all of them. */
class CompaniesTableEmpty extends GatewayError {
  constructor(known: number) {
    super(
      `the table companies is empty, but ${known} companies were broadcast: check DATABASE_URL; nothing was removed`,
      { code: 'COMPANIES_TABLE_EMPTY', retryable: true },
    )
  }
}

/** Some companies could not be told; each has its own line in the log. */
class CompareIncomplete extends GatewayError {
  constructor(failed: number) {
    super(`${failed} companies could not be told`, { code: 'COMPARE_INCOMPLETE', retryable: true })
  }
}

const describe = (error: unknown) =>
  error instanceof GatewayError ? { code: error.code, reason: error.message } : { err: error }
