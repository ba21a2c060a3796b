/**
 * JSON with the keys of every object sorted (RFC 8785 order: UTF-16 code units), so that equal values have equal text.
 * `undefined` members are left out, as in `JSON.stringify`.
 */
export const canonicalJson = (value: unknown): string => JSON.stringify(sorted(value)) ?? 'null'

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  const object = value as Record<string, unknown>
  // A null prototype, so that a key named __proto__ stays a key.
  const result: Record<string, unknown> = Object.create(null)
  for (const key of Object.keys(object).sort()) result[key] = sorted(object[key])
  return result
}
