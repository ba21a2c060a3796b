import {
  adminToken,
  COMMON_ENVIRONMENT,
  commonConfigOf,
  databaseUrl,
  milliseconds,
  port,
  readEnvironment,
} from '@cloudapi2/service-kit'
import { z } from 'zod'

export const MAX_BATCH_SIZE = 1_000

const Env = z.object({
  ...COMMON_ENVIRONMENT,
  PORT: port().default(8083),
  DATABASE_URL: databaseUrl(),
  ADMIN_TOKEN: adminToken(),
  /** Events folded in one transaction at most. */
  BATCH_SIZE: z.coerce.number().int().min(1).max(MAX_BATCH_SIZE).default(500),
  /** Connections to PostgreSQL: one folds, the others answer questions. */
  PG_POOL_SIZE: z.coerce.number().int().min(2).max(100).default(8),
  /** How often it is looked what is older than its company keeps it, and what the log keeps too long. */
  RETENTION_INTERVAL_MS: milliseconds().default(3_600_000),
  /** Messages, or commands, removed in one transaction at most. */
  RETENTION_BATCH: z.coerce.number().int().min(1).max(5_000).default(100),
})

/** Reads the environment once. @throws ConfigError naming every bad variable and none of their values */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const read = readEnvironment(Env, env)
  return {
    ...commonConfigOf(read),
    databaseUrl: read.DATABASE_URL,
    poolSize: read.PG_POOL_SIZE,
    adminToken: read.ADMIN_TOKEN,
    batchSize: read.BATCH_SIZE,
    retentionIntervalMs: read.RETENTION_INTERVAL_MS,
    retentionBatch: read.RETENTION_BATCH,
  }
}
export type Config = ReturnType<typeof parseConfig>
