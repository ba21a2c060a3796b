import { type ArchiveRun, archiveRuns, archiveStream } from '@cloudapi2/event-log'
import type { LogEvent } from '../log-event.ts'

/** The runs of one company, in the order in which they have to be stored. */
export interface CompanyRuns {
  companyId: string
  runs: ArchiveRun[]
}

/**
 * What a batch of the log is for the archive: of each company its events in order, split into runs. A company's runs are
 * stored one after another; companies may go side by side.
 */
export const companyRuns = (events: readonly LogEvent[]): CompanyRuns[] => {
  const companies = new Map<string, LogEvent[]>()
  for (const event of events) {
    const own = companies.get(event.companyId)
    if (own === undefined) companies.set(event.companyId, [event])
    else own.push(event)
  }
  return [...companies].map(([companyId, own]) => ({
    companyId,
    runs: archiveRuns(own, (event) => archiveStream((event as LogEvent).channel, companyId)),
  }))
}

/** What of a run is not in the archive, whose stream has come to `position`. */
export const missingOf = ({ entries }: ArchiveRun, position: number): ArchiveRun['entries'] =>
  position === 0 ? entries : entries.filter((entry) => entry.position > position)
