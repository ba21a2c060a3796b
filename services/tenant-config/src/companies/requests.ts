import { type InvalidField, invalidFields } from '@cloudapi2/contracts'
import { API_KEY_SCOPES } from '@cloudapi2/tenants'
import { z } from 'zod'

/** A request that is not valid: what is wrong, by field, never a value. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; fields: readonly InvalidField[] }

const parsed = <S extends z.ZodType>(schema: S, value: unknown): Parsed<z.infer<S>> => {
  const result = schema.safeParse(value)
  return result.success ? { ok: true, value: result.data } : { ok: false, fields: invalidFields(result.error) }
}

// PostgreSQL's text takes no U+0000.
const name = z
  .string({ error: 'expected a text' })
  .refine((text) => text.trim() !== '' && text.length <= 200, { error: 'expected 1 to 200 characters' })
  .refine((text) => !text.includes('\u0000'), { error: 'contains U+0000' })

const properties = z.record(z.string(), z.unknown(), { error: 'expected an object' })

/** What GET adds to a company; sent back with a change, it is passed over. */
const SHOWN_ONLY = { id: z.unknown(), problems: z.unknown(), created_at: z.unknown(), updated_at: z.unknown() }

const body = { error: 'expected a JSON object with the known keys only' }

// Strict: a misspelt custom_properties would otherwise empty the settings.
export const Put = z.strictObject({ name, custom_properties: properties.default({}), ...optional(SHOWN_ONLY) }, body)
export const Patch = z.strictObject(
  { name: name.optional(), custom_properties: properties.optional(), ...optional(SHOWN_ONLY) },
  body,
)

function optional<T extends Record<string, z.ZodUnknown>>(shape: T) {
  return Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, schema.optional()])) as {
    [K in keyof T]: z.ZodOptional<T[K]>
  }
}

export const NewApiKey = z.strictObject(
  {
    name,
    scopes: z
      .array(z.enum(API_KEY_SCOPES, { error: `expected one of ${API_KEY_SCOPES.join(', ')}` }), {
        error: `expected a list of ${API_KEY_SCOPES.join(', ')}`,
      })
      .min(1, { error: 'expected at least one scope' })
      .transform((scopes) => [...new Set(scopes)].sort()),
  },
  body,
)

export const parsePut = (value: unknown) => parsed(Put, value)
export const parsePatch = (value: unknown) => parsed(Patch, value)
export const parseNewApiKey = (value: unknown) => parsed(NewApiKey, value)

const uuid = z.string().regex(/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/, { error: 'expected a UUID' })

const id = (field: string) => z.object({ [field]: uuid.transform((text) => text.toLowerCase()) })
const CompanyParams = id('company_id')
const ApiKeyParams = id('key_id')

/** The company of the path, in lower case. */
export const parseCompanyId = (params: unknown): Parsed<string> => {
  const result = parsed(CompanyParams, params)
  return result.ok ? { ok: true, value: result.value.company_id as string } : result
}

export const parseKeyId = (params: unknown): Parsed<string> => {
  const result = parsed(ApiKeyParams, params)
  return result.ok ? { ok: true, value: result.value.key_id as string } : result
}

const PAGE = 1_000
export const ListQuery = z.object({
  after: uuid.optional(),
  limit: z.coerce
    .number({ error: `expected a whole number from 1 to ${PAGE}` })
    .int({ error: `expected a whole number from 1 to ${PAGE}` })
    .min(1, { error: `expected a whole number from 1 to ${PAGE}` })
    .max(PAGE, { error: `expected a whole number from 1 to ${PAGE}` })
    .default(PAGE),
})
export const parseListQuery = (query: unknown) => parsed(ListQuery, query)
