/**
 * The canonical text of a JSON value (RFC 8785): no white space, keys sorted by UTF-16 code units, numbers and strings as
 * ECMAScript writes them. Equal values have equal text. Beyond the RFC: a lone surrogate, which it refuses, is written as
 * its escape (`\ud800`). `undefined` members are left out, as in `JSON.stringify`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8785
 */
export const canonicalJson = (value: unknown): string => {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  let text = ''
  if (Array.isArray(value)) {
    for (const item of value) text += text === '' ? canonicalJson(item) : `,${canonicalJson(item)}`
    return `[${text}]`
  }
  const object = value as Record<string, unknown>
  // Written by hand: an object made with its keys in order would still list '9' before '10'.
  for (const key of Object.keys(object).sort()) {
    const member = object[key]
    if (member === undefined) continue
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`
  }
  return `{${text}}`
}
