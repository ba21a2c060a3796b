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

/** What every service reads. */
export const COMMON_ENVIRONMENT = {
  PORT: port(),
  /** The address to listen on. Loopback unless told otherwise: what is public is the operator's decision. */
  HOST: z.string().default('127.0.0.1'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  NATS_URL: z.string().regex(/^(nats|tls):\/\//, 'expected nats://host:port, several separated by commas'),
  NODE_ENV: z.string().optional(),
} as const
