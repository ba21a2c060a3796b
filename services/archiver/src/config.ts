import {
  COMMON_ENVIRONMENT,
  commonConfigOf,
  eventStoreUrl,
  milliseconds,
  port,
  readEnvironment,
} from '@cloudapi2/service-kit'
import { z } from 'zod'

const Env = z.object({
  ...COMMON_ENVIRONMENT,
  PORT: port().default(8085),
  /** Not set: nothing is copied; anchors are written all the same. */
  EVENTSTORE_URL: eventStoreUrl().optional(),
  /** How long an event waits for an anchor at most. */
  ANCHOR_INTERVAL_MS: milliseconds().default(3_600_000),
})

/** Reads the environment once. @throws ConfigError naming every bad variable and none of their values */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const read = readEnvironment(Env, env)
  return {
    ...commonConfigOf(read),
    eventStoreUrl: read.EVENTSTORE_URL,
    anchorIntervalMs: read.ANCHOR_INTERVAL_MS,
  }
}
export type Config = ReturnType<typeof parseConfig>
