import { z } from 'zod'

/** How far the copy of the log in the archive has come: the answer on `qry.archive.position`. */
export const ArchivePosition = z.looseObject({
  /** Every event up to this position of EVENTS is in the archive, or is a dead letter because the archive refuses it. */
  position: z.number().int().nonnegative(),
  /** False when nothing is copied: no archive is configured. */
  enabled: z.boolean(),
  /** Everything that was in EVENTS when the question came is in the archive. */
  caught_up: z.boolean(),
  /**
   * Every event up to this position is told of by an anchor that is still in EVENTS: what a company's chain goes on from is
   * after it. 0: not known yet.
   */
  anchored: z.number().int().nonnegative(),
})
export type ArchivePosition = z.infer<typeof ArchivePosition>
