import {
  COMMON_ENVIRONMENT,
  milliseconds,
  port,
  readEnvironment,
  TOPOLOGY_ENVIRONMENT,
  topologyOf,
} from '@cloudapi2/service-kit'
import { z } from 'zod'

const Env = z.object({
  ...COMMON_ENVIRONMENT,
  PORT: port().default(8085),
  /** Not set: nothing is copied; anchors are written all the same. */
  EVENTSTORE_URL: z
    .string()
    .regex(/^esdb(\+discover)?:\/\//, 'expected esdb://host:port?tls=false, or esdb+discover://…')
    .optional(),
  /** How long an event waits for an anchor at most. */
  ANCHOR_INTERVAL_MS: milliseconds().default(3_600_000),
  PUBLISH_TIMEOUT_MS: milliseconds().default(5_000),
  ...TOPOLOGY_ENVIRONMENT,
})

/** Reads the environment once. @throws ConfigError naming every bad variable and none of their values */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const read = readEnvironment(Env, env)
  return {
    port: read.PORT,
    host: read.HOST,
    logLevel: read.LOG_LEVEL,
    natsUrl: read.NATS_URL,
    topology: topologyOf(read),
    publishTimeoutMs: read.PUBLISH_TIMEOUT_MS,
    eventStoreUrl: read.EVENTSTORE_URL,
    anchorIntervalMs: read.ANCHOR_INTERVAL_MS,
  }
}
export type Config = ReturnType<typeof parseConfig>
