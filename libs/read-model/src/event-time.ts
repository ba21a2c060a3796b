import { UnfoldableEvent } from './unfoldable-event.ts'

/** What both PostgreSQL and the usual clients of it can hold: years 1 to 9999. */
const EARLIEST_MS = Date.parse('0001-01-01T00:00:00.000Z')
const LATEST_MS = Date.parse('9999-12-31T23:59:59.999Z')

const CANONICAL = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/**
 * An event's time in one form, so that text order is time order: UTC, milliseconds, 24 characters. What lies outside the
 * years 1 to 9999 is moved to their edge.
 *
 * @throws UnfoldableEvent when it is no time
 */
export const eventTime = (time: string): string => {
  if (CANONICAL.test(time)) return time
  const ms = Date.parse(time)
  if (Number.isNaN(ms)) throw new UnfoldableEvent('time is no time')
  return new Date(Math.min(LATEST_MS, Math.max(EARLIEST_MS, ms))).toISOString()
}
