import { GatewayError, parseEvent, UnknownEventVersion, UnreadableEvent, type Upcasters } from '@cloudapi2/contracts'
import { FOLDED_TYPES, foldInto, type LoggedEvent, noRows, type Rows } from '../fold.ts'

/** One event as the log keeps it. */
export interface LogRecord {
  position: number
  /** The stored JSON, of whatever version. */
  body: Uint8Array
}

/** An event that became no row. The projector has it among its dead letters. */
export interface Refused {
  position: number
  code: string
  reason: string
}

/** Rows of a piece of the log. */
export interface Batch {
  rows: Rows
  /** Records read, those that are folded into nothing included. */
  records: number
  /** Events folded. */
  events: number
  /** Their greatest position; 0: none. */
  position: number
  refused: Refused[]
  /** The folded events once more: for the day PostgreSQL refuses one of their rows. */
  replay: () => Iterable<LoggedEvent>
}

const FOLDED: ReadonlySet<unknown> = new Set<string>(FOLDED_TYPES)

const decoder = new TextDecoder()

const parsed = (body: Uint8Array): unknown => {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
  } catch {
    // The decoder of `decodeEvent` is slower, and passes over a byte order mark.
    try {
      return JSON.parse(decoder.decode(body))
    } catch (cause) {
      throw new UnreadableEvent('body: not JSON', cause)
    }
  }
}

/** The event, if it is of a type that becomes rows. @throws UnreadableEvent, UnknownEventVersion */
const readRecord = ({ position, body }: LogRecord, from: Upcasters | undefined): LoggedEvent | undefined => {
  const value = parsed(body)
  // The other types are for other readers, in versions that are no business of this one.
  if (!FOLDED.has((value as { type?: unknown } | null)?.type)) return undefined
  return { event: parseEvent(value, from), sequence: position }
}

/**
 * Folds records by the rules of the projector: one that cannot be read or folded becomes no row, and the others are as if
 * it had not been there.
 *
 * @throws UnknownEventVersion when an event is newer than this software: rows made without it would be wrong
 */
export const foldRecords = (records: readonly LogRecord[], from?: Upcasters): Batch => {
  const rows = noRows()
  const refused: Refused[] = []
  let events = 0
  let position = 0
  for (const record of records) {
    position = Math.max(position, record.position)
    try {
      const logged = readRecord(record, from)
      if (logged === undefined) continue
      foldInto(rows, logged)
      events++
    } catch (error) {
      if (error instanceof UnknownEventVersion) throw error
      refused.push(refusedOf(record.position, error))
    }
  }
  const replay = function* (): Iterable<LoggedEvent> {
    const isRefused = new Set(refused.map((one) => one.position))
    for (const record of records) {
      const logged = isRefused.has(record.position) ? undefined : readRecord(record, from)
      if (logged !== undefined) yield logged
    }
  }
  return { rows, records: records.length, events, position, refused, replay }
}

/** Reading and folding touch nothing outside the event; what is no error of ours may quote it. */
export const refusedOf = (position: number, error: unknown): Refused =>
  error instanceof GatewayError
    ? { position, code: error.code, reason: error.message }
    : { position, code: 'UNFORESEEN', reason: error instanceof Error ? error.name : 'not an error' }
