import { GatewayError } from '@cloudapi2/contracts'

/** What becomes of a delivery. `later` counts as a delivery, so it is for failures, not for waiting one's turn. */
export type Outcome =
  | { kind: 'ack' }
  | { kind: 'later'; delayMs: number; reason: string }
  | { kind: 'dead'; code: string; reason: string; companyId?: string; headers?: Readonly<Record<string, string>> }

export const ack: Outcome = { kind: 'ack' }
export const later = (delayMs: number, reason: string): Outcome => ({ kind: 'later', delayMs, reason })
export const dead = (letter: { code: string; reason: string; companyId?: string }): Outcome => ({
  kind: 'dead',
  ...letter,
})

/** After this many deliveries a message that keeps failing is a dead letter. */
export const MAX_DELIVERIES = 10

const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 30_000

/** How long to wait before the next try: doubling from 250 ms to 30 s. `tries`: how many there were, from 1. */
export const backoffMs = (tries: number): number => Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (tries - 1))

/**
 * What an error makes of a delivery: a broken rule is a dead letter at once; what may pass, and what we did not foresee,
 * is tried again, and a dead letter after `MAX_DELIVERIES`. Nothing is ever dropped.
 */
export const outcomeOfError = (
  error: unknown,
  deliveryCount: number,
  maxDeliveries: number = MAX_DELIVERIES,
): Outcome => {
  const code = error instanceof GatewayError ? error.code : 'UNFORESEEN'
  const reason = error instanceof Error ? error.message : String(error)
  const isFinal = error instanceof GatewayError && !error.retryable
  if (isFinal || deliveryCount >= maxDeliveries) return dead({ code, reason })
  return later(backoffMs(deliveryCount), reason)
}
