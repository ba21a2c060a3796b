import { z } from 'zod'

/**
 * Header of a command that comes out of the dead letters: JSON of `Redrive`. Its worker begins a new round of attempts
 * with it, where a plain repeat of the command would only be told how the first round ended.
 */
export const REDRIVE_HEADER = 'Redrive'

export const Redrive = z.object({
  /** The sequence of the dead letter. A later one is a later redrive; the same one again is the same redrive. */
  dead_letter: z.number().int().positive(),
  /** Calls to the channel in the rounds before, as the dead letter tells: for when the ledger has forgotten. */
  attempts: z.number().int().nonnegative().default(0),
  /** Also when it may have been sent already. */
  force: z.boolean().default(false),
})
export type Redrive = z.infer<typeof Redrive>

/** Reads the header; undefined when there is none, or one that means nothing: the command is then a repeat like any other. */
export const parseRedrive = (header: string | undefined): Redrive | undefined => {
  if (header === undefined) return undefined
  try {
    return Redrive.safeParse(JSON.parse(header)).data
  } catch {
    return undefined // not JSON: not of our making
  }
}
