import type { TemplateValue } from '@cloudapi2/contracts'
import { charactersOf } from '../outbound-message/field-schemas.ts'
import type { DataFaults } from './template-data-mismatch.ts'
import type { TemplateDefinition } from './template-definition.ts'
import { below, isNested } from './template-tree.ts'

/** One value of the data. */
export interface Given {
  key: string
  value: TemplateValue
  /** Its key from the top, such as `cards.0.buttons.1`. */
  path: string
}

/** What has been found wrong so far, and where in the template it is being filled. */
export interface Filling extends DataFaults {
  isNamed: boolean
  /** In front of every key: empty, or `cards.0.`. */
  at: string
}

export const startFilling = (isNamed: boolean): Filling => ({
  missing: [],
  surplus: [],
  invalid: [],
  isNamed,
  at: '',
})

/** One parameter of Meta's request. */
export type Parameter = Record<string, unknown>

const tooLong = (text: string, max: number): string | undefined => {
  const found = charactersOf(text)
  return found > max ? `expected at most ${max} characters, found ${found}` : undefined
}

/** The text of a value; undefined, and told so, where it has none, an empty one, or more than `max` characters. */
export const textOf = (
  { value, path }: Given,
  filling: Filling,
  max = Number.POSITIVE_INFINITY,
): string | undefined => {
  const message = isNested(value)
    ? 'expected a text'
    : String(value) === ''
      ? 'expected a text that is not empty'
      : tooLong(String(value), max)
  if (message === undefined) return String(value)
  filling.invalid.push({ path, message })
  return undefined
}

/**
 * The fields of a value that is an object. What it lacks, or has too much, is told.
 *
 * @returns the fields it has; undefined where it is no object, or lacks one
 */
export const fieldsOf = (
  { value, path }: Given,
  { required = [], optional = [], what }: { required?: readonly string[]; optional?: readonly string[]; what: string },
  filling: Filling,
): Record<string, TemplateValue> | undefined => {
  if (!isNested(value) || Array.isArray(value)) {
    filling.invalid.push({ path, message: `expected ${what}` })
    return undefined
  }
  const fields = below(value)
  const missing = required.filter((name) => !fields.has(name))
  filling.missing.push(...missing.map((name) => ({ path: `${path}.${name}`, expected: `the ${name} of ${what}` })))
  for (const name of fields.keys())
    if (!required.includes(name) && !optional.includes(name)) filling.surplus.push(`${path}.${name}`)
  if (missing.length > 0) return undefined
  return Object.fromEntries(
    [...required, ...optional].flatMap((name) => {
      const inner = fields.get(name)
      return inner === undefined ? [] : [[name, inner]]
    }),
  )
}

/** Parameters of the body that are more than a text, known by a field that no other has. */
const RICH = [
  { type: 'currency', mark: 'amount_1000', fields: ['fallback_value', 'code', 'amount_1000'], what: 'an amount' },
  { type: 'date_time', mark: 'fallback_value', fields: ['fallback_value'], what: 'a date' },
  { type: 'group_id', mark: 'group_id', fields: ['group_id'], what: 'a group' },
] as const

const richParameter = (given: Given, filling: Filling): Parameter | undefined => {
  const fields = below(given.value)
  const kind = RICH.find(({ mark }) => fields.has(mark))
  if (kind === undefined) return undefined
  const found = fieldsOf(given, { required: kind.fields, what: kind.what }, filling)
  if (found === undefined) return {}
  return { type: kind.type, [kind.type]: kind.type === 'group_id' ? String(found.group_id) : found }
}

/** A parameter of the body or of a text header; none where the value cannot be one. */
export const textParameter = (
  given: Given,
  { name, max }: { name?: string; max: number },
  filling: Filling,
): Parameter[] => {
  const named = name === undefined ? {} : { parameter_name: name }
  const rich = richParameter(given, filling)
  if (rich !== undefined) return [{ ...rich, ...named }]
  const text = textOf(given, filling, max)
  return text === undefined ? [] : [{ type: 'text', text, ...named }]
}

const LINK = /^https?:\/\//i
const UPLOAD_ID = /^\d+$/

const fileOf = (kind: string, given: Given, filling: Filling): Parameter | undefined => {
  const what = `${kind === 'image' ? 'an' : 'a'} ${kind}, by link or by the id of an upload`
  if (!isNested(given.value)) {
    const text = String(given.value)
    if (LINK.test(text)) return { link: text }
    if (UPLOAD_ID.test(text)) return { id: text }
    filling.invalid.push({ path: given.path, message: `expected ${what}` })
    return undefined
  }
  const optional = ['link', 'id', ...(kind === 'document' ? ['filename'] : [])]
  const found = fieldsOf(given, { optional, what }, filling)
  if (found === undefined) return undefined
  if ((found.link === undefined) === (found.id === undefined)) {
    filling.invalid.push({ path: given.path, message: 'expected exactly one of link and id' })
    return undefined
  }
  return Object.fromEntries(Object.entries(found).map(([name, value]) => [name, String(value)]))
}

/** Headers that are an object of the data, field by field. */
const HEADER_OBJECTS: Readonly<Record<string, { required: string[]; optional?: string[]; what: string }>> = {
  location: { required: ['latitude', 'longitude'], optional: ['name', 'address'], what: 'a location' },
  product: { required: ['product_retailer_id', 'catalog_id'], what: 'a product' },
}

/** The parameter of a header that is no text. `format`: Meta's, in capitals. A format not known here is a file. */
export const fillHeader = (
  format: string,
  given: Given | undefined,
  filling: Filling,
  cover: string | undefined,
): Parameter[] => {
  const kind = format.toLowerCase()
  const shape = HEADER_OBJECTS[kind]
  if (given === undefined) {
    if (kind === 'image' && cover !== undefined) return [{ type: kind, image: { link: cover } }]
    const expected = shape?.what ?? `${kind === 'image' ? 'an' : 'a'} ${kind}, by link or by the id of an upload`
    filling.missing.push({ path: `${filling.at}header`, expected })
    return []
  }
  const content = shape === undefined ? fileOf(kind, given, filling) : textsOf(fieldsOf(given, shape, filling))
  return content === undefined ? [] : [{ type: kind, [kind]: content }]
}

const textsOf = (fields: Record<string, TemplateValue> | undefined) =>
  fields && Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]))

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/

/** Milliseconds since 1970 of a time given as such, or as text. */
const timeOf = (value: TemplateValue): number | undefined => {
  if (isNested(value) || typeof value === 'boolean') return undefined
  const ms = typeof value === 'string' && RFC_3339.test(value) ? Date.parse(value) : Number(value)
  return Number.isSafeInteger(ms) && ms > 0 ? ms : undefined
}

/** When a limited-time offer ends. */
export const fillOffer = (
  { expires }: NonNullable<TemplateDefinition['offer']>,
  given: Given | undefined,
  filling: Filling,
): Parameter[] => {
  const expected = 'a time as 2026-12-24T18:00:00Z, or in milliseconds since 1970'
  if (given === undefined) {
    if (expires) filling.missing.push({ path: 'offer_expires_at', expected })
    return []
  }
  const expiration_time_ms = timeOf(given.value)
  if (expiration_time_ms === undefined) {
    filling.invalid.push({ path: given.path, message: `expected ${expected}` })
    return []
  }
  const type = 'limited_time_offer'
  return [{ type, parameters: [{ type, [type]: { expiration_time_ms } }] }]
}
