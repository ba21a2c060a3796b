import { deterministicId, encodeEvent, type StoredEvent } from '@cloudapi2/contracts'
import { jsonEvent, type RecordedEvent } from '@eventstore/db-client'
import { archiveStream, catalogueOf, companyOfStream, streamPattern } from './archive-streams.ts'
import {
  type AppendAnswer,
  type ArchiveEntry,
  type ArchiveWriter,
  archiveRuns,
  type Revision,
} from './archive-writer.ts'
import { fromArchived, positionOf, toArchived } from './archived-event.ts'
import type { EventLog, LogEntry, LogQuery } from './event-log.ts'
import { ArchiveRefused, EventStoreUnreachable } from './event-log-errors.ts'
import { createEventStoreClient, type EventStoreClient, type EventStoreOptions } from './eventstore.client.ts'
import { type CommandsOfMessage, commandsOfMessage, isAskedFor, isVoid, LINKING_TYPES, type Told } from './log-query.ts'

/** The archive: a log that holds a copy of EVENTS, and what the copy is made with. */
export type ArchiveLog = EventLog & ArchiveWriter

/**
 * The log in EventStoreDB. Nothing is sent before the first call, so a server that is away is no error yet; each call
 * then ends with EventStoreUnreachable within its deadline.
 *
 * Positions are those in EVENTS, which the archiver keeps with each event. What `append` stores itself has none there and
 * gets the next one of its company; it looks through a whole stream for repeats, and one process at a time may do so.
 *
 * @param url `esdb://…`, as the server's own client takes it. Its user must be allowed to read `$all`
 * @throws EventStoreUrlInvalid
 */
export const connectEventStore = (url: string, options: EventStoreOptions = {}): ArchiveLog => {
  const client = createEventStoreClient(url, options)
  const writer = archiveWriter(client)
  let appending: Promise<unknown> = Promise.resolve()
  return {
    kind: 'eventstore',
    append: (events) => {
      const done = appending.then(() => appendHere(client, writer, events))
      appending = done.catch(() => {}) // told to its own caller
      return done
    },
    read: (query, { signal } = {}) => read(client, query, signal),
    follow: (query, { signal }) => follow(client, query, signal),
    extent: () => extentOf(client),
    close: client.close,
    ...writer,
  }
}

const archiveWriter = (client: EventStoreClient): ArchiveWriter => {
  /** Streams that their company's catalogue is known to name. */
  const named = new Set<string>()

  /** Undefined when it is there now; otherwise what went wrong. */
  const nameInCatalogue = async (stream: string): Promise<AppendAnswer | undefined> => {
    const companyId = companyOfStream(stream)
    if (companyId === undefined)
      throw new ArchiveRefused(stream, 'a stream of the archive is named <channel>-<company_id>')
    if (named.has(stream)) return undefined
    const known = await streamsOf(client, companyId).catch((error: unknown) => {
      if (error instanceof EventStoreUnreachable) return { kind: 'unavailable' as const, error }
      throw error
    })
    if ('kind' in known) return known
    if (!known.includes(stream)) {
      const opened = jsonEvent({ id: deterministicId('archive stream', stream), type: OPENED, data: { stream } })
      // Two writers may name it at once: twice is no harm.
      const answer = await client.append(catalogueOf(companyId), [opened], 'any')
      if (answer.kind !== 'stored') return answer
    }
    named.add(stream)
    return undefined
  }

  return {
    lastPositionIn: async (stream) => {
      const last = await client.lastOf(stream)
      if (last === undefined) return { position: 0, revision: 'no_stream' }
      const { id } = toldOf(last) ?? {}
      return { position: positionOf(last), revision: last.revision, ...(typeof id === 'string' ? { id } : {}) }
    },
    appendAt: async (stream, entries, expected) => {
      const events = entries.map((entry) => toArchived(entry, stream))
      return (await nameInCatalogue(stream)) ?? (await client.append(stream, events, expected))
    },
  }
}

const OPENED = 'stream.opened'

const streamsOf = async (client: EventStoreClient, companyId: string): Promise<string[]> => {
  const streams = new Set<string>()
  for await (const { data } of client.forwards(catalogueOf(companyId), 'start')) {
    const { stream } = data as { stream?: unknown }
    if (typeof stream === 'string' && companyOfStream(stream) === companyId) streams.add(stream)
  }
  return [...streams]
}

const toldOf = ({ isJson, data }: RecordedEvent): (Told & { id?: unknown }) | undefined =>
  isJson ? (data as Told) : undefined

/** Of one company's streams, where each ends. */
const endsOf = async (client: EventStoreClient, companyId: string) => {
  const ends: { stream: string; position: number; revision: bigint }[] = []
  for (const stream of await streamsOf(client, companyId)) {
    const last = await client.lastOf(stream)
    if (last !== undefined) ends.push({ stream, position: positionOf(last), revision: last.revision })
  }
  return ends
}

type Ends = Awaited<ReturnType<typeof endsOf>>

/**
 * Up to where a company is whole, given where its streams ended one after the other: since its events are stored in the
 * order of their positions over all of its streams, whatever comes before the last of any was stored before it.
 */
const wholeUpTo = (ends: Ends): number => Math.max(0, ...ends.map(({ position }) => position))

/** The company's events with `after < position <= upTo`, by position. */
const ofCompany = async function* (
  client: EventStoreClient,
  ends: Ends,
  after: number,
  upTo: number,
): AsyncGenerator<RecordedEvent, void, undefined> {
  const sources: AsyncGenerator<RecordedEvent, void, undefined>[] = []
  try {
    const heads: { event: RecordedEvent; position: number; source: (typeof sources)[number] }[] = []
    const next = async (source: (typeof sources)[number]) => {
      const { value: event } = await source.next()
      if (event !== undefined) heads.push({ event, position: positionOf(event), source })
    }
    for (const { stream, position, revision } of ends) {
      if (position <= after) continue
      const from = after === 0 ? 'start' : await revisionAfter(client, stream, after, revision)
      const source = client.forwards(stream, from)
      sources.push(source)
      await next(source)
    }
    while (heads.length > 0) {
      let first = 0
      for (let i = 1; i < heads.length; i++)
        if ((heads[i] as (typeof heads)[0]).position < (heads[first] as (typeof heads)[0]).position) first = i
      const [{ event, position, source }] = heads.splice(first, 1) as [(typeof heads)[0]]
      if (position > upTo) return
      if (position > after) yield event
      await next(source)
    }
  } finally {
    for (const source of sources) await source.return()
  }
}

/** The first revision whose event has a position greater than this; positions grow along a stream, so by halves. */
const revisionAfter = async (
  client: EventStoreClient,
  stream: string,
  position: number,
  lastRevision: bigint,
): Promise<bigint> => {
  let low = 0n
  let high = lastRevision
  while (low < high) {
    const middle = (low + high) / 2n
    const event = await client.eventAt(stream, middle)
    if (event !== undefined && positionOf(event) <= position) low = event.revision + 1n
    else high = middle
  }
  return low
}

const read = async function* (
  client: EventStoreClient,
  query: LogQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogEntry, void, undefined> {
  const { companyId, after = 0, upTo = Number.MAX_SAFE_INTEGER } = query
  if (isVoid(query)) return
  if (companyId === undefined) {
    const commands = await commandsIn(query, () => ofAll(client))
    for await (const event of ofAll(client)) {
      if (signal?.aborted) return
      const position = positionOf(event)
      if (position > after && position <= upTo && isWanted(event, query, commands)) yield fromArchived(event)
    }
    return
  }
  const ends = await endsOf(client, companyId)
  const whole = wholeUpTo(ends)
  const commands = await commandsIn(query, () => ofCompany(client, ends, 0, whole))
  for await (const event of ofCompany(client, ends, after, Math.min(upTo, whole))) {
    if (signal?.aborted) return
    if (isWanted(event, query, commands)) yield fromArchived(event)
  }
}

/** The events of every company, up to what is stored now. The client has no filter for this, so ours are picked here. */
const ofAll = async function* (client: EventStoreClient): AsyncGenerator<RecordedEvent, void, undefined> {
  const end = await client.endOfAll()
  if (end === 'start') return
  for await (const event of client.all('forwards')) {
    if (event.position.commit > end.commit) return
    if (companyOfStream(event.streamId) !== undefined) yield event
  }
}

const follow = async function* (
  client: EventStoreClient,
  query: LogQuery,
  signal: AbortSignal,
): AsyncGenerator<LogEntry, void, undefined> {
  const { companyId, after = 0 } = query
  if (isVoid(query)) return
  let given = after
  let begin: Awaited<ReturnType<EventStoreClient['endOfAll']>> = 'start'
  let commands = query.messageId === undefined ? undefined : commandsOfMessage(query.messageId)
  if (companyId === undefined) commands = await commandsIn(query, () => ofAll(client))
  else {
    // The end first: what is stored while the streams are looked at comes by subscription.
    begin = await client.endOfAll()
    const ends = await endsOf(client, companyId)
    const whole = wholeUpTo(ends)
    commands = await commandsIn(query, () => ofCompany(client, ends, 0, whole))
    for await (const event of ofCompany(client, ends, after, whole)) {
      if (signal.aborted) return
      if (isWanted(event, query, commands)) yield fromArchived(event)
    }
    given = Math.max(after, whole)
  }
  for await (const event of client.subscribe(streamPattern(companyId), begin, signal)) {
    if (positionOf(event) <= given) continue
    commands?.learn(toldOf(event) ?? {})
    if (isWanted(event, query, commands)) yield fromArchived(event)
  }
}

const isWanted = (event: RecordedEvent, query: LogQuery, commands: CommandsOfMessage | undefined): boolean =>
  (query.types === undefined || query.types.includes(event.type)) && isAskedFor(toldOf(event), query, commands)

const commandsIn = async (
  { messageId }: LogQuery,
  events: () => AsyncIterable<RecordedEvent>,
): Promise<CommandsOfMessage | undefined> => {
  if (messageId === undefined) return undefined
  const commands = commandsOfMessage(messageId)
  for await (const event of events())
    if ((LINKING_TYPES as readonly string[]).includes(event.type)) commands.learn(toldOf(event) ?? {})
  return commands
}

/**
 * Events of different companies are not stored in the order of their positions, but a writer has no more than this many
 * under way at a time: what lies further from the end has a lower position than what lies at the end.
 */
const UNDER_WAY = 5_000

const extentOf = async (client: EventStoreClient) => {
  const outermost = async (direction: 'forwards' | 'backwards', better: (...positions: number[]) => number) => {
    let found: number | undefined
    let count = 0
    for await (const event of client.all(direction)) {
      if (companyOfStream(event.streamId) === undefined) continue
      found = better(found ?? positionOf(event), positionOf(event))
      if (++count === UNDER_WAY) break
    }
    return found ?? 0
  }
  return { first: await outermost('forwards', Math.min), last: await outermost('backwards', Math.max) }
}

/** Writers that meet in a stream begin anew; so often, before somebody is told that something is wrong. */
const MEETINGS = 10

const appendHere = async (
  client: EventStoreClient,
  writer: ArchiveWriter,
  events: readonly StoredEvent[],
): Promise<number[]> => {
  for (let meetings = 0; meetings < MEETINGS; meetings++) {
    const positions = await tryAppend(client, writer, events)
    if (positions !== undefined) return positions
  }
  throw new EventStoreUnreachable(`others write to the same streams; given up after ${MEETINGS} tries`)
}

/** Undefined when somebody else was there before; what it had stored by then is found again by its ids. */
const tryAppend = async (
  client: EventStoreClient,
  writer: ArchiveWriter,
  events: readonly StoredEvent[],
): Promise<number[] | undefined> => {
  const known = new Map<string, number>()
  for (const companyId of new Set(events.map(({ companyid }) => companyid))) {
    const own = events.filter(({ companyid }) => companyid === companyId)
    const ends = await endsOf(client, companyId)
    const revisions = new Map<string, Revision>(ends.map(({ stream, revision }) => [stream, revision]))
    for (const [id, position] of await positionsOfRepeats(client, own)) known.set(id, position)
    let last = wholeUpTo(ends)
    const entries: (ArchiveEntry & { stream: string })[] = []
    for (const event of own) {
      if (known.has(event.id)) continue
      known.set(event.id, ++last)
      const stream = archiveStream(event.channel, event.companyid)
      entries.push({ position: last, body: encodeEvent(event), type: event.type, stream })
    }
    for (const run of archiveRuns(entries, (entry) => (entry as (typeof entries)[0]).stream)) {
      const answer = await writer.appendAt(run.stream, run.entries, revisions.get(run.stream) ?? 'no_stream')
      if (answer.kind === 'unavailable') throw answer.error
      if (answer.kind === 'wrong_revision') return undefined
      revisions.set(run.stream, answer.revision)
    }
  }
  return events.map(({ id }) => known.get(id) as number)
}

/** Where in the archive those of the events are that are there already, by id. */
const positionsOfRepeats = async (client: EventStoreClient, events: readonly StoredEvent[]) => {
  const found = new Map<string, number>()
  for (const stream of new Set(events.map(({ channel, companyid }) => archiveStream(channel, companyid)))) {
    const wanted = new Set(
      events.filter((event) => archiveStream(event.channel, event.companyid) === stream).map(({ id }) => id),
    )
    // Of several copies the first counts, which comes last here.
    for await (const event of client.backwards(stream)) {
      const id = toldOf(event)?.id
      if (typeof id === 'string' && wanted.has(id)) found.set(id, positionOf(event))
    }
  }
  return found
}
