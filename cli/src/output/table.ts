export interface Column<Row> {
  title: string
  of: (row: Row) => string | number | null | undefined
}

/**
 * Rows for the eye: columns as wide as their widest cell, two spaces apart, the last one cut to the width of the
 * terminal. What would move the cursor is not printed as it is.
 *
 * @param options.width    columns of the terminal; undefined: nothing is cut
 * @param options.emphasis how the titles are marked
 */
export const table = <Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { width, emphasis = (text) => text }: { width?: number | undefined; emphasis?: (text: string) => string } = {},
): string => {
  const cells = rows.map((row) => columns.map(({ of }) => printable(String(of(row) ?? '-'))))
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((line) => line[i]?.length ?? 0)))
  const line = (values: readonly string[]) => {
    const text = values
      .map((value, i) => value.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
    return width !== undefined && text.length > width ? `${text.slice(0, Math.max(1, width - 1))}…` : text
  }
  return [emphasis(line(columns.map(({ title }) => title))), ...cells.map(line)].join('\n')
}

/** Names and values, one below the other. */
export const record = (fields: Readonly<Record<string, string | number | null | undefined>>): string => {
  const width = Math.max(...Object.keys(fields).map((name) => name.length))
  return Object.entries(fields)
    .map(([name, value]) => `${name.padEnd(width)}  ${printable(String(value ?? '-'))}`)
    .join('\n')
}

/** Control characters, which a terminal would obey, as U+FFFD. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\uFFFD')
