import { createRecentIds } from './recent-ids.ts'
import {
  type Commit,
  DELETED_REVISION,
  isMetastream,
  metastreamOf,
  originalOf,
  type RecordedEvent,
  TOMBSTONE_TYPE,
} from './recorded-event.ts'
import { defaultMetadata, parseStreamMetadata, type StreamMetadata } from './stream-metadata.ts'

interface Stream {
  events: RecordedEvent[]
  tombstone?: RecordedEvent
}

// A real log begins with records of the server itself: no event lies at position 0, which stands for the very start.
const FIRST_POSITION = 64

/** All streams in memory, and `$all`, which is every event in the order it was written. */
export const createEventStore = ({ recentIds: limit }: { recentIds: number }) => {
  const all: RecordedEvent[] = []
  const streams = new Map<string, Stream>()
  const recentIds = createRecentIds(limit)
  let nextPosition = FIRST_POSITION

  const eventsOf = (name: string): readonly RecordedEvent[] => streams.get(name)?.events ?? []
  const isTombstoned = (name: string): boolean =>
    streams.get(name)?.tombstone !== undefined || (isMetastream(name) && isTombstoned(originalOf(name)))
  const rawMetadataOf = (name: string): Uint8Array | undefined => eventsOf(metastreamOf(name)).at(-1)?.data
  const metadataOf = (name: string): StreamMetadata => {
    const body = rawMetadataOf(name)
    return body === undefined ? defaultMetadata(name) : parseStreamMetadata(body)
  }

  /** Stores what was decided. Asks nothing: a journal is replayed through it as well. */
  const apply = ({ stream: name, created, events }: Commit, { isReplay }: { isReplay: boolean }): void => {
    const stream = streams.get(name) ?? { events: [] }
    streams.set(name, stream)
    for (const event of events) {
      const isTombstone = event.type === TOMBSTONE_TYPE
      const revision = isTombstone ? DELETED_REVISION : stream.events.length
      const recorded: RecordedEvent = { ...event, stream: name, revision, position: nextPosition, created }
      nextPosition += sizeOf(event) + 64 // about what a record's header takes
      all.push(recorded)
      if (isTombstone) stream.tombstone = recorded
      else stream.events.push(recorded)
      // A real server that was started again remembers no id either.
      if (!isReplay) recentIds.remember(event.id, { stream: name, revision })
    }
  }

  return {
    all: all as readonly RecordedEvent[],
    eventsOf,
    /** Revision of the last event; -1 when there is none. */
    lastRevisionOf: (name: string): number => eventsOf(name).length - 1,
    exists: (name: string): boolean => eventsOf(name).length > 0,
    isTombstoned,
    isSoftDeleted: (name: string): boolean => metadataOf(name).truncateBefore === 'deleted',
    rawMetadataOf,
    metadataOf,
    findRecent: recentIds.find,
    apply,
  }
}
export type EventStore = ReturnType<typeof createEventStore>

/** Bytes of an event as the limit of an append counts them: its type in UTF-16, its data and its metadata. */
export const sizeOf = ({ type, data, metadata }: { type: string; data: Uint8Array; metadata: Uint8Array }): number =>
  type.length * 2 + data.length + metadata.length
