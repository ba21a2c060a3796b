/**
 * How long to wait before the next event leaves, so that never more have left than the rate allows since the start.
 *
 * @param rate events per second
 */
export const waitMs = ({ sent, elapsedMs, rate }: { sent: number; elapsedMs: number; rate: number }): number =>
  Math.max(0, (sent / rate) * 1_000 - elapsedMs)
