import { type FullAt, freeAt, type MeterLimit, taken } from '../pacing/meter.ts'

/** What passes into a lane at once, however slow its number: urgent commands behind it find their way through the lane. */
const BURST = 1_000
/** Of what its number may send: a little more than a lane can use up. */
const AHEAD = 1.25

export interface IntakePace {
  /** Takes a place in the line of a number; milliseconds until it may pass. */
  take: (phoneNumberId: string) => number
  /** Whether whoever comes now would have to wait. */
  isHeldBack: (phoneNumberId: string) => boolean
  /** Whether any number is. */
  isAnyHeldBack: () => boolean
}

/** Numbers are forgotten when there are more; they begin again with a full burst. */
const MOST_REMEMBERED = 10_000

/**
 * How fast commands pass into the lane of their number. A lane needs no more than its number sends: a hundred thousand
 * passed on at once would only cost everybody else the time of the server.
 *
 * @param options.now milliseconds on any clock that never runs backwards
 */
export const createIntakePace = (options: {
  messagesPerSecond: (phoneNumberId: string) => number
  now: () => number
}): IntakePace => {
  const fullAt = new Map<string, FullAt>()
  const limitOf = (phoneNumberId: string): MeterLimit => ({
    intervalMs: 1_000 / (AHEAD * options.messagesPerSecond(phoneNumberId)),
    burst: BURST,
  })
  let heldBackUntil = Number.NEGATIVE_INFINITY

  return {
    take: (phoneNumberId) => {
      const now = options.now()
      const limit = limitOf(phoneNumberId)
      const before = fullAt.get(phoneNumberId) ?? 0
      if (fullAt.size >= MOST_REMEMBERED) fullAt.clear()
      fullAt.set(phoneNumberId, taken(before, now, limit))
      const passesAt = Math.max(now, freeAt(before, limit))
      heldBackUntil = Math.max(heldBackUntil, passesAt)
      return passesAt - now
    },
    isHeldBack: (phoneNumberId) => {
      const full = fullAt.get(phoneNumberId)
      return full !== undefined && freeAt(full, limitOf(phoneNumberId)) > options.now()
    },
    isAnyHeldBack: () => heldBackUntil > options.now(),
  }
}
