import { connectEventStore, jetStreamLog } from '@cloudapi2/event-log'
import type { Nats } from '@cloudapi2/nats'
import type { RebuildLog } from '@cloudapi2/read-model'
import { type Context, settingOf } from '../context.store.ts'
import type { LogSource } from '../event-log.client.ts'

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
      read: async function* ({ after, upTo, ...query }) {
        if (after < archived) yield* archive.read({ ...query, after, upTo: Math.min(upTo, archived) })
        if (upTo > archived) yield* events.read({ ...query, after: Math.max(after, archived), upTo })
      },
    })
  } finally {
    await archive.close()
  }
}
