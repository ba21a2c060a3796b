import { randomFillSync } from 'node:crypto'

const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Random bytes are fetched many at a time: asking for a few per request was 5 % of the gateway's time. */
const pool = Buffer.alloc(4_096)
let used = pool.length

const randomHex = (bytes: number): string => {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString('hex', used - bytes, used)
}

/**
 * The `traceparent` (W3C Trace Context, level 1) for work that follows from a request: the same trace with a new span,
 * or a new trace when the request brought none that is valid.
 */
export const traceparentFrom = (incoming: string | undefined): string => {
  const span = randomHex(8)
  if (incoming !== undefined && TRACEPARENT.test(incoming))
    return `${incoming.slice(0, 36)}${span}${incoming.slice(52)}`
  return `00-${randomHex(16)}-${span}-01`
}
