/**
 * How much of its rate a number may use after the channel said that it sends too much. It stops altogether for a while,
 * goes on with half of what it had, and wins the rest back with time.
 */
export interface Throttle {
  /** How often in a row, without having recovered in between. */
  level: number
  /** Nothing goes out before. */
  until: number
  /** The share of the rate at `until`: 0 to 1. */
  share: number
  /** When it was told last. Answers to calls begun before say nothing new. */
  toldAt: number
}

export const calm: Throttle = { level: 0, until: 0, share: 1, toldAt: Number.NEGATIVE_INFINITY }

export interface ThrottleOptions {
  /** The first stop, which doubles each time. */
  baseMs: number
  capMs: number
}

/** From nothing to the whole rate: Meta needs up to a minute to apply another limit (131057). */
const RECOVERY_MS = 60_000
/** Less would not tell any more whether the number recovers. */
const LEAST_SHARE = 1 / 16
/** Meta asks for nothing of the kind; what stands in between must not stop a number for a day. */
const LONGEST_ASKED_MS = 900_000

export const shareAt = ({ share, until }: Throttle, now: number): number =>
  Math.min(1, share + Math.max(0, now - until) / RECOVERY_MS)

/**
 * @param call.startedAt    when the call began that was answered so
 * @param call.retryAfterMs what the channel asked for, if it did
 * @param call.random       from 0 to 1: numbers that were stopped together do not come back together
 */
export const throttled = (
  throttle: Throttle,
  call: { startedAt: number; now: number; retryAfterMs?: number | undefined; random: number },
  { baseMs, capMs }: ThrottleOptions,
): Throttle => {
  const { now, startedAt, random } = call
  const askedUntil = now + Math.min(call.retryAfterMs ?? 0, LONGEST_ASKED_MS)
  if (startedAt <= throttle.toldAt) return { ...throttle, until: Math.max(throttle.until, askedUntil) }
  const share = shareAt(throttle, now)
  const level = share === 1 ? 1 : throttle.level + 1
  const stopMs = Math.min(capMs, baseMs * 2 ** (level - 1)) * (0.5 + random / 2)
  return {
    level,
    until: Math.max(throttle.until, now + stopMs, askedUntil),
    share: Math.max(LEAST_SHARE, share / 2),
    toldAt: now,
  }
}
