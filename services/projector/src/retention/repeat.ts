import { setTimeout as wait } from 'node:timers/promises'

export interface Repeat {
  intervalMs: number
  /** Until it is tried again after a failure, if that is sooner. */
  retryMs: number
  work: () => Promise<void>
  onFailure: (error: unknown) => void
  signal: AbortSignal
}

/** Does the work now and then again and again, until it is told to stop: the work in hand is finished. */
export const repeat = async ({ intervalMs, retryMs, work, onFailure, signal }: Repeat): Promise<void> => {
  while (!signal.aborted) {
    let pauseMs = intervalMs
    try {
      await work()
    } catch (error) {
      if (signal.aborted) return
      onFailure(error)
      pauseMs = Math.min(intervalMs, retryMs)
    }
    await wait(pauseMs, undefined, { signal, ref: false }).catch(() => {}) // stopped: seen above
  }
}
