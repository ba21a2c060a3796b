import { z } from 'zod'

/**
 * What the schemas of outbound messages are made of. Every fault says what was expected and, of lengths and counts, what
 * was found; none repeats a value. A field that must be there and is not says `required`. Null counts as absent, as
 * some SDKs write it for what was left out.
 */

/** The words for a value of the wrong type, or none. */
export const expected = (what: string) => ({
  error: ({ input }: { input?: unknown }) =>
    input === undefined || input === null ? `required: expected ${what}` : `expected ${what}`,
})

export const optional = <T extends z.ZodType>(schema: T) => schema.nullish()

/**
 * Length of a text as it is held against Meta's limits. Meta says "characters" without saying which. Code points are
 * never more than UTF-16 units, so that nothing is refused here that Meta would take for the shorter count; whatever
 * Meta counts otherwise, it says so itself.
 */
export const charactersOf = (text: string): number => {
  let count = 0
  for (const _ of text) count += 1
  return count
}

/** A text of `min` (1 unless told) to `max` characters. */
export const text = ({ min = 1, max }: { min?: number; max?: number } = {}) => {
  const range = max === undefined ? 'a text that is not empty' : `a text of ${min} to ${max} characters`
  return z.string(expected(range)).superRefine((value, context) => {
    const found = charactersOf(value)
    if (found < min) context.addIssue({ code: 'custom', message: `expected ${range}, found it empty` })
    else if (max !== undefined && found > max)
      context.addIssue({ code: 'custom', message: `expected at most ${max} characters, found ${found}` })
  })
}

/** An id of Meta's: a text, or a number where JSON was written by hand. */
export const id = z.union([z.string().min(1), z.number()], expected('an id'))

/** Graph reads these words as well, as forms have nothing else. */
export const bool = z.union([z.boolean(), z.enum(['true', 'false'])], expected('true or false'))

const HTTP_URL = /^https?:\/\/[^\s/]/i

export const httpUrl = z
  .string(expected('an http or https URL'))
  .refine((value) => HTTP_URL.test(value) && URL.canParse(value), 'expected an http or https URL')

/** A field that only others take. */
export const absent = (why: string) =>
  z
    .unknown()
    .refine((value) => value === undefined || value === null, `expected nothing: ${why}`)
    .optional()

/** The one value that Meta takes here. */
export const constant = (value: string) => z.literal(value, expected(`"${value}"`))

const NUMBER = /^[+-]?\d+(\.\d+)?$/

/** A number, or a text that is one; within a range where there is one. */
const numeric = (what: string, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY) =>
  z
    .union([z.number(), z.string()], expected(what))
    .refine(
      (value) => (typeof value === 'number' || NUMBER.test(value)) && Number(value) >= min && Number(value) <= max,
      `expected ${what}`,
    )

export const number = numeric('a number')
export const numberWithin = (min: number, max: number) => numeric(`a number from ${min} to ${max}`, min, max)

/** A list of `min` to `max`; `what`: its items, in the plural. */
export const listOf = <T extends z.ZodType>(item: T, { min, max, what }: { min: number; max: number; what: string }) =>
  z.array(item, expected(`${min} to ${max} ${what}`)).superRefine((items, context) => {
    if (items.length < min || items.length > max)
      context.addIssue({ code: 'custom', message: `expected ${min} to ${max} ${what}, found ${items.length}` })
  })

/** Whatever else is in it passes: Meta adds fields. */
export const object = <T extends z.ZodRawShape>(shape: T) => z.looseObject(shape, expected('an object'))

/** Says so of every item whose name an earlier one has. `path`: from the list to the name. */
export const addRepeated = <T>(
  context: z.RefinementCtx,
  items: readonly T[],
  { nameOf, path }: { nameOf: (item: T) => unknown; path: (index: number) => PropertyKey[] },
): void => {
  const seen = new Set<unknown>()
  items.forEach((item, index) => {
    const name = nameOf(item)
    if (name === undefined || name === null) return
    if (seen.has(name))
      context.addIssue({ code: 'custom', path: path(index), message: 'expected to differ from those before it' })
    seen.add(name)
  })
}

type Json = Record<string, unknown>

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** How deep the name of a new kind is looked for; those that are known lie two levels down. */
const DEEPEST = 4

const mentions = (value: unknown, name: string, depth = 0): boolean => {
  if (depth > DEEPEST) return false
  if (Array.isArray(value)) return value.some((item) => mentions(item, name, depth + 1))
  if (!isObject(value)) return value === name
  return Object.hasOwn(value, name) || Object.values(value).some((item) => mentions(item, name, depth + 1))
}

/** True when something besides `key` itself bears the name. */
export const isNamedAgain = (value: Json, key: string, name: string): boolean => {
  const { [key]: _, ...rest } = value
  return mentions(rest, name)
}

/** Names in a sentence: those that are known. */
export const oneOf = (names: readonly string[]): string =>
  names.length === 1 ? `"${names[0]}"` : `one of ${names.join(', ')}`

const tell = (context: z.RefinementCtx, schema: z.ZodType | undefined, value: unknown): void => {
  for (const { path, message } of schema?.safeParse(value).error?.issues ?? [])
    context.addIssue({ code: 'custom', path: [...path], message })
}

/**
 * An object whose `key` tells what else must be in it; only the faults of that branch are told. Upper case is taken, as
 * Meta takes it.
 *
 * An unknown kind is refused where the list is `closed`. Elsewhere Meta may add one tomorrow, which must be sendable
 * then; but a misspelt one must not come back as a riddle. All that Meta has name themselves a second time (the object
 * of that name, `action.name`, the type of a parameter); a slip of the pen does not. So what is named twice passes.
 */
export const byKind = (
  known: Readonly<Record<string, z.ZodType>>,
  {
    key = 'type',
    closed = false,
    misspelt = {},
    always,
  }: {
    key?: string
    closed?: boolean
    misspelt?: Readonly<Record<string, string>>
    /** What is in it whatever its kind. */
    always?: z.ZodType
  } = {},
) => {
  const names = Object.keys(known)
  return object({}).superRefine((value, context) => {
    const fault = (message: string, path: string[] = []) => context.addIssue({ code: 'custom', path, message })
    tell(context, always, value)
    const kind = value[key]
    if (typeof kind !== 'string')
      return fault(`${kind === undefined || kind === null ? 'required: ' : ''}expected ${oneOf(names)}`, [key])
    const name = kind.toLowerCase()
    if (Object.hasOwn(misspelt, name)) return fault(`expected "${misspelt[name]}" in its place`, [key])
    if (!Object.hasOwn(known, name))
      return closed || !isNamedAgain(value, key, kind) ? fault(`expected ${oneOf(names)}`, [key]) : undefined
    tell(context, known[name], value)
  })
}
