/** Faults a test turns on. */
export interface Faults {
  /** The next writes, so many, are stored; then the call is cut instead of answered. */
  dropReplies: (count: number) => void
  /** From now on every call is refused as if nobody were there, and those that are open are cut; until called with false. */
  unavailable: (isUnavailable: boolean) => void
  /** Every answer to a write, and the beginning of every read, waits so many milliseconds. 0 ends it. */
  delay: (ms: number) => void
}

export const createFaults = (cutOpenCalls: () => void) => {
  let repliesToDrop = 0
  let isUnavailable = false
  let delayMs = 0
  const controls: Faults = {
    dropReplies: (count) => {
      repliesToDrop = count
    },
    unavailable: (value) => {
      isUnavailable = value
      if (value) cutOpenCalls()
    },
    delay: (ms) => {
      delayMs = ms
    },
  }
  return {
    controls,
    isUnavailable: () => isUnavailable,
    delayMs: () => delayMs,
    /** True if this answer is one that is dropped. */
    dropsReply: () => repliesToDrop > 0 && repliesToDrop-- > 0,
  }
}
export type FaultState = ReturnType<typeof createFaults>
