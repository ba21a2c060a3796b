import { COMMON_ENVIRONMENT, commonConfigOf, flag, port, readEnvironment } from '@cloudapi2/service-kit'
import { secretsKeysSetting } from '@cloudapi2/tenants'
import { z } from 'zod'

const list = (text: string) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

const Environment = z
  .object({
    ...COMMON_ENVIRONMENT,
    PORT: port().default(8080),
    /** Opens the sealed secrets of the tenants. */
    SECRETS_KEYS: secretsKeysSetting(),
    /** Meta allows 3 MB; the rest is slack. */
    WEBHOOK_MAX_BYTES: z.coerce.number().int().min(1_024).max(67_108_864).default(4_194_304),
    MAX_IN_FLIGHT: z.coerce.number().int().positive().default(1_000),
    ALLOW_UNSIGNED_WEBHOOKS: flag().default(false),
    /** The app in front of many tenants: one secret, or two separated by a comma during rotation. */
    META_APP_SECRET: z.string().transform(list).default([]),
    META_VERIFY_TOKEN: z.string().optional(),
  })
  .refine((env) => !(env.ALLOW_UNSIGNED_WEBHOOKS && env.NODE_ENV === 'production'), {
    path: ['ALLOW_UNSIGNED_WEBHOOKS'],
    message: 'must not be true when NODE_ENV is production: anybody could forge webhooks',
  })

/** Reads the environment once. @throws ConfigError naming every bad variable and none of their values */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const e = readEnvironment(Environment, env)
  return {
    ...commonConfigOf(e),
    secretsKeys: e.SECRETS_KEYS,
    maxBodyBytes: e.WEBHOOK_MAX_BYTES,
    maxInFlight: e.MAX_IN_FLIGHT,
    allowUnsigned: e.ALLOW_UNSIGNED_WEBHOOKS,
    metaAppSecrets: e.META_APP_SECRET,
    metaVerifyToken: e.META_VERIFY_TOKEN,
  }
}
export type Config = ReturnType<typeof parseConfig>
