import { z } from 'zod'

/** How far the copy has come, as it is kept between two runs. It is never ahead of what is stored. */
export const Checkpoint = z.object({
  /** Every event up to this position of EVENTS is in the archive, or was refused by it for good. */
  position: z.number().int().nonnegative(),
  /** The id of the event at that position. */
  id: z.string(),
  /**
   * Where each stream of the archive ended that the last batch went to. An archive that was put back from an older copy
   * does not have them, and what it lacks is stored again.
   */
  ends: z.record(z.string(), z.number().int().positive()),
})
export type Checkpoint = z.infer<typeof Checkpoint>

/** What was stored as a checkpoint; undefined when it cannot be read, and the copy has to begin at the beginning. */
export const checkpointIn = (value: Uint8Array): Checkpoint | undefined => {
  try {
    return Checkpoint.safeParse(JSON.parse(new TextDecoder().decode(value))).data
  } catch {
    return undefined
  }
}

/** The id of an event, whatever else its body holds; `''` when there is none. */
export const idIn = (body: Uint8Array): string => {
  try {
    const { id } = (JSON.parse(new TextDecoder().decode(body)) ?? {}) as { id?: unknown }
    return typeof id === 'string' ? id : ''
  } catch {
    return ''
  }
}
