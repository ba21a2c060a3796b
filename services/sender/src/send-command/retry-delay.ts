export interface Backoff {
  baseMs: number
  capMs: number
}

/**
 * How long to wait after the n-th refusal: anything between nothing and a bound that doubles each time ("full jitter"),
 * so that commands refused together do not come back together.
 *
 * @param attempts how many there were, from 1
 * @param random   from 0 (included) to 1 (excluded)
 */
export const retryDelayMs = (attempts: number, { baseMs, capMs }: Backoff, random: number): number =>
  Math.round(random * Math.min(capMs, baseMs * 2 ** (attempts - 1)))
