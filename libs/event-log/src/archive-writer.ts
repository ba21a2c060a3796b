import type { LogEntry } from './event-log.ts'
import type { EventStoreUnreachable } from './event-log-errors.ts'

/** The revision of a stream's last event, or that there is no such stream (yet). */
export type Revision = bigint | 'no_stream'

/** How far a stream of the archive has come. */
export interface ArchivedUpTo {
  /** The position in EVENTS of its last event; 0 when it has none. */
  position: number
  /** The id in that event's body; undefined when it has none. */
  id?: string | undefined
  /** What `appendAt` expects next. */
  revision: Revision
}

/**
 * `stored`: all of them, in one step. `wrong_revision`: nothing was stored by this call, somebody else (or an earlier try
 * whose answer was lost) was there before: read `lastPositionIn` and go on from it. `unavailable`: nobody knows whether
 * they were stored; the same, once the archive answers again.
 */
export type AppendAnswer =
  | { kind: 'stored'; revision: bigint }
  | { kind: 'wrong_revision'; actual: Revision }
  | { kind: 'unavailable'; error: EventStoreUnreachable }

/** What is stored in the archive. */
export interface ArchiveEntry extends LogEntry {
  /** The type that its subject in EVENTS names; left out: the one in its body. */
  type?: string
}

/** A run of events of one stream of the archive, in order. */
export interface ArchiveRun {
  stream: string
  entries: ArchiveEntry[]
}

/**
 * What the copy of EVENTS into the archive is made with. Exactly once comes of three things together: the position that
 * each copied event carries in its metadata, asking for the last of it before going on, and the expected revision, which
 * lets one of two writers win.
 *
 * Whoever reads the archive counts on one more: a company's events are stored in the order of their positions over all
 * of its streams. So the runs of one company are stored one after another, each once the one before is known to be
 * stored; different companies may go side by side.
 */
export interface ArchiveWriter {
  /**
   * Where a stream ends.
   *
   * @throws EventStoreUnreachable
   */
  lastPositionIn: (stream: string) => Promise<ArchivedUpTo>
  /**
   * Appends all or nothing; `archiveRuns` makes runs of a good size. A body that is a JSON object is stored as JSON under
   * its own id, anything else as the bytes it is.
   *
   * @throws ArchiveRefused when the server will never take these, such as one that is larger than its limit
   */
  appendAt: (stream: string, entries: readonly ArchiveEntry[], expected: Revision) => Promise<AppendAnswer>
}

/**
 * The server takes 1 MiB in one append unless it was configured otherwise (`MaxAppendSize`), names and metadata
 * included.
 *
 * @see https://docs.kurrent.io/server/v24.10/configuration/ ("Max append size")
 */
const MAX_RUN_BYTES = 900_000
const MAX_RUN_ENTRIES = 1_000

/**
 * Splits events of one company, in order, into runs that can be appended one after another. An event that is larger than
 * a run may be is a run of its own.
 *
 * @param streamOf the stream an event belongs to: `archiveStream` of its channel and company
 */
export const archiveRuns = (
  entries: readonly ArchiveEntry[],
  streamOf: (entry: ArchiveEntry) => string,
): ArchiveRun[] => {
  const runs: ArchiveRun[] = []
  let run: ArchiveRun | undefined
  let bytes = 0
  for (const entry of entries) {
    const stream = streamOf(entry)
    const isFull =
      run !== undefined && (run.entries.length >= MAX_RUN_ENTRIES || bytes + entry.body.length > MAX_RUN_BYTES)
    if (run === undefined || isFull || run.stream !== stream) {
      run = { stream, entries: [] }
      runs.push(run)
      bytes = 0
    }
    run.entries.push(entry)
    bytes += entry.body.length
  }
  return runs
}
