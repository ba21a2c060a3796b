import type { ArchivePosition } from '@cloudapi2/contracts'
import type { LogAge } from '@cloudapi2/nats'

export interface TrimFacts {
  age: LogAge
  /** The first event that is young enough to stay. */
  firstYoung: number
  /** Undefined: nobody answers. */
  archive: ArchivePosition | undefined
  /** Up to where each reader of ours has handled the log; undefined: it waits for nothing. */
  readers: readonly (number | undefined)[]
}

export type Trim = { before: number } | { blocked: 'archive_unknown' | 'not_archived_at_all' }

/**
 * Up to where the log may be trimmed: what is too old, and in the archive, and needed by no chain of an audit, and handled by
 * every reader of ours. An archive that does not answer may be behind; then nothing goes, unless an operator said that there
 * is none.
 */
export const trimPlan = ({ age, firstYoung, archive, readers }: TrimFacts): Trim => {
  if (archive?.enabled !== true && !age.withoutArchive)
    return { blocked: archive === undefined ? 'archive_unknown' : 'not_archived_at_all' }
  const archived = archive?.enabled === true ? archive.position + 1 : Number.POSITIVE_INFINITY
  const handled = readers.map((upTo) => (upTo === undefined ? Number.POSITIVE_INFINITY : upTo + 1))
  const anchored = archive === undefined ? Number.POSITIVE_INFINITY : archive.anchored + 1
  return { before: Math.min(firstYoung, archived, anchored, ...handled) }
}
