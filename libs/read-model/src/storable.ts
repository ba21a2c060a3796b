/**
 * What PostgreSQL can hold: no U+0000 (neither `text` nor `jsonb` takes it), no half of a surrogate pair (UTF-8 has no
 * bytes for it, and `jsonb` refuses its escape). Events come from outside, and one such character must not cost a batch.
 */
const REPLACEMENT = '\ufffd'

const HAS_SURROGATE = /[\ud800-\udfff]/
const LONE_SURROGATE = /\p{Surrogate}/gu

/** The text with every U+0000 and every lone surrogate replaced by U+FFFD. */
export const storableText = (text: string): string => {
  const withoutNul = text.includes('\u0000') ? text.replaceAll('\u0000', REPLACEMENT) : text
  return HAS_SURROGATE.test(withoutNul) ? withoutNul.replace(LONE_SURROGATE, REPLACEMENT) : withoutNul
}

const storableValue = (value: unknown): unknown => {
  if (typeof value === 'string') return storableText(value)
  if (Array.isArray(value)) return value.map(storableValue)
  if (value === null || typeof value !== 'object') return value
  const result: Record<string, unknown> = Object.create(null)
  for (const [key, member] of Object.entries(value)) result[storableText(key)] = storableValue(member)
  return result
}

/** A value for a `text` column; null for what is no text. */
export const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? storableText(value) : null)

/** JSON for a `jsonb` column; null for undefined. */
export const storableJson = (value: unknown): string | null => {
  if (value === undefined) return null
  const text = JSON.stringify(value)
  // Both characters leave JSON.stringify as escapes. A text that contains such an escape literally is cleaned for nothing.
  return text.includes('\\u0000') || text.includes('\\ud') ? JSON.stringify(storableValue(value)) : text
}

/** The order of UTF-8 bytes, which is that of `collate "C"`. JavaScript's own differs beyond U+FFFF. */
export const compareText = (a: string, b: string): number =>
  a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b))
