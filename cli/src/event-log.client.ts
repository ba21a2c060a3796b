import { connectEventStore, type EventLog, jetStreamLog } from '@cloudapi2/event-log'
import { contextOf, settingOf, withNats } from './context.store.ts'
import type { LogSource } from './options.ts'

/**
 * A log for as long as `task` takes.
 *
 * @throws GatewayError NO_INSTALLATION or SETTING_MISSING; what the task throws
 */
export const withLog = async <T>(
  env: NodeJS.ProcessEnv,
  source: LogSource,
  task: (log: EventLog) => Promise<T>,
): Promise<T> => {
  const using = async (log: EventLog) => {
    try {
      return await task(log)
    } finally {
      await log.close()
    }
  }
  if (source === 'jetstream') return withNats(env, (connection) => using(jetStreamLog(connection)))
  return using(connectEventStore(settingOf(await contextOf(env), 'eventstoreUrl')))
}
