import { GatewayError } from '@cloudapi2/contracts'
import { z } from 'zod'

/** The environment is not usable: names every bad variable, and none of their values. */
export class ConfigError extends GatewayError {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(
      `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n  ${faults.join('\n  ')}`,
      {
        code: 'BAD_CONFIGURATION',
        retryable: false,
      },
    )
    this.faults = faults
  }
}

/**
 * Reads the environment once. An empty variable counts as not set.
 *
 * @throws ConfigError naming every bad variable and none of their values
 */
export const readEnvironment = <S extends z.ZodType>(schema: S, env: NodeJS.ProcessEnv): z.infer<S> => {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = schema.safeParse(set)
  if (parsed.success) return parsed.data
  throw new ConfigError(
    parsed.error.issues.map((issue) => `${issue.path.join('.') || 'environment'}: ${wording(issue)}`),
  )
}

// zod's own texts can quote what they found (invalid_value lists only what it expected, custom texts are ours).
const wording = (issue: z.core.$ZodIssue): string =>
  issue.code === 'invalid_type' ? `missing, or not a ${issue.expected}` : issue.message

/** `true`/`false` (or `1`/`0`, `on`/`off`) as a boolean. */
export const flag = () =>
  z.enum(['true', 'false', '1', '0', 'on', 'off']).transform((text) => text === 'true' || text === '1' || text === 'on')

export const port = () => z.coerce.number().int().min(0).max(65_535)
export const milliseconds = () => z.coerce.number().int().positive().max(86_400_000)

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** `400d`, `36h`, `90m`, `10s`; in milliseconds. */
export const duration = () =>
  z
    .string()
    .regex(/^[1-9][0-9]{0,5}[smhd]$/, 'expected a number and one of s, m, h, d, such as 400d')
    .transform((text) => Number(text.slice(0, -1)) * SECONDS[text.slice(-1) as keyof typeof SECONDS] * 1_000)

/** How streams are made, by whoever makes them first. */
export const TOPOLOGY_ENVIRONMENT = {
  /** Copies of each stream: 1 on a single node, 3 in a cluster. */
  NATS_REPLICAS: z.coerce.number().int().min(1).max(5).default(1),
  /** How long the log keeps events; not set: for ever. */
  EVENTS_MAX_AGE: duration().optional(),
  /** Events go by age although nothing copies them to an archive. */
  EVENTS_MAX_AGE_WITHOUT_ARCHIVE: flag().default(false),
} as const

/** The topology's options out of an environment that was read with `TOPOLOGY_ENVIRONMENT`. */
export const topologyOf = (read: {
  NATS_REPLICAS: number
  EVENTS_MAX_AGE?: number | undefined
  EVENTS_MAX_AGE_WITHOUT_ARCHIVE?: boolean | undefined
}) => ({
  replicas: read.NATS_REPLICAS,
  eventsMaxAgeMs: read.EVENTS_MAX_AGE ?? 0,
  ...(read.EVENTS_MAX_AGE_WITHOUT_ARCHIVE === true ? { eventsMaxAgeWithoutArchive: true } : {}),
})

/** The operator's own token, of the services that answer companies too; not set: there is none. */
export const adminToken = () => z.string().min(16, 'expected at least 16 characters').optional()

/** The servers, by URL. */
export const natsUrl = () =>
  z.string().regex(/^(nats|tls):\/\//, 'expected nats://host:port, several separated by commas')
export const databaseUrl = () =>
  z.string().regex(/^postgres(ql)?:\/\//, 'expected postgres://user:password@host:port/database')
export const eventStoreUrl = () =>
  z.string().regex(/^esdb(\+discover)?:\/\//, 'expected esdb://host:port?tls=false, or esdb+discover://…')

/** What every service reads. */
export const COMMON_ENVIRONMENT = {
  PORT: port(),
  /** The address to listen on. Loopback unless told otherwise: what is public is the operator's decision. */
  HOST: z.string().default('127.0.0.1'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  NATS_URL: natsUrl(),
  NODE_ENV: z.string().optional(),
  /** Time for a stream to confirm what is published to it. */
  PUBLISH_TIMEOUT_MS: milliseconds().default(5_000),
  ...TOPOLOGY_ENVIRONMENT,
} as const

/** The part of a service's settings that is the same for all, out of an environment that was read with `COMMON_ENVIRONMENT`. */
export const commonConfigOf = (read: z.infer<z.ZodObject<typeof COMMON_ENVIRONMENT>>) => ({
  port: read.PORT,
  host: read.HOST,
  logLevel: read.LOG_LEVEL,
  natsUrl: read.NATS_URL,
  topology: topologyOf(read),
  publishTimeoutMs: read.PUBLISH_TIMEOUT_MS,
})
