/** The deepest JSON anything here walks or prints. Meta's own stays below 15; V8 prints about 4,000 levels, then throws. */
export const MAX_NESTING = 200

const isDeeperThan = (value: unknown, levels: number): boolean => {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) {
    for (const item of value) if (isDeeperThan(item, levels - 1)) return true
    return false
  }
  const object = value as Record<string, unknown>
  for (const key in object) if (isDeeperThan(object[key], levels - 1)) return true
  return false
}

/** The JSON text of a value of any depth: `JSON.stringify` without its recursion. */
const jsonText = (value: unknown): string => {
  const parts: string[] = []
  // What is left to print, last first: a piece of text, or a value.
  const left: ({ text: string } | { value: unknown })[] = [{ value }]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if ('text' in next) parts.push(next.text)
    else if (typeof next.value !== 'object' || next.value === null) parts.push(JSON.stringify(next.value))
    else {
      const isList = Array.isArray(next.value)
      const members = Object.entries(next.value)
      left.push({ text: isList ? ']' : '}' })
      for (const [index, [key, member]] of [...members.entries()].reverse()) {
        left.push({ value: member })
        left.push({ text: `${index === 0 ? '' : ','}${isList ? '' : `${JSON.stringify(key)}:`}` })
      }
      left.push({ text: isList ? '[' : '{' })
    }
  }
  return parts.join('')
}

const cut = (value: unknown, levels: number): unknown => {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) return jsonText(value)
  if (Array.isArray(value)) return value.map((item) => cut(item, levels - 1))
  const result: Record<string, unknown> = Object.create(null)
  for (const [key, member] of Object.entries(value)) result[key] = cut(member, levels - 1)
  return result
}

/**
 * The same JSON, with whatever lies deeper than `MAX_NESTING` replaced by its JSON text: nothing is lost, and no walk or
 * print of it can exhaust the stack. A value of ordinary depth is returned as it is, uncopied.
 */
export const withDeepPartsAsText = (value: unknown): unknown =>
  isDeeperThan(value, MAX_NESTING) ? cut(value, MAX_NESTING) : value
