import type { EventStore } from './event-store.ts'
import type { RecordedEvent } from './recorded-event.ts'

export type Direction = 'forwards' | 'backwards'
/** A number is a revision in a stream, a commit position in `$all`. */
export type Start = 'start' | 'end' | number

/** The events of a stream that its metadata leaves to be read: a stream may be cut by number, by count and by age. */
export const isVisible = (store: EventStore, stream: string, now: number): ((event: RecordedEvent) => boolean) => {
  const { truncateBefore = 0, maxCount, maxAgeSeconds } = store.metadataOf(stream)
  const last = store.lastRevisionOf(stream)
  const first = truncateBefore === 'deleted' ? Number.POSITIVE_INFINITY : truncateBefore
  const firstOfLatest = maxCount === undefined ? 0 : last - maxCount + 1
  const oldest = maxAgeSeconds === undefined ? 0 : now - maxAgeSeconds * 1000
  return ({ revision, created }) => revision >= first && revision >= firstOfLatest && created >= oldest
}

/** Index at which a read of a stream begins. Backwards from beyond the end is from the end. */
export const streamIndexOf = (from: Start, direction: Direction, length: number): number => {
  if (from === 'start') return 0
  if (direction === 'forwards') return from === 'end' ? length : from
  return from === 'end' ? length - 1 : Math.min(from, length - 1)
}

/**
 * Index at which a read of `$all` begins. Forwards the event at the position is the first; backwards it is the one before.
 *
 * @param all in the order of their positions
 */
export const allIndexOf = (from: Start, direction: Direction, all: readonly RecordedEvent[]): number => {
  const first = from === 'start' ? 0 : from === 'end' ? all.length : firstAtOrAfter(all, from)
  return direction === 'forwards' ? first : first - 1
}

/** Index of the first event that a subscription gives: the one after where it was told to begin. */
export const subscriptionIndexOf = (from: Start, events: readonly RecordedEvent[], of: 'stream' | 'all'): number => {
  if (from === 'start') return 0
  if (from === 'end') return events.length
  return of === 'stream' ? from + 1 : firstAtOrAfter(events, from + 1)
}

const firstAtOrAfter = (all: readonly RecordedEvent[], position: number): number => {
  let low = 0
  let high = all.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((all[middle]?.position ?? 0) < position) low = middle + 1
    else high = middle
  }
  return low
}
