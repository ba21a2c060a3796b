import { z } from 'zod'

/** A JSON Schema of draft 2020-12, which OpenAPI 3.1 and AsyncAPI 3.0 both take. */
export type Schema = Record<string, unknown>

const UUID = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'

/** What a check in code says of a field, and its schema cannot. */
const BY_NAME: Record<string, Schema> = {
  company_id: { pattern: UUID },
  companyid: { pattern: `^_$|${UUID}` },
}

/** What a writer has to meet (`input`, defaults may be left out) or a reader may rely on (`output`). */
export const schemaOf = (schema: z.ZodType, io: 'input' | 'output' = 'input'): Schema => {
  const {
    $schema,
    '~standard': standard,
    ...rest
  } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema, path }) => {
      const name = String(path.at(-1))
      if (jsonSchema.type === 'string' && jsonSchema.pattern === undefined) Object.assign(jsonSchema, BY_NAME[name])
      // The format says it, and can be read.
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern
      // The largest number that a double tells apart is nobody's limit.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
    },
  }) as Schema
  return rest
}

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` })
export const string: Schema = { type: 'string' }
export const integer: Schema = { type: 'integer' }
export const boolean: Schema = { type: 'boolean' }
export const dateTime: Schema = { type: 'string', format: 'date-time' }
export const uuid: Schema = { type: 'string', format: 'uuid' }
export const any: Schema = {}
export const orNull = (schema: Schema): Schema =>
  typeof schema.type === 'string' ? { ...schema, type: [schema.type, 'null'] } : { anyOf: [schema, { type: 'null' }] }
export const listOf = (items: Schema): Schema => ({ type: 'array', items })

/** An answer of ours: everything named is there, unless it is among the `optional`. Later versions may add to it. */
export const answer = (properties: Record<string, Schema>, optional: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
})
