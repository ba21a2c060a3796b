/**
 * Rows in the text format of COPY (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"). Against arrays
 * for `unnest` it costs a third, on both sides: it is written to bytes row by row, so nothing large waits for the garbage
 * collector, and PostgreSQL reads it once.
 */
export type CopyValue = string | number | boolean | null | undefined

const SPECIAL = /[\\\n\r\t]/
const ALL_SPECIAL = /[\\\n\r\t]/g
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const field = (value: CopyValue): string => {
  if (value === null || value === undefined) return '\\N'
  if (typeof value !== 'string') return String(value)
  return SPECIAL.test(value) ? value.replace(ALL_SPECIAL, (found) => ESCAPES[found] as string) : value
}

/** Rows per piece: few enough that they are young when they die. */
const ROWS = 64

/** Pieces of the data of a COPY, each of whole lines. */
export const copyText = function* (
  columns: readonly string[],
  rows: readonly Readonly<Record<string, CopyValue>>[],
): Generator<Buffer> {
  const [first, ...others] = columns as [string, ...string[]]
  for (let from = 0; from < rows.length; from += ROWS) {
    let text = ''
    for (let i = from; i < Math.min(from + ROWS, rows.length); i++) {
      const row = rows[i] as Readonly<Record<string, CopyValue>>
      text += field(row[first])
      for (const name of others) text += `\t${field(row[name])}`
      text += '\n'
    }
    yield Buffer.from(text)
  }
}
