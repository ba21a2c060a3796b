/** Timers that never keep the process alive and all end together. */
export const createTimers = () => {
  const running = new Set<NodeJS.Timeout>()
  return {
    /** @returns a function that cancels it */
    after: (delayMs: number, act: () => void): (() => void) => {
      const timer = setTimeout(() => {
        running.delete(timer)
        act()
      }, delayMs).unref()
      running.add(timer)
      return () => {
        running.delete(timer)
        clearTimeout(timer)
      }
    },
    cancelAll: () => {
      for (const timer of running) clearTimeout(timer)
      running.clear()
    },
  }
}
export type Timers = ReturnType<typeof createTimers>
