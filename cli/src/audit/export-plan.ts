import { type ChainState, extendChain, startChain } from '@cloudapi2/audit'
import {
  decodeEvent,
  GatewayError,
  type GatewayEvent,
  UnknownEventVersion,
  UnreadableEvent,
} from '@cloudapi2/contracts'
import type { EventLog, LogEntry } from '@cloudapi2/event-log'
import { companyNotInLog, firstOf } from '../company-in-log.ts'

/** What is asked for. */
export interface ExportRange {
  companyId: string
  from?: Date
  to?: Date
}

/** Where the chain begins, and which part of it is written. */
export interface ExportPlan {
  /** The chain before the first event that is read. */
  from: ChainState
  start: 'first_event' | 'anchor'
  /** Position of the first event that is written, and of the last; the latter absent: up to the end. */
  first: number
  last?: number
  /** What the log itself recorded of the chain. */
  anchors: Anchor[]
}

/** A recorded head, as `audit.anchored` has it. */
export interface Anchor extends ChainState {
  recordedAt: string
  /** Where it stands in the log itself. */
  at: number
}

const refused = (code: string, message: string) => new GatewayError(message, { code, retryable: false })
export const interrupted = () => refused('AUDIT_INTERRUPTED', 'interrupted: no export was written')

/**
 * Finds out what an export has to read. A time asked for becomes a stretch of positions: from the first event that was recorded in
 * it to the last, with whatever stands between, because a chain with holes proves nothing.
 *
 * @throws GatewayError COMPANY_NOT_IN_LOG, AUDIT_NOTHING_IN_RANGE, AUDIT_BEGINNING_LOST
 */
export const planExport = async (log: EventLog, range: ExportRange, signal: AbortSignal): Promise<ExportPlan> => {
  const { companyId } = range
  const stretch = await stretchOf(log, range, signal)
  // A reading that is aborted ends as if there were no more.
  if (signal.aborted) throw interrupted()
  if (stretch === undefined) {
    const isKnown = (await firstOf(log.read({ companyId }, { signal }))) !== undefined
    if (!isKnown) throw companyNotInLog(companyId)
    throw refused('AUDIT_NOTHING_IN_RANGE', `no event of company ${companyId} was recorded in this time`)
  }
  const anchors = await anchorsOf(log, companyId, signal)
  const begin = await beginOf(log, companyId, stretch.first, anchors, signal)
  if (signal.aborted) throw interrupted()
  return { ...begin, ...stretch, anchors }
}

const stretchOf = async (
  log: EventLog,
  { companyId, from, to }: ExportRange,
  signal: AbortSignal,
): Promise<{ first: number; last?: number } | undefined> => {
  const times = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  let first: number | undefined
  let last = 0
  for await (const { position } of log.read({ companyId, ...times }, { signal })) {
    first ??= position
    last = position
    // Without an end in time, the last one is the log's last.
    if (to === undefined) break
  }
  if (first === undefined) return undefined
  return to === undefined ? { first } : { first, last }
}

const beginOf = async (
  log: EventLog,
  companyId: string,
  firstWritten: number,
  anchors: readonly Anchor[],
  signal: AbortSignal,
): Promise<Pick<ExportPlan, 'from' | 'start'>> => {
  const { first } = await log.extent()
  if (first <= 1 || (await hasBeginning(log, companyId, anchors[0], signal)))
    return { from: startChain(companyId), start: 'first_event' }
  // What an anchor is about may have left the log; all that follows it must be there.
  const usable = anchors.filter(({ position }) => position >= first - 1)
  const newest = usable.findLast(({ position }) => position < firstWritten)
  if (newest === undefined) {
    const advice = [
      usable[0] === undefined ? [] : [`ask for --from ${usable[0].recordedAt} or later`],
      log.kind === 'jetstream' ? ['read the archive with --source eventstore'] : [],
    ].flat()
    throw refused(
      'AUDIT_BEGINNING_LOST',
      `the log begins at position ${first}, and what the company had before is gone; no recorded head before the range can stand in for it${advice.length === 0 ? '' : `: ${advice.join(', or ')}`}`,
    )
  }
  return { from: { position: newest.position, events: newest.events, head: newest.head }, start: 'anchor' }
}

/** A log that lost its beginning may have lost other companies' events alone. The first anchor tells. */
const hasBeginning = async (
  log: EventLog,
  companyId: string,
  anchor: Anchor | undefined,
  signal: AbortSignal,
): Promise<boolean> => {
  if (anchor === undefined) return false
  let chain = startChain(companyId)
  for await (const entry of log.read({ companyId, upTo: anchor.position }, { signal }))
    chain = extendChain(chain, entry)
  return chain.events === anchor.events && chain.head === anchor.head
}

/** The heads that were recorded of a company, in the order of the positions that they are about. */
export const anchorsOf = async (log: EventLog, companyId: string, signal: AbortSignal): Promise<Anchor[]> => {
  const anchors: Anchor[] = []
  for await (const entry of log.read({ companyId, types: ['audit.anchored'] }, { signal })) {
    const anchor = anchorOf(entry)
    if (anchor !== undefined) anchors.push(anchor)
  }
  return anchors.sort((a, b) => a.position - b.position)
}

const anchorOf = ({ position: at, body }: LogEntry): Anchor | undefined => {
  const event = readEvent(body)
  if (event?.type !== 'audit.anchored') return undefined
  const { position, events, head } = event.data
  return { position, events, head, recordedAt: event.recordedtime, at }
}

/** What nobody can read records nothing. It is in the chain all the same. */
const readEvent = (body: Uint8Array): GatewayEvent | undefined => {
  try {
    return decodeEvent(body)
  } catch (error) {
    if (error instanceof UnreadableEvent || error instanceof UnknownEventVersion) return undefined
    throw error
  }
}
