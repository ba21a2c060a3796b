import {
  adminToken,
  COMMON_ENVIRONMENT,
  commonConfigOf,
  milliseconds,
  port,
  readEnvironment,
} from '@cloudapi2/service-kit'
import { secretsKeysSetting } from '@cloudapi2/tenants'
import { GRAPH_ENVIRONMENT } from '@cloudapi2/whatsapp'
import { z } from 'zod'

const Env = z.object({
  ...COMMON_ENVIRONMENT,
  PORT: port().default(8081),
  ADMIN_TOKEN: adminToken(),
  SECRETS_KEYS: secretsKeysSetting(),
  ...GRAPH_ENVIRONMENT,
  GRAPH_TIMEOUT_MS: milliseconds().default(10_000),
  /** How long an HTTP caller waits for the outcome of its command. */
  SEND_WAIT_MS: milliseconds().default(10_000),
  /** The same on the Meta-compatible route, whose callers know no "later": as long as most load balancers let them. */
  META_WAIT_MS: milliseconds().default(55_000),
  MAX_ATTEMPTS: z.coerce.number().int().min(1).max(20).default(5),
  /** The first of the delays between attempts, which double. */
  RETRY_BASE_MS: milliseconds().default(1_000),
  RETRY_CAP_MS: milliseconds().default(60_000),
  UNCERTAIN_GRACE_MS: milliseconds().default(60_000),
  /** Calls to the channel at the same time; one number has half of them at most. */
  SENDER_CONCURRENCY: z.coerce.number().int().min(1).max(10_000).default(2_000),
  /** At most between two tries of a number whose account is refused, whether it has been mended. */
  PAUSE_PROBE_MS: milliseconds().default(300_000),
})

/** Reads the environment once. @throws ConfigError naming every bad variable and none of their values */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const read = readEnvironment(Env, env)
  return {
    ...commonConfigOf(read),
    adminToken: read.ADMIN_TOKEN,
    secretsKeys: read.SECRETS_KEYS,
    graph: { baseUrl: read.GRAPH_BASE_URL, version: read.GRAPH_VERSION, timeoutMs: read.GRAPH_TIMEOUT_MS },
    sendWaitMs: read.SEND_WAIT_MS,
    metaWaitMs: read.META_WAIT_MS,
    retries: { maxAttempts: read.MAX_ATTEMPTS, baseMs: read.RETRY_BASE_MS, capMs: read.RETRY_CAP_MS },
    uncertainGraceMs: read.UNCERTAIN_GRACE_MS,
    concurrency: read.SENDER_CONCURRENCY,
    pauseProbeMs: read.PAUSE_PROBE_MS,
  }
}
export type Config = ReturnType<typeof parseConfig>
