import { setTimeout as pause } from 'node:timers/promises'
import { GatewayError, type InvalidField, TRACEPARENT_HEADER } from '@cloudapi2/contracts'
import { eventPublication, type KvBucket, KvConflict, type Nats, type Publisher } from '@cloudapi2/nats'
import { type Counter, type Logger, traceparentFrom } from '@cloudapi2/service-kit'
import {
  type CompanyRecord,
  decodeCompanyRecord,
  encodeCompanyRecord,
  isRemoved,
  type SecretsKeys,
  UnreadableCompanyRecord,
} from '@cloudapi2/tenants'
import type { CompaniesStore } from '../companies/companies.store.ts'
import { type Company, problemsOf, recordOf } from '../companies/company.ts'
import { DatabaseUnavailable } from '../database/database.client.ts'
import { decideBroadcast } from './broadcast.ts'

/** The services could not be told. The table has the truth; the next compare tells them. */
export class BroadcastFailed extends GatewayError {
  constructor(reason: string, cause?: unknown) {
    super(`the services could not be told: ${reason}`, { code: 'BROADCAST_FAILED', retryable: true, cause })
  }
}

/**
 * `kept`: the row has faults, and the services keep the last good settings. `unusable`: it has faults, and they know nothing
 * of the company.
 */
export type BroadcastOutcome = 'unchanged' | 'configured' | 'removed' | 'kept' | 'unusable'

export interface Broadcaster {
  /**
   * Brings what the services were told of a company to what the table says. Resolves when it is stored for them.
   *
   * @throws BroadcastFailed, DatabaseUnavailable
   */
  broadcast: (companyId: string, traceparent?: string) => Promise<BroadcastOutcome>
  /** What keeps a row from being told. Its problems are logged when they are new. */
  faultsOf: (company: Company) => readonly InvalidField[]
  /** How many companies have problems in their rows, as last seen. */
  withProblems: () => number
}

/** Each try reads everything again; more rivals than this at once mean that something else is wrong. */
const MAX_TRIES = 8
const RETRY_MS = 25

/** The record in the bucket; an unreadable one counts as none, and is written over. */
export const knownRecord = (companyId: string, value: Uint8Array | undefined): CompanyRecord | undefined => {
  if (value === undefined) return undefined
  try {
    return decodeCompanyRecord(companyId, value)
  } catch (error) {
    if (error instanceof UnreadableCompanyRecord) return undefined
    throw error
  }
}

/** What to tell of a row: with faults in it, the settings known last, with the API keys of now, so that a revoked one ends. */
export const wantedRecord = (company: Company, faults: readonly InvalidField[], known: CompanyRecord | undefined) => {
  if (faults.length === 0) return recordOf(company)
  if (known === undefined || isRemoved(known)) return undefined
  return { ...known, api_keys: company.apiKeys }
}

export const createBroadcaster = ({
  store,
  kv,
  nats,
  publisher,
  keys,
  log,
  broadcasts,
  now,
}: {
  store: CompaniesStore
  kv: KvBucket
  nats: Nats
  publisher: Publisher
  keys: SecretsKeys
  log: Logger
  broadcasts: Counter<'outcome'>
  now: () => Date
}): Broadcaster => {
  const turns = new Map<string, Promise<unknown>>()
  const problemsTold = new Map<string, string>()

  const faultsOf = (company: Company) => {
    const { faults, unreadable } = problemsOf(keys, company)
    const problems = [...faults, ...unreadable].map(({ path, message }) => `${path}: ${message}`)
    const told = JSON.stringify(problems)
    // Once per state, not once per compare.
    if (problems.length > 0 && problemsTold.get(company.id) !== told)
      log.error({ event: 'company.has_problems', company_id: company.id, usable: faults.length === 0, problems })
    if (problems.length === 0) problemsTold.delete(company.id)
    else problemsTold.set(company.id, told)
    return faults
  }

  const tell = async (companyId: string, traceparent: string | undefined): Promise<BroadcastOutcome> => {
    // What the services have is read before the row, and replaced only if it is still that: of two processes at work, the
    // one that saw the older row also saw the older record, and its write is refused.
    const entry = await kv.get(companyId)
    const known = knownRecord(companyId, entry?.value)
    const company = await store.getSealed(companyId)
    const faults = company === undefined ? [] : faultsOf(company)
    if (company === undefined) {
      problemsTold.delete(companyId)
      await store.forgetApiKeysOfAbsent(companyId)
    }
    const wanted = company && wantedRecord(company, faults, known)
    if (company !== undefined && wanted === undefined) return 'unusable'
    const broadcast = decideBroadcast({ keys, known, wanted, now: now() })
    if (broadcast === undefined) return faults.length > 0 ? 'kept' : 'unchanged'
    const { event, record } = broadcast
    // The event first: once the record is there, nothing would remind anybody of an event that is not.
    if (event !== undefined)
      await publisher.publish(
        eventPublication(event, { [TRACEPARENT_HEADER]: traceparent ?? traceparentFrom(undefined) }),
      )
    const value = encodeCompanyRecord(record)
    if (entry === undefined) await kv.create(companyId, value)
    else await kv.update(companyId, value, entry.revision)
    log.info({
      event: 'company.broadcast',
      company_id: companyId,
      outcome: event?.type ?? 'sealed again',
      ...(event?.type === 'tenant.configured' ? { changed: event.data.changed } : {}),
    })
    if (isRemoved(record)) return 'removed'
    return faults.length > 0 ? 'kept' : 'configured'
  }

  const attempt = async (companyId: string, traceparent: string | undefined): Promise<BroadcastOutcome> => {
    for (let tries = 1; ; tries++) {
      if (!nats.isConnected()) throw new BroadcastFailed('no connection to NATS')
      try {
        const outcome = await tell(companyId, traceparent)
        broadcasts.inc({ outcome })
        return outcome
      } catch (error) {
        if (error instanceof KvConflict && tries < MAX_TRIES) {
          await pause(RETRY_MS * tries)
          continue
        }
        broadcasts.inc({ outcome: 'failed' })
        if (error instanceof DatabaseUnavailable) throw error
        throw new BroadcastFailed(error instanceof Error ? error.message : String(error), error)
      }
    }
  }

  return {
    broadcast: (companyId, traceparent) => {
      const before = turns.get(companyId) ?? Promise.resolve()
      const turn = before.then(() => attempt(companyId, traceparent))
      const settled = turn.catch(() => {}) // its caller hears of it; the next in line does not care
      turns.set(companyId, settled)
      void settled.then(() => {
        if (turns.get(companyId) === settled) turns.delete(companyId)
      })
      return turn
    },
    faultsOf,
    withProblems: () => problemsTold.size,
  }
}
