import type { TemplateValue } from '@cloudapi2/contracts'

/** `template_data` of a command: plain keys fill the text, the keys of `PARTS` everything else. */
export type TemplateData = Readonly<Record<string, TemplateValue>>

/** A level of the data, by key. Lists have their positions for keys. */
export type Tree = ReadonlyMap<string, TemplateValue>

/** Keys that name a part of the template instead of a parameter of its text. */
export const PARTS = ['header', 'body', 'buttons', 'cards', 'offer_expires_at'] as const
export type Part = (typeof PARTS)[number]

export const isPart = (key: string): key is Part => (PARTS as readonly string[]).includes(key)

export const isNested = (
  value: TemplateValue | undefined,
): value is TemplateValue[] | { [key: string]: TemplateValue } => typeof value === 'object'

/** The level below a value; empty for what has none. */
export const below = (value: TemplateValue | undefined): Tree => new Map(isNested(value) ? Object.entries(value) : [])

type Growing = Map<string, TemplateValue | Growing>

const grown = (tree: Growing): Tree =>
  new Map([...tree].map(([key, value]) => [key, value instanceof Map ? Object.fromEntries(grown(value)) : value]))

/** Puts a value at a path. @returns false where there is a value already */
const put = (tree: Growing, [step = '', ...rest]: string[], value: TemplateValue): boolean => {
  const found = tree.get(step)
  if (rest.length === 0) {
    if (found === undefined) return tree.set(step, value) !== undefined
    // Said by dots and as an object: one goes into the other.
    if (!(found instanceof Map) || !isNested(value)) return false
    return Object.entries(value).every(([key, inner]) => put(found, [key], inner))
  }
  if (found !== undefined && !(found instanceof Map) && !isNested(found)) return false
  const level: Growing = found instanceof Map ? found : new Map(below(found))
  tree.set(step, level)
  return put(level, rest, value)
}

/**
 * Brings data into one form: keys with dots below a part (`buttons.0`, `header.link`) become levels. Other keys with dots
 * are keys.
 *
 * @returns the tree, and keys that say a thing a second time
 */
export const treeOf = (data: TemplateData): { tree: Tree; repeated: string[] } => {
  const tree: Growing = new Map()
  const repeated: string[] = []
  for (const [key, value] of Object.entries(data)) {
    const steps = key.split('.')
    const isWritten = put(tree, steps.length > 1 && isPart(steps[0] as string) ? steps : [key], value)
    if (!isWritten) repeated.push(key)
  }
  return { tree: grown(tree), repeated }
}
