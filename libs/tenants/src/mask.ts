import { createHash } from 'node:crypto'

/** What is shown in place of a secret: enough to recognise it, not enough to use it. */
export interface MaskedSecret {
  set: true
  /** Its last four characters; absent for a secret so short that they would tell much of it, or one that cannot be opened. */
  last4?: string
  /** The first 8 hex digits of its SHA-256: `printf %s SECRET | sha256sum | cut -c1-8`. Absent when it cannot be opened. */
  fingerprint?: string
}

const SHORTEST_WITH_LAST_4 = 12

/** Masks a secret; undefined stands for one that is set but cannot be read. */
export const maskSecret = (secret: string | undefined): MaskedSecret => {
  if (secret === undefined) return { set: true }
  const fingerprint = createHash('sha256').update(secret).digest('hex').slice(0, 8)
  return secret.length < SHORTEST_WITH_LAST_4
    ? { set: true, fingerprint }
    : { set: true, last4: secret.slice(-4), fingerprint }
}

/** True for what `maskSecret` gives, sent back by somebody who changes other settings only. */
export const isMaskedSecret = (value: unknown): value is MaskedSecret =>
  value !== null && typeof value === 'object' && (value as { set?: unknown }).set === true
