import {
  EVENTS,
  eventPublication,
  followStream,
  lookUpMessage,
  type Nats,
  type Publisher,
  PublishFailed,
  trimmableLog,
} from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import { logEventOf } from '../log-event.ts'
import { repeatedly } from '../repeatedly.ts'
import { anchored, anchoredByAll, anchorOf, type CompanyChain, extend, isDue, newCompany } from './company-chain.ts'
import { anchorSubject, findLogStart } from './log-start.client.ts'

export interface AnchorsDeps {
  nats: Nats
  publisher: Publisher
  log: Logger
  /** How long an event waits for an anchor at most. */
  intervalMs: number
  now: () => number
  /** For metrics: an anchor was written. */
  onAnchor: () => void
  /** The position up to which the chains are made. */
  onPosition: (position: number) => void
  /** Every event up to here is told of by an anchor: no chain needs it any more. */
  onAnchored: (position: number) => void
}

/** How often it is looked whose anchor is due, unless the interval is shorter. */
const LOOK_MS = 5_000
/** Anchors on their way at the same time. */
const AT_ONCE = 32

/**
 * Makes the hash chain of every company as its events come, and writes its head into the log. Runs until the signal aborts;
 * throws when the log is lost, and finds in the log where to go on when it is called again.
 */
export const writeAnchors = async (deps: AnchorsDeps, signal: AbortSignal): Promise<void> => {
  const { nats, log, intervalMs, now } = deps
  const { companies, after } = await findLogStart(nats)
  log.info({ event: 'anchors.started', companies: companies.size, after })
  let position = after
  let roundAt = now()
  deps.onPosition(position)

  const round = async (): Promise<void> => {
    deps.onAnchored(anchoredByAll(companies.values(), position))
    const { last, age } = await trimmableLog(nats, EVENTS)
    const due = [...companies.values()].filter((company) => isDue(company, now(), intervalMs, age.maxAgeMs))
    if (due.length === 0) return
    // One that reads a long log for the first time has something due all the time; an anchor for each interval will do.
    const isBehind = position < last
    if (isBehind && now() - roundAt < intervalMs) return
    roundAt = now()
    const next = due.values()
    const work = async () => {
      for (const company of next) await write(company)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
  }

  const write = async (company: CompanyChain): Promise<void> => {
    const { companyId, anchorAt } = company
    const anchor = anchorOf(company, now())
    const upTo = anchor.data.position
    try {
      await deps.publisher.publish(
        // Whoever else wrote one first has it: there is one anchor after another, never two for the same.
        eventPublication(anchor, { 'Nats-Expected-Last-Subject-Sequence': String(anchorAt) }),
      )
    } catch (error) {
      if (!(error instanceof PublishFailed)) throw error
      log.warn({ event: 'anchor.not_written', company_id: companyId, position: upTo, reason: error.message })
      return await learnAnchor(company)
    }
    deps.onAnchor()
    log.info({ event: 'anchor.written', company_id: companyId, position: upTo, events: anchor.data.events })
    companies.set(companyId, anchored(companies.get(companyId) ?? company, upTo, now()))
  }

  /** An anchor that was not expected is about to be read; one that was expected may have been too old for the log. */
  const learnAnchor = async ({ companyId, anchorAt }: CompanyChain): Promise<void> => {
    const newest = await lookUpMessage(nats, EVENTS, { lastOn: anchorSubject(companyId) })
    const company = companies.get(companyId)
    if (company !== undefined && newest === undefined && company.anchorAt === anchorAt)
      companies.set(companyId, { ...company, anchorAt: 0 })
  }

  const ending = new AbortController()
  const stopping = AbortSignal.any([signal, ending.signal])
  const rounds = repeatedly(Math.min(LOOK_MS, Math.max(20, intervalMs / 4)), stopping, async () => {
    await round().catch((err: unknown) => log.warn({ event: 'anchors.round_failed', err }))
  })
  try {
    for await (const messages of followStream(nats, EVENTS, { after, signal })) {
      for (const message of messages) {
        const event = logEventOf(message)
        companies.set(event.companyId, extend(companies.get(event.companyId) ?? newCompany(event.companyId), event))
        position = event.position
      }
      deps.onPosition(position)
    }
  } finally {
    ending.abort()
    await rounds
  }
}
