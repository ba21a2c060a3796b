import {
  adminToken,
  COMMON_ENVIRONMENT,
  commonConfigOf,
  flag,
  milliseconds,
  port,
  readEnvironment,
} from '@cloudapi2/service-kit'
import { secretsKeysSetting } from '@cloudapi2/tenants'
import { GRAPH_ENVIRONMENT } from '@cloudapi2/whatsapp'
import { z } from 'zod'

const Env = z
  .object({
    ...COMMON_ENVIRONMENT,
    PORT: port().default(8084),
    ADMIN_TOKEN: adminToken(),
    SECRETS_KEYS: secretsKeysSetting(),
    ...GRAPH_ENVIRONMENT,
    GRAPH_TIMEOUT_MS: milliseconds().default(10_000),
    /** Files fetched at the same time; one company has an eighth of them at most. */
    MEDIA_MAX_IN_FLIGHT: z.coerce.number().int().min(1).max(1_000).default(32),
    /** The first of the delays between attempts, which double. */
    MEDIA_RETRY_BASE_MS: milliseconds().default(2_000),
    MEDIA_RETRY_CAP_MS: milliseconds().default(3_600_000),
    /** How often a company whose token is refused is tried again, unless it gets another one before. */
    MEDIA_PAUSE_MS: milliseconds().default(300_000),
    /** For one file from first byte to last, however slowly it comes. */
    MEDIA_DOWNLOAD_TIMEOUT_MS: milliseconds().default(600_000),
    /** Set: files go to this S3 bucket instead of NATS. */
    MEDIA_S3_BUCKET: z.string().optional(),
    /** Not set: Amazon's. */
    MEDIA_S3_ENDPOINT: z.url({ protocol: /^https?$/, error: 'expected a URL of http or https' }).optional(),
    MEDIA_S3_REGION: z.string().default('us-east-1'),
    MEDIA_S3_ACCESS_KEY_ID: z.string().optional(),
    MEDIA_S3_SECRET_ACCESS_KEY: z.string().optional(),
    /** The bucket in the path instead of the host name: most stores that are not Amazon's want it. */
    MEDIA_S3_FORCE_PATH_STYLE: flag().optional(),
  })
  .refine((env) => (env.MEDIA_S3_ACCESS_KEY_ID === undefined) === (env.MEDIA_S3_SECRET_ACCESS_KEY === undefined), {
    path: ['MEDIA_S3_ACCESS_KEY_ID'],
    error: 'expected together with MEDIA_S3_SECRET_ACCESS_KEY, or neither of them',
  })
  .refine((env) => env.MEDIA_S3_ENDPOINT === undefined || env.MEDIA_S3_BUCKET !== undefined, {
    path: ['MEDIA_S3_BUCKET'],
    error: 'missing: MEDIA_S3_ENDPOINT is set',
  })

/** Reads the environment once. @throws ConfigError naming every bad variable and none of their values */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const read = readEnvironment(Env, env)
  const { MEDIA_S3_BUCKET: bucket, MEDIA_S3_ACCESS_KEY_ID: accessKeyId, MEDIA_S3_SECRET_ACCESS_KEY: secret } = read
  return {
    ...commonConfigOf(read),
    adminToken: read.ADMIN_TOKEN,
    secretsKeys: read.SECRETS_KEYS,
    graph: { baseUrl: read.GRAPH_BASE_URL, version: read.GRAPH_VERSION, timeoutMs: read.GRAPH_TIMEOUT_MS },
    maxInFlight: read.MEDIA_MAX_IN_FLIGHT,
    retries: { baseMs: read.MEDIA_RETRY_BASE_MS, capMs: read.MEDIA_RETRY_CAP_MS },
    pauseMs: read.MEDIA_PAUSE_MS,
    downloadTimeoutMs: read.MEDIA_DOWNLOAD_TIMEOUT_MS,
    /** Undefined: NATS holds the files. */
    s3:
      bucket === undefined
        ? undefined
        : {
            bucket,
            endpoint: read.MEDIA_S3_ENDPOINT,
            region: read.MEDIA_S3_REGION,
            credentials:
              accessKeyId === undefined || secret === undefined ? undefined : { accessKeyId, secretAccessKey: secret },
            forcePathStyle: read.MEDIA_S3_FORCE_PATH_STYLE ?? read.MEDIA_S3_ENDPOINT !== undefined,
          },
  }
}
export type Config = ReturnType<typeof parseConfig>
