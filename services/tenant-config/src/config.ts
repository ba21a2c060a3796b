import {
  COMMON_ENVIRONMENT,
  commonConfigOf,
  databaseUrl,
  milliseconds,
  port,
  readEnvironment,
} from '@cloudapi2/service-kit'
import { secretsKeysSetting } from '@cloudapi2/tenants'
import { z } from 'zod'

const Env = z.object({
  ...COMMON_ENVIRONMENT,
  PORT: port().default(8082),
  DATABASE_URL: databaseUrl(),
  PG_POOL_SIZE: z.coerce.number().int().min(2).max(1_000).default(10),
  ADMIN_TOKEN: z.string().regex(/^[\x21-\x7e]{16,}$/, 'expected 16 or more printable ASCII characters without spaces'),
  SECRETS_KEYS: secretsKeysSetting(),
  /** How often all companies are compared with what the services were told. */
  COMPARE_INTERVAL_MS: milliseconds().default(60_000),
})

/** Reads the environment once. Throws one ConfigError that names every bad variable and none of their values. */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const data = readEnvironment(Env, env)
  return {
    ...commonConfigOf(data),
    databaseUrl: data.DATABASE_URL,
    poolSize: data.PG_POOL_SIZE,
    adminToken: data.ADMIN_TOKEN,
    secretsKeys: data.SECRETS_KEYS,
    compareIntervalMs: data.COMPARE_INTERVAL_MS,
  }
}
export type Config = ReturnType<typeof parseConfig>
