import { z } from 'zod'

const Milliseconds = z.number().int().min(0)

/** All in milliseconds. `delivered_ms` and `read_ms` may be null: that status is never sent. */
export const TimingSchema = z.strictObject({
  sent_ms: Milliseconds.default(50),
  delivered_ms: Milliseconds.nullable().default(150),
  read_ms: Milliseconds.nullable().default(400),
  /** How long an answer that is never given keeps its connection. */
  hold_ms: Milliseconds.default(60_000),
  /** First wait after a webhook that was not answered 200; doubles each time. */
  retry_first_ms: Milliseconds.min(1).default(1_000),
  retry_longest_ms: Milliseconds.min(1).default(60_000),
  /** Meta gives a webhook up after 7 days. */
  retry_for_ms: Milliseconds.default(7 * 24 * 3_600_000),
  /** How long one delivery of a webhook may take before it counts as failed. */
  webhook_timeout_ms: Milliseconds.min(1).default(10_000),
  /** Meta's download links of media live 5 minutes. */
  media_url_ms: Milliseconds.default(300_000),
})
export type Timing = z.output<typeof TimingSchema>

/** How long to wait after the given number of failed deliveries (1 or more). */
export const retryDelayMs = (failures: number, timing: Timing): number =>
  Math.min(timing.retry_longest_ms, timing.retry_first_ms * 2 ** Math.min(failures - 1, 30))
