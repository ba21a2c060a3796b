import { GatewayError } from '@cloudapi2/contracts'
import type { Content } from '../store/media-store.ts'

/** Why a file is given up. */
export type FailureReason = 'expired' | 'not_found' | 'refused' | 'too_large' | 'sha256_mismatch'

/** How one attempt to fetch a file ended. */
export type Attempt =
  | { kind: 'stored'; content: Content; claimedMimeType?: string }
  /** `givesUpAs`: what it is after `MANY` attempts that ended like this; otherwise tried until the channel's deadline. */
  | { kind: 'again'; reason: string; code?: number; retryAfterMs?: number; givesUpAs?: FailureReason }
  | { kind: 'refused'; reason: FailureReason; code?: number; details?: string }
  /** The company's token is not accepted. */
  | { kind: 'unauthorised'; code: number }

/**
 * Some answers are final in all likelihood only: a file that is not found may be one that the token does not open yet, and a
 * hash that differs a transfer that went wrong. With delays that double from two seconds these are about an hour.
 */
export const MANY = 10

/** An attempt that ended while the file was on its way. */
export class TransferEnded extends GatewayError {
  readonly attempt: Attempt
  constructor(attempt: Exclude<Attempt, { kind: 'stored' }>, cause?: unknown) {
    super(`the transfer of a file ended: ${'reason' in attempt ? attempt.reason : attempt.kind}`, {
      code: 'MEDIA_TRANSFER_ENDED',
      retryable: true,
      cause,
    })
    this.attempt = attempt
  }
}

/** How long until attempt `attempts` + 1, in milliseconds: doubling, by chance between half of it and all. */
export const retryDelayMs = (
  attempts: number,
  { baseMs, capMs }: { baseMs: number; capMs: number },
  random: () => number,
): number => {
  const longest = Math.min(capMs, baseMs * 2 ** Math.min(attempts - 1, 30))
  return Math.ceil(longest / 2 + (random() * longest) / 2)
}
