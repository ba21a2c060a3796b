export interface Limit {
  maxCalls: number
  windowSeconds: number
}

export interface Verdict {
  allowed: boolean
  /** The calls to remember, oldest first: milliseconds since 1970. */
  calls: number[]
  remaining: number
  /** Until one more call is free; until the whole window is, when there is one now. */
  resetSeconds: number
}

/**
 * Whether one more call fits: at most `maxCalls` in any window of `windowSeconds`. A call that does not fit is not
 * counted, so a caller that goes on knocking is let in as soon as its turn comes.
 *
 * @param earlier the calls allowed so far, oldest first
 */
export const takeCall = (earlier: readonly number[], { maxCalls, windowSeconds }: Limit, now: number): Verdict => {
  const windowMs = windowSeconds * 1_000
  const calls = earlier.filter((at) => at > now - windowMs)
  const allowed = calls.length < maxCalls
  if (allowed) calls.push(now)
  // The call that must leave the window first: when a lower limit was set meanwhile, it is not the oldest.
  const blocking = allowed ? calls[0] : calls[calls.length - Math.max(1, maxCalls)]
  return {
    allowed,
    calls,
    remaining: Math.max(0, maxCalls - calls.length),
    resetSeconds: Math.max(1, Math.ceil(((blocking ?? now) + windowMs - now) / 1_000)),
  }
}

export type RateLimiter = (key: string, limit: Limit) => Omit<Verdict, 'calls'>

/** Counts per key in the memory of this process. */
export const createRateLimiter = (now: () => number): RateLimiter => {
  const callsByKey = new Map<string, number[]>()
  return (key, limit) => {
    const { calls, ...verdict } = takeCall(callsByKey.get(key) ?? [], limit, now())
    callsByKey.set(key, calls)
    return verdict
  }
}
