import { connectEventStore, type EventLog, jetStreamLog, type LogEntry } from '@cloudapi2/event-log'
import type { Nats } from '@cloudapi2/nats'
import type { RebuildLog } from '@cloudapi2/read-model'
import { type Context, settingOf } from '../context.store.ts'
import type { LogSource } from '../options.ts'
import { seenPositions } from './seen-positions.ts'

/**
 * The log for as long as `task` takes. From the archive comes what it has; what it lacks, because it is always a little
 * behind, comes from EVENTS. Positions are the same in both.
 *
 * @throws GatewayError SETTING_MISSING without EVENTSTORE_URL; EVENTSTORE_UNREACHABLE
 */
export const withRebuildLog = async <T>(
  source: LogSource,
  { nats, context }: { nats: Nats; context: Context },
  task: (log: RebuildLog) => Promise<T>,
): Promise<T> => {
  const events = jetStreamLog({ nats })
  if (source === 'jetstream') return task({ extent: events.extent, read: (range) => events.read(range) })

  const archive = connectEventStore(settingOf(context, 'eventstoreUrl'))
  try {
    const { first, last: archived } = await archive.extent()
    return await task({
      extent: async () => ({ first, last: Math.max(archived, (await events.extent()).last) }),
      read: (range) =>
        range.after >= archived
          ? events.read(range)
          : range.companyId === undefined
            ? wholeLog(archive, events, range)
            : ofCompany(archive, events, range),
    })
  } finally {
    await archive.close()
  }
}

interface Range {
  after: number
  upTo: number
  companyId?: string
}

/** A company's events are archived in order: what the archive lacks of them comes after what it has. */
const ofCompany = async function* (archive: EventLog, events: EventLog, range: Range): AsyncGenerator<LogEntry> {
  let last = range.after
  for await (const entry of archive.read(range)) {
    last = entry.position
    yield entry
  }
  yield* events.read({ ...range, after: last })
}

/** Companies are archived side by side: of one there may be later events in the archive than of another. */
const wholeLog = async function* (archive: EventLog, events: EventLog, range: Range): AsyncGenerator<LogEntry> {
  const seen = seenPositions(range)
  for await (const entry of archive.read(range)) {
    seen.add(entry.position)
    yield entry
  }
  const missing = seen.firstMissing()
  if (missing === undefined) return
  for await (const entry of events.read({ ...range, after: missing - 1 })) if (!seen.has(entry.position)) yield entry
}
