/** Of the time that a batch took, how much is waited before the next: retention has a fifth of one connection at most. */
const REST = 4
const SHORTEST_MS = 5
/** A batch that took this long met a busy database: it is not left alone for ever either. */
const LONGEST_MS = 10_000

/** How long to wait after a batch, so that events which come in never queue behind what goes. */
export const pauseAfter = (batchMs: number): number => Math.min(LONGEST_MS, Math.max(SHORTEST_MS, batchMs * REST))
