import { setTimeout as wait } from 'node:timers/promises'

/** Does something again and again, with a pause before each time, until the signal aborts. Resolves when all is done. */
export const repeatedly = async (pauseMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> => {
  for (;;) {
    await pause(pauseMs, signal)
    if (signal.aborted) return
    await work()
  }
}

/** Waits, or returns early when the signal aborts. */
export const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  try {
    await wait(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
