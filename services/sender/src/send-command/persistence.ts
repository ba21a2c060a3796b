import { GatewayError } from '@cloudapi2/contracts'
import { KvConflict } from '@cloudapi2/nats'

/** Waits, unless the signal aborts first: then it throws its reason. */
export type Pause = (ms: number, signal?: AbortSignal) => Promise<void>

const FIRST_DELAY_MS = 50
const LONGEST_DELAY_MS = 2_000

/**
 * Tries until it succeeds. For what must be stored before anything else may happen: when the store is away, waiting is
 * all that is left, as what the channel did cannot be asked for again. A conflict is an answer and is thrown, as is a
 * mistake in the program.
 *
 * @param options.signal ends the waiting, where giving up is harmless
 */
export const untilDone = async <T>(
  task: () => Promise<T>,
  options: { pause: Pause; onFailure: (error: unknown, tries: number) => void; signal?: AbortSignal },
): Promise<T> => {
  for (let tries = 1; ; tries++) {
    options.signal?.throwIfAborted()
    try {
      return await task()
    } catch (error) {
      if (!mayPass(error)) throw error
      options.onFailure(error, tries)
      await options.pause(Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (tries - 1)), options.signal)
    }
  }
}

const mayPass = (error: unknown): boolean =>
  error instanceof GatewayError
    ? error.retryable && !(error instanceof KvConflict)
    : !(error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError)
