import type { ExportHead, ExportHeader } from './export-format.ts'

/**
 * `changed`, `dropped`, `added`, `moved`: what happened to a line. `cut_off`: the end is missing. `unknown_format`: no export,
 * or one of another version. `wrong_key`: signed with another key than the one given. `rewritten`: an earlier record of the
 * chain says otherwise, so the past was changed before it was exported. `not_comparable`: an earlier record was to be compared
 * with, and has nothing in common with this export.
 */
export type FaultKind =
  | 'changed'
  | 'dropped'
  | 'added'
  | 'moved'
  | 'cut_off'
  | 'unknown_format'
  | 'wrong_key'
  | 'rewritten'
  | 'not_comparable'

export interface Fault {
  kind: FaultKind
  /** The first line of the file that is not as it was, from 1. Of `dropped`: where the first missing one was. */
  line: number
  /** Where it cannot be told which one of several: the last that it may be. */
  to_line?: number
  /** In words, for people. Nothing of an event's content. */
  message: string
}

/** What is to be said of an export. */
export interface Verdict {
  /** True when nothing was changed, dropped, added or moved, and the key given signed it. */
  whole: boolean
  /** What is wrong, the first line first. */
  faults: Fault[]
  /** As the file has them; absent where it has no such line. */
  header?: ExportHeader
  head?: ExportHead
  /** Recorded heads (`audit.anchored`) in it that were compared; `not_covered` are about events before its first. */
  anchors: { agreed: number; not_covered: number }
  /** Heads of the earlier record that were compared; absent when none was given. */
  against?: { agreed: number }
}

export const verdictOf = (verdict: Omit<Verdict, 'whole'>): Verdict => ({
  ...verdict,
  whole: verdict.faults.length === 0,
  faults: [...verdict.faults].sort((a, b) => a.line - b.line),
})
