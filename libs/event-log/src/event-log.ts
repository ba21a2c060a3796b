import type { StoredEvent } from '@cloudapi2/contracts'

/** One event as it is stored. */
export interface LogEntry {
  /**
   * Its place in the log, from 1. Of one company it grows with every event, and is the same in every log that holds a copy:
   * what is read from the archive can be held against what is read from EVENTS.
   */
  position: number
  /** The stored JSON, of whatever version it was written in. `decodeEvent` reads it. */
  body: Uint8Array
}

/** What is asked of a log. Everything given must hold. */
export interface LogQuery {
  /** A company, or `_` for what belongs to none. Left out: all. */
  companyId?: string
  types?: readonly string[]
  /** The channel's id of a message: every event that names it, its command's included. */
  messageId?: string
  /** By `recordedtime`, the moment the event was recorded: from (inclusive) … */
  from?: Date
  /** … to (exclusive). */
  to?: Date
  /** Positions greater than this. */
  after?: number
  /** Positions up to and including this. */
  upTo?: number
}

/** Positions of a log's first and last event; 0 and 0 when it is empty. */
export interface LogExtent {
  first: number
  last: number
}

/**
 * The log as everybody who reads it sees it, whatever it is kept in. Events come in the order of their positions within a
 * company; between companies no order is promised.
 */
export interface EventLog {
  readonly kind: 'jetstream' | 'eventstore'
  /**
   * Stores events, each once: one whose id the log has seen before stores nothing.
   *
   * @returns the position of each, of a repeat that of its first copy
   */
  append: (events: readonly StoredEvent[]) => Promise<number[]>
  /** What is stored by now. Ends. */
  read: (query: LogQuery, options?: { signal?: AbortSignal }) => AsyncIterable<LogEntry>
  /** What is stored, then what comes, until the signal aborts (it ends quietly then) or the log is lost (it throws). */
  follow: (query: Omit<LogQuery, 'upTo' | 'to'>, options: { signal: AbortSignal }) => AsyncIterable<LogEntry>
  extent: () => Promise<LogExtent>
  close: () => Promise<void>
}
