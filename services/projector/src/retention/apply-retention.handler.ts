import { setTimeout as wait } from 'node:timers/promises'
import type { Publisher } from '@cloudapi2/nats'
import {
  addRemoved,
  isAnything,
  NOTHING_REMOVED,
  type Removed,
  type RetentionRun,
  type RetentionStore,
  type Sweeper,
} from '@cloudapi2/read-model'
import type { Logger } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import { pauseAfter } from './pace.ts'
import { retentionApplied } from './retention-applied.ts'
import type { RetentionMetrics } from './retention-metrics.ts'
import { type PlannedSweep, planSweeps } from './retention-plan.ts'

export interface ApplyRetentionDeps {
  store: RetentionStore
  tenants: Pick<TenantDirectory, 'all'>
  publisher: Pick<Publisher, 'publish'>
  /** Rows per transaction. */
  batchSize: number
  metrics: RetentionMetrics
  log: Logger
  now: () => number
  stopping: AbortSignal
}

/**
 * One run over all companies: removes what is older than they keep it, in small batches with pauses between, and tells the
 * log of each company what was removed. Killed anywhere, the next run goes on and tells of both.
 *
 * @returns false when another process is at it
 * @throws when PostgreSQL or the log is away: the next run goes on where this one ended
 */
export const applyRetention = (deps: ApplyRetentionDeps) => {
  const { store, tenants, publisher, batchSize, metrics, log, now, stopping } = deps

  const tell = async (sweeper: Sweeper, run: RetentionRun): Promise<void> => {
    await publisher.publish(retentionApplied(run, now()))
    await sweeper.told(run)
    metrics.removed(run.removed)
    log.info({ event: 'retention.applied', company_id: run.company_id, before: run.before, ...run.removed })
  }

  /** False: it was told to stop. */
  const sweepCompany = async (sweeper: Sweeper, planned: PlannedSweep): Promise<boolean> => {
    const sweep = { ...planned, batchSize }
    const startedAt = performance.now()
    let removed: Removed = NOTHING_REMOVED
    let batches = 0
    let batchStartedAt = startedAt
    for await (const step of sweeper.sweep(sweep)) {
      const tookMs = performance.now() - batchStartedAt
      metrics.batch(tookMs / 1_000)
      removed = addRemoved(removed, step)
      batches += 1
      if (stopping.aborted) return false
      await wait(pauseAfter(tookMs), undefined, { signal: stopping }).catch(() => {}) // stopped: seen above next time
      batchStartedAt = performance.now()
    }
    const run = await sweeper.finish(sweep)
    if (run !== undefined) await tell(sweeper, run)
    else if (isAnything(removed))
      log.info({
        event: 'retention.swept',
        company_id: planned.companyId,
        before: planned.before,
        ...removed,
        batches,
        duration_ms: Math.round(performance.now() - startedAt),
      })
    return true
  }

  return (): Promise<boolean> =>
    store.alone(async (sweeper) => {
      for (const run of await sweeper.untold()) await tell(sweeper, run)
      for (const planned of planSweeps(tenants.all(), await sweeper.watermarks(), now())) {
        if (stopping.aborted || !(await sweepCompany(sweeper, planned))) return
      }
    })
}
