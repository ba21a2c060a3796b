/** How long a child must have been up for its earlier deaths to be forgotten, milliseconds. */
export const STEADY_AFTER_MS = 10_000

const FIRST_MS = 100
const LONGEST_MS = 5_000

/**
 * How long to wait before a child that has died is started again: 100, 200, 400 … 5,000 ms.
 *
 * @param deaths   how often it had died in a row before
 * @param uptimeMs how long it lived this time
 * @returns the wait, and the deaths in a row to pass in next time
 */
export const restartAfter = (deaths: number, uptimeMs: number): { delayMs: number; deaths: number } => {
  const inARow = uptimeMs >= STEADY_AFTER_MS ? 0 : deaths
  return { delayMs: Math.min(FIRST_MS * 2 ** inARow, LONGEST_MS), deaths: inARow + 1 }
}
