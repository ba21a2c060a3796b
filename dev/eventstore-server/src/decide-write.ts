import type { EventStore } from './event-store.ts'
import {
  type Commit,
  type ExpectedRevision,
  isMetastream,
  METADATA_TYPE,
  metastreamOf,
  originalOf,
  type ProposedEvent,
  type RecordedEvent,
  TOMBSTONE_TYPE,
} from './recorded-event.ts'
import { deletedMetadata, revivedMetadata } from './stream-metadata.ts'

export type WriteDecision =
  | { outcome: 'write'; commits: Commit[] }
  /** The same events were written before: the answer is that of the first time. */
  | { outcome: 'repeat'; last: RecordedEvent }
  | { outcome: 'wrong expected revision'; current: number }
  | { outcome: 'stream deleted' }

export interface WriteMoment {
  /** Milliseconds since 1970. */
  now: number
  newId: () => string
}

/**
 * What an append does. The rules, that for repeats above all, are those of EventStoreDB (`IndexWriter.CheckCommit`):
 * with `any` and `stream_exists` only the ids it remembers make a repeat; with a revision, the events that stand behind it.
 */
export const decideAppend = (
  store: EventStore,
  { stream, expected, events }: { stream: string; expected: ExpectedRevision; events: ProposedEvent[] },
  moment: WriteMoment,
): WriteDecision => {
  const check = checkRevision(store, stream, expected, events)
  if (check.outcome !== 'write') return check
  const commits: Commit[] = [{ stream, created: moment.now, events }]
  // Writing to a softly deleted stream, or to its metadata, revives it: what was there before stays gone.
  const original = isMetastream(stream) ? originalOf(stream) : stream
  if (store.isSoftDeleted(original)) {
    const body = stream === original ? store.rawMetadataOf(original) : events.at(-1)?.data
    const revived = revivedMetadata(body ?? new Uint8Array(), store.lastRevisionOf(original) + 1)
    commits.push({ stream: metastreamOf(original), created: moment.now, events: [metadataEvent(revived, moment)] })
  }
  return { outcome: 'write', commits }
}

/** Deletes a stream: softly, so that it can be written to again, or for good. */
export const decideDelete = (
  store: EventStore,
  { stream, expected, isFinal }: { stream: string; expected: ExpectedRevision; isFinal: boolean },
  moment: WriteMoment,
): WriteDecision => {
  const check = checkRevision(store, stream, expected, [])
  if (check.outcome !== 'write') return check
  const commit: Commit = isFinal
    ? { stream, created: moment.now, events: [systemEvent(TOMBSTONE_TYPE, new Uint8Array(), moment)] }
    : { stream: metastreamOf(stream), created: moment.now, events: [metadataEvent(deletedMetadata(), moment)] }
  return { outcome: 'write', commits: [commit] }
}

const checkRevision = (
  store: EventStore,
  stream: string,
  expected: ExpectedRevision,
  events: readonly ProposedEvent[],
): WriteDecision => {
  const current = store.lastRevisionOf(stream)
  const write: WriteDecision = { outcome: 'write', commits: [] }
  const wrong: WriteDecision = { outcome: 'wrong expected revision', current }

  if (store.isTombstoned(stream)) return { outcome: 'stream deleted' }
  if (expected === 'stream_exists') {
    if (store.isSoftDeleted(stream)) return { outcome: 'stream deleted' }
    if (current < 0 && !store.exists(metastreamOf(stream))) return wrong
  }

  if (expected === 'any' || expected === 'stream_exists') {
    let last: RecordedEvent | undefined
    for (const [index, { id }] of events.entries()) {
      const place = store.findRecent(id)
      // Some known and some not is neither a repeat nor new.
      if (place === undefined || place.stream !== stream) return index === 0 ? write : wrong
      last = store.eventsOf(stream)[place.revision]
    }
    return last === undefined ? write : { outcome: 'repeat', last }
  }

  const expectedRevision = expected === 'no_stream' ? -1 : expected
  if (expectedRevision > current) return wrong
  if (expectedRevision === current) return write
  const there = store.eventsOf(stream).slice(expectedRevision + 1, expectedRevision + 1 + events.length)
  const last = there.at(-1)
  const isRepeat = there.length === events.length && events.every(({ id }, index) => there[index]?.id === id)
  if (last !== undefined && isRepeat) return { outcome: 'repeat', last }
  // To a writer, a softly deleted stream is not there.
  const isFresh = events.length > 0 && there[0]?.id !== events[0]?.id
  return expected === 'no_stream' && isFresh && store.isSoftDeleted(stream) ? write : wrong
}

const systemEvent = (type: string, data: Uint8Array, { newId }: WriteMoment): ProposedEvent => ({
  id: newId(),
  type,
  contentType: 'application/json',
  data,
  metadata: new Uint8Array(),
})

const metadataEvent = (body: Uint8Array, moment: WriteMoment): ProposedEvent => systemEvent(METADATA_TYPE, body, moment)
