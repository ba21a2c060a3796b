import {
  COMMON_ENVIRONMENT,
  milliseconds,
  port,
  readEnvironment,
  TOPOLOGY_ENVIRONMENT,
  topologyOf,
} from '@cloudapi2/service-kit'
import { secretsKeysSetting } from '@cloudapi2/tenants'
import { z } from 'zod'

const Env = z.object({
  ...COMMON_ENVIRONMENT,
  PORT: port().default(8082),
  DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, 'expected postgres://user:password@host:port/database'),
  PG_POOL_SIZE: z.coerce.number().int().min(2).max(1_000).default(10),
  ADMIN_TOKEN: z.string().regex(/^[\x21-\x7e]{16,}$/, 'expected 16 or more printable ASCII characters without spaces'),
  SECRETS_KEYS: secretsKeysSetting(),
  ...TOPOLOGY_ENVIRONMENT,
  /** How often all companies are compared with what the services were told. */
  COMPARE_INTERVAL_MS: milliseconds().default(60_000),
  /** Time for the store of a broadcast or an event to confirm. */
  PUBLISH_TIMEOUT_MS: milliseconds().default(5_000),
})

/** Reads the environment once. Throws one ConfigError that names every bad variable and none of their values. */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const data = readEnvironment(Env, env)
  return {
    host: data.HOST,
    port: data.PORT,
    logLevel: data.LOG_LEVEL,
    natsUrl: data.NATS_URL,
    databaseUrl: data.DATABASE_URL,
    poolSize: data.PG_POOL_SIZE,
    adminToken: data.ADMIN_TOKEN,
    secretsKeys: data.SECRETS_KEYS,
    topology: topologyOf(data),
    compareIntervalMs: data.COMPARE_INTERVAL_MS,
    publishTimeoutMs: data.PUBLISH_TIMEOUT_MS,
  }
}
export type Config = ReturnType<typeof parseConfig>
