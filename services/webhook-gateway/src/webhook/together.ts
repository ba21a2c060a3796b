/**
 * What is given in one turn of the event loop is worked together at its end, in the order given.
 *
 * One step done for many requests, then the next step for all of them, finds its code and its data in the processor's
 * caches; each request taken through every step on its own evicts them again and again. With 64 connections that was a
 * fifth of the gateway's time (bench/README.md).
 */
export const together = <T>(work: (items: readonly T[]) => void): ((item: T) => void) => {
  let waiting: T[] = []
  const run = () => {
    const items = waiting
    waiting = []
    work(items)
  }
  return (item) => {
    if (waiting.push(item) === 1) setImmediate(run)
  }
}
