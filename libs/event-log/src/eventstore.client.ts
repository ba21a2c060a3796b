import {
  AccessDeniedError,
  type AllStreamRecordedEvent,
  type AllStreamResolvedEvent,
  BACKWARDS,
  END,
  type EventData,
  EventStoreDBClient,
  FORWARDS,
  InvalidArgumentError,
  MaxAppendSizeExceededError,
  NO_STREAM,
  type Position,
  type ReadRevision,
  type RecordedEvent,
  type ResolvedEvent,
  START,
  StreamDeletedError,
  type StreamingRead,
  StreamNotFoundError,
  streamNameFilter,
  UnsupportedError,
  WrongExpectedVersionError,
} from '@eventstore/db-client'
import { appendCredentials, checkArchiveUrl } from './archive-url.ts'
import type { AppendAnswer, Revision } from './archive-writer.ts'
import { ArchiveRefused, EventStoreUnreachable, EventStoreUrlInvalid } from './event-log-errors.ts'

export interface EventStoreOptions {
  /** How long one answer of the server is waited for. Default 10 s. */
  deadlineMs?: number
  /** How long a subscription that was lost is tried anew before the log counts as lost. Default 30 s. */
  patienceMs?: number
}

/** Where a reading of `$all` stands: after this position; `start` before everything. */
export type AllPosition = Position | 'start'

/** The calls to EventStoreDB that the log is made of, with deadlines, and with our errors instead of the client's. */
export interface EventStoreClient {
  /** Undefined when the stream has no event, or does not exist. */
  lastOf: (stream: string) => Promise<RecordedEvent | undefined>
  /** The event at a revision, or the first after it. */
  eventAt: (stream: string, revision: bigint) => Promise<RecordedEvent | undefined>
  /** From a revision (inclusive) to what is stored. */
  forwards: (stream: string, from: bigint | 'start') => AsyncGenerator<RecordedEvent, void, undefined>
  /** From the last to the first. */
  backwards: (stream: string) => AsyncGenerator<RecordedEvent, void, undefined>
  /** Every event of the server, those of other programs included. */
  all: (direction: 'forwards' | 'backwards') => AsyncGenerator<AllStreamRecordedEvent, void, undefined>
  endOfAll: () => Promise<AllPosition>
  /** Events of streams that match, after a position, those to come included. Ends with the signal. */
  subscribe: (
    pattern: RegExp,
    after: AllPosition,
    signal: AbortSignal,
  ) => AsyncGenerator<AllStreamRecordedEvent, void, undefined>
  /** @throws ArchiveRefused */
  append: (stream: string, events: EventData[], expected: Revision | 'any') => Promise<AppendAnswer>
  close: () => Promise<void>
}

/** Answers that will be the same the next time. */
const REFUSALS = [
  AccessDeniedError,
  InvalidArgumentError,
  MaxAppendSizeExceededError,
  StreamDeletedError,
  UnsupportedError,
] as const

const failureOf = (what: string, error: unknown) => {
  if (error instanceof ArchiveRefused || error instanceof EventStoreUnreachable) return error
  if (error instanceof MaxAppendSizeExceededError)
    return new ArchiveRefused(what, `more than ${error.maxAppendSize} bytes in one append (MaxAppendSize)`, error)
  const refusal = REFUSALS.find((kind) => error instanceof kind)
  return refusal === undefined
    ? new EventStoreUnreachable(what, error)
    : new ArchiveRefused(what, (error as InstanceType<typeof refusal>).type, error)
}

/**
 * Nothing is sent before the first call.
 *
 * @throws EventStoreUrlInvalid
 */
export const createEventStoreClient = (
  url: string,
  { deadlineMs = 10_000, patienceMs = 30_000 }: EventStoreOptions = {},
): EventStoreClient => {
  checkArchiveUrl(url)
  let client: EventStoreDBClient
  let credentials: ReturnType<typeof appendCredentials>
  try {
    client = EventStoreDBClient.connectionString(url)
    credentials = appendCredentials(url)
  } catch {
    // The client's own words repeat the URL with its password, so they are not kept, not even as a cause.
    throw new EventStoreUrlInvalid(
      'has an option with a value that is not taken, or that names a file which is not there',
    )
  }
  const call = { requiresLeader: true, deadline: deadlineMs, ...(credentials === undefined ? {} : { credentials }) }
  const reads = { requiresLeader: true }

  const one = async (stream: string, fromRevision: ReadRevision, direction: typeof BACKWARDS | typeof FORWARDS) => {
    const read = client.readStream(stream, { ...reads, direction, fromRevision, maxCount: 1 })
    let found: RecordedEvent | undefined
    for await (const { event } of taken(read, `reading ${stream}`, deadlineMs)) found = event
    return found
  }

  const append = async (stream: string, events: EventData[], expected: Revision | 'any'): Promise<AppendAnswer> => {
    const what = `appending to ${stream}`
    try {
      const appended = client.appendToStream(stream, events, { ...call, expectedRevision: expected })
      // Over the stream of appends the deadline is the server's to keep: one that is silent would be waited for in vain.
      const { nextExpectedRevision } = await within(appended, deadlineMs + 1_000, what)
      return { kind: 'stored', revision: nextExpectedRevision }
    } catch (error) {
      if (error instanceof WrongExpectedVersionError)
        return {
          kind: 'wrong_revision',
          actual: typeof error.actualVersion === 'bigint' ? error.actualVersion : NO_STREAM,
        }
      const failure = failureOf(what, error)
      if (failure instanceof ArchiveRefused) throw failure
      return { kind: 'unavailable', error: failure }
    }
  }

  const subscribe = async function* (pattern: RegExp, after: AllPosition, signal: AbortSignal) {
    let at = after
    let lostAt: number | undefined
    while (!signal.aborted) {
      const subscription = client.subscribeToAll({
        ...reads,
        fromPosition: at === 'start' ? START : at,
        filter: streamNameFilter({ regex: pattern.source }),
      })
      subscription.on('confirmation', () => {
        lostAt = undefined
      })
      const end = () => subscription.destroy()
      signal.addEventListener('abort', end)
      try {
        for await (const { event } of subscription as AsyncIterable<AllStreamResolvedEvent>) {
          if (event === undefined) continue
          at = event.position
          yield event
          if (signal.aborted) return
        }
      } catch (error) {
        if (signal.aborted) return
        const failure = failureOf('following', error)
        lostAt ??= performance.now()
        if (failure instanceof ArchiveRefused || performance.now() - lostAt > patienceMs) throw failure
      } finally {
        signal.removeEventListener('abort', end)
        // Left alone, the call would stay open at the server. One that never came about cannot be cancelled.
        await subscription.unsubscribe().catch(() => {})
      }
      if (!signal.aborted) await pause(RETRY_MS, signal)
    }
  }

  return {
    lastOf: (stream) => one(stream, END, BACKWARDS),
    eventAt: (stream, revision) => one(stream, revision, FORWARDS),
    forwards: async function* (stream, from) {
      const fromRevision = from === 'start' ? START : from
      const read = client.readStream(stream, { ...reads, direction: FORWARDS, fromRevision })
      for await (const { event } of taken(read, `reading ${stream}`, deadlineMs)) if (event !== undefined) yield event
    },
    backwards: async function* (stream) {
      const read = client.readStream(stream, { ...reads, direction: BACKWARDS, fromRevision: END })
      for await (const { event } of taken(read, `reading ${stream}`, deadlineMs)) if (event !== undefined) yield event
    },
    all: async function* (direction) {
      const read = client.readAll(
        direction === 'forwards'
          ? { ...reads, direction: FORWARDS, fromPosition: START }
          : { ...reads, direction: BACKWARDS, fromPosition: END },
      )
      for await (const { event } of taken(read, 'reading $all', deadlineMs)) if (event !== undefined) yield event
    },
    endOfAll: async () => {
      const read = client.readAll({ ...reads, direction: BACKWARDS, fromPosition: END, maxCount: 1 })
      let end: AllPosition = 'start'
      for await (const { event } of taken(read, 'reading the end of $all', deadlineMs))
        if (event !== undefined) end = event.position
      return end
    },
    subscribe,
    append,
    // A read that was left early and cancelled never tells the client that it is over, and the client waits for it.
    close: () => Promise.race([client.dispose(), pause(CLOSE_MS, new AbortController().signal)]),
  }
}

/** How long open calls may take to end when the client is closed. */
const CLOSE_MS = 200
/** Between two tries to subscribe again. */
const RETRY_MS = 250

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })

const within = <T>(promise: Promise<T>, ms: number, what: string): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new EventStoreUnreachable(`${what}: nothing within ${ms} ms`)), ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })

/**
 * What a read gives, nothing for a stream that does not exist. A call that is left early is cancelled, which the client
 * does not do by itself, and what has come of it is let through: one that the server had ended already, unread, would
 * never end for the client, which waits for all of them when it is closed. One that gives nothing for too long is left.
 */
const taken = async function* <T extends ResolvedEvent | AllStreamResolvedEvent>(
  read: StreamingRead<T>,
  what: string,
  deadlineMs: number,
): AsyncGenerator<T, void, undefined> {
  let waitingSince: number | undefined = performance.now()
  const watchdog = setInterval(
    () => {
      if (waitingSince !== undefined && performance.now() - waitingSince > deadlineMs)
        read.destroy(new EventStoreUnreachable(`${what}: nothing within ${deadlineMs} ms`))
    },
    Math.max(50, deadlineMs / 4),
  )
  let isOver = false
  try {
    for await (const event of read.iterator({ destroyOnReturn: false }) as AsyncIterable<T>) {
      waitingSince = undefined
      yield event
      waitingSince = performance.now()
    }
    isOver = true
  } catch (error) {
    if (error instanceof StreamNotFoundError) {
      isOver = true
      return
    }
    throw failureOf(what, error)
  } finally {
    clearInterval(watchdog)
    if (!isOver) {
      read.on('error', () => {}) // nobody is interested any more
      read.resume()
      await read.cancel().catch(() => {}) // it never came about
    }
  }
}
