import { GatewayError, type InvalidField } from '@cloudapi2/contracts'
import { z } from 'zod'
import { isCountry } from './countries.ts'

/** What a company's settings are called in `companies.custom_properties`, and what is read from there; any key may be there. */
export type CustomProperties = Readonly<Record<string, unknown>>

/** The properties that are kept sealed and shown masked. */
export const SECRET_PROPERTIES = ['WHATSAPP_ACCESS_TOKEN', 'WHATSAPP_APP_SECRET', 'WHATSAPP_VERIFY_TOKEN'] as const
export type SecretProperty = (typeof SECRET_PROPERTIES)[number]

export const isSecretProperty = (name: string): name is SecretProperty =>
  (SECRET_PROPERTIES as readonly string[]).includes(name)

/** Messages per second a number may send at Meta: 80 unless Meta raised it to 1,000; 20 for a number also used in the phone app. */
export const MESSAGES_PER_SECOND = [80, 20, 1000] as const
export const DEFAULT_MESSAGES_PER_SECOND = 80

/** Numbers are also taken as text of digits: forms and other programs often write them so. */
const wholeNumber = (min: number, max: number) => {
  const error = `expected a whole number from ${min} to ${max}`
  return z
    .union(
      [
        z.number(),
        z
          .string()
          .regex(/^[0-9]{1,12}$/)
          .transform(Number),
      ],
      { error },
    )
    .pipe(z.number().int({ error }).min(min, { error }).max(max, { error }))
}

/** An id at Meta. It becomes part of URLs and keys, so it may be nothing but digits; a JSON number is taken as its digits. */
const digits = z
  .union([z.string(), z.number().int().nonnegative().transform(String)], { error: 'expected digits' })
  .pipe(z.string().regex(/^[0-9]{1,32}$/, { error: 'expected 1 to 32 digits' }))

const nonEmpty = z.string({ error: 'expected a text' }).min(1, { error: 'expected a text that is not empty' })

const appSecrets = z.union([nonEmpty.transform((secret) => [secret]), z.array(nonEmpty).min(1).max(2)], {
  error: 'expected a text that is not empty, or a list of one or two of them',
})

const phoneNumber = z.object(
  {
    id: digits,
    display_phone_number: z
      .string({ error: 'expected a text' })
      .max(40, { error: 'expected 40 characters at most' })
      .optional(),
    messages_per_second: wholeNumber(1, 1000)
      .refine((rate) => (MESSAGES_PER_SECOND as readonly number[]).includes(rate), {
        error: `expected one of ${MESSAGES_PER_SECOND.join(', ')}`,
      })
      .default(DEFAULT_MESSAGES_PER_SECOND),
  },
  { error: 'expected an object with id' },
)

const phoneNumbers = z
  .array(phoneNumber, { error: 'expected a list of {id, display_phone_number, messages_per_second}' })
  .max(1000, { error: 'expected 1000 numbers at most' })
  .superRefine((numbers, context) => {
    const seen = new Set<string>()
    for (const [index, { id }] of numbers.entries()) {
      if (seen.has(id)) context.addIssue({ code: 'custom', path: [index, 'id'], message: 'is in the list twice' })
      seen.add(id)
    }
  })

/**
 * The properties this system knows (names in upper case, as the first version of it had them), each with its default.
 * Secrets may be here in clear or sealed: to this schema both are text.
 */
const Known = z.object({
  WHATSAPP_ACCESS_TOKEN: nonEmpty
    // Anything else would split the request's header.
    .refine((token) => /^[\x20-\x7e]*$/.test(token), { error: 'expected printable ASCII characters only' })
    .optional(),
  WHATSAPP_PHONE_NUMBER_ID: digits.optional(),
  WHATSAPP_BUSINESS_ID: digits.optional(),
  WHATSAPP_COVER: z
    .url({ protocol: /^https?$/, error: 'expected a URL that starts with https:// or http://' })
    .max(2048, { error: 'expected 2048 characters at most' })
    .optional(),
  WHATSAPP_APP_SECRET: appSecrets.optional(),
  WHATSAPP_VERIFY_TOKEN: nonEmpty.optional(),
  WHATSAPP_PHONE_NUMBERS: phoneNumbers.optional(),
  DEFAULT_COUNTRY: z
    .string({ error: 'expected a country code such as ES' })
    .transform((code) => code.toUpperCase())
    .refine(isCountry, { error: 'expected an ISO 3166 country code of two letters, such as ES' })
    .default('ES'),
  RESPONSIBLE_EMAIL: z.email({ error: 'expected an e-mail address' }).optional(),
  CHAT_URL: z
    .string({ error: 'expected a text' })
    .max(2048, { error: 'expected 2048 characters at most' })
    .refine((url) => url.includes('{chat_id}'), { error: 'expected a URL that contains {chat_id}' })
    .optional(),
  RETENTION_DAYS: wholeNumber(1, 36_500).optional(),
  RATE_LIMIT_MAX_CALLS: wholeNumber(1, 1_000_000).default(20),
  RATE_LIMIT_WINDOW_SECONDS: wholeNumber(1, 86_400).default(60),
  ON_UNCERTAIN: z.enum(['resend', 'park'], { error: 'expected resend or park' }).default('park'),
})

/** The known properties, read: defaults filled in, numbers as numbers, app secrets as a list. */
export type KnownProperties = z.infer<typeof Known>

export const KNOWN_PROPERTIES: readonly string[] = Object.keys(Known.shape)

/** Settings that cannot be used. `fields` name each property that is wrong and what was expected, never the value found. */
export class InvalidSettings extends GatewayError {
  readonly fields: readonly InvalidField[]
  constructor(fields: readonly InvalidField[]) {
    super(`settings are not valid: ${fields.map((field) => `${field.path}: ${field.message}`).join('; ')}`, {
      code: 'INVALID_SETTINGS',
      retryable: false,
    })
    this.fields = fields
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

/**
 * Reads `custom_properties`. Unknown keys are no fault and are not in the result; a known one that is null counts as
 * absent.
 *
 * @throws InvalidSettings naming every property that is wrong
 */
export const parseCustomProperties = (properties: unknown): KnownProperties => {
  if (!isObject(properties)) throw new InvalidSettings([{ path: 'custom_properties', message: 'expected an object' }])
  const present = Object.fromEntries(
    KNOWN_PROPERTIES.filter((name) => Object.hasOwn(properties, name) && properties[name] !== null).map((name) => [
      name,
      properties[name],
    ]),
  )
  const parsed = Known.safeParse(present)
  if (parsed.success) return parsed.data
  throw new InvalidSettings(parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })))
}
