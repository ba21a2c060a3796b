/**
 * A token bucket, as the one number that GCRA keeps of it: when it will be full again. Times are milliseconds on
 * whatever clock the caller has; 0, or any time that is past, is a full bucket.
 */
export type FullAt = number

/** `burst` at once, and one more every `intervalMs`. */
export interface MeterLimit {
  intervalMs: number
  burst: number
}

/** From when on one more may be taken. */
export const freeAt = (fullAt: FullAt, { intervalMs, burst }: MeterLimit): number => fullAt - (burst - 1) * intervalMs

export const taken = (fullAt: FullAt, now: number, { intervalMs }: MeterLimit): FullAt =>
  Math.max(now, fullAt) + intervalMs

/** What was taken was not used. */
export const givenBack = (fullAt: FullAt, { intervalMs }: MeterLimit): FullAt => fullAt - intervalMs
