import { randomBytes } from 'node:crypto'

const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/**
 * The `traceparent` (W3C Trace Context, level 1) for work that follows from a request: the same trace with a new span,
 * or a new trace when the request brought none that is valid.
 */
export const traceparentFrom = (incoming: string | undefined): string => {
  const span = randomBytes(8).toString('hex')
  if (incoming !== undefined && TRACEPARENT.test(incoming))
    return `${incoming.slice(0, 36)}${span}${incoming.slice(52)}`
  return `00-${randomBytes(16).toString('hex')}-${span}-01`
}
