import { type ChainState, extendChain, startChain } from '@cloudapi2/audit'
import { AuditAnchoredData, eventId, newEvent, type StoredEvent, SYSTEM_CHANNEL } from '@cloudapi2/contracts'
import type { LogEvent } from '../log-event.ts'

export const ANCHOR_TYPE = 'audit.anchored'

/** What there is to know of a company in order to write its next anchor. */
export interface CompanyChain {
  companyId: string
  /** Over every event of the company that was read, anchors included. */
  chain: ChainState
  /** The position that its newest anchor tells of; 0: it has none. */
  anchoredUpTo: number
  /** The position of that anchor itself; 0: it has none. */
  anchorAt: number
  /** When that anchor was stored, milliseconds since 1970. */
  anchorStoredMs: number
  /** The position of its newest event that is no anchor. */
  lastNews: number
  /** When the first event that no anchor tells of was stored, milliseconds since 1970; undefined: there is none. */
  newsSinceMs: number | undefined
}

export const newCompany = (companyId: string): CompanyChain => ({
  companyId,
  chain: startChain(companyId),
  anchoredUpTo: 0,
  anchorAt: 0,
  anchorStoredMs: 0,
  lastNews: 0,
  newsSinceMs: undefined,
})

/** An anchor as it lies in the log. */
export interface StoredAnchor {
  /** Its own position. */
  at: number
  storedAtMs: number
  data: AuditAnchoredData
}

/** A company as its newest anchor tells of it: nothing before that position has to be read again. */
export const fromAnchor = (companyId: string, { at, storedAtMs, data }: StoredAnchor): CompanyChain => ({
  ...newCompany(companyId),
  chain: { position: data.position, events: data.events, head: data.head },
  anchoredUpTo: data.position,
  anchorAt: at,
  anchorStoredMs: storedAtMs,
})

/** Takes up the company's next event. One that was taken up before changes nothing. */
export const extend = (company: CompanyChain, event: LogEvent): CompanyChain => {
  if (event.position <= company.chain.position) return company
  const chain = extendChain(company.chain, event)
  const anchor = event.type === ANCHOR_TYPE ? anchorIn(event.body) : undefined
  if (anchor !== undefined) {
    const anchoredUpTo = Math.max(company.anchoredUpTo, anchor.position)
    return {
      ...company,
      chain,
      anchoredUpTo,
      anchorAt: event.position,
      anchorStoredMs: event.storedAtMs,
      newsSinceMs: company.lastNews > anchoredUpTo ? (company.newsSinceMs ?? event.storedAtMs) : undefined,
    }
  }
  return { ...company, chain, lastNews: event.position, newsSinceMs: company.newsSinceMs ?? event.storedAtMs }
}

/** An anchor of this company for these events was stored: what comes from now on is news. */
export const anchored = (company: CompanyChain, upTo: number, nowMs: number): CompanyChain => ({
  ...company,
  anchoredUpTo: Math.max(company.anchoredUpTo, upTo),
  anchorStoredMs: nowMs,
  newsSinceMs: company.lastNews > upTo ? nowMs : undefined,
})

/**
 * An anchor is written when the oldest event without one has waited so long. Never for anchors alone; unless the log keeps
 * events for a time only: then the newest anchor of a company that is silent is told again before it is too old, because
 * the chain goes on from it.
 *
 * @param logAgeMs how long the log keeps events; 0: for ever
 */
export const isDue = (company: CompanyChain, nowMs: number, intervalMs: number, logAgeMs = 0): boolean => {
  const { newsSinceMs, anchorAt, anchorStoredMs } = company
  if (newsSinceMs !== undefined) return nowMs - newsSinceMs >= intervalMs
  return logAgeMs > 0 && anchorAt > 0 && nowMs - anchorStoredMs >= logAgeMs / 2
}

/** What no chain needs any more: everything up to here is told of by the newest anchor of its company. */
export const anchoredByAll = (companies: Iterable<CompanyChain>, position: number): number => {
  let least = position
  for (const { anchoredUpTo } of companies) least = Math.min(least, anchoredUpTo)
  return least
}

/** The event that tells of the chain as it stands. Its id is made of company and position: one for each, for ever. */
export const anchorOf = ({ companyId, chain }: CompanyChain, nowMs: number): StoredEvent<typeof ANCHOR_TYPE> => {
  const now = new Date(nowMs).toISOString()
  return newEvent({
    id: eventId(companyId, ANCHOR_TYPE, companyId, String(chain.position)),
    source: '/archiver',
    type: ANCHOR_TYPE,
    subject: companyId,
    time: now,
    companyId,
    channel: SYSTEM_CHANNEL,
    recordedTime: now,
    data: { chain: 1, position: chain.position, events: chain.events, head: chain.head },
  })
}

const decoder = new TextDecoder()

/** What an anchor says; undefined for a body that is none, which then is an event like others. */
export const anchorIn = (body: Uint8Array): AuditAnchoredData | undefined => {
  try {
    return AuditAnchoredData.safeParse((JSON.parse(decoder.decode(body)) as { data?: unknown } | null)?.data).data
  } catch {
    return undefined
  }
}
