import type { Difference, RebuildReport, TableDifferences } from '@cloudapi2/read-model'
import type { Column } from '../output/table.ts'

export const DIFFERENCE_COLUMNS: readonly Column<Difference>[] = [
  { title: 'TABLE', of: ({ table }) => table },
  { title: 'COMPANY', of: ({ company_id }) => company_id },
  { title: 'KEY', of: ({ key }) => key.join(' ') },
  { title: 'WHAT', of: ({ kind }) => kind },
  { title: 'COLUMN', of: ({ column }) => column },
  { title: 'LIVE', of: (difference) => shown(difference, difference.live) },
  { title: 'LOG', of: (difference) => shown(difference, difference.expected) },
]

/** Of a row that is missing or surplus there is no column to show. */
const shown = ({ kind, is_hidden }: Difference, value: string | null): string => {
  if (kind !== 'differs') return ''
  return is_hidden ? '(not shown)' : (value ?? 'null')
}

export const TABLE_COLUMNS: readonly Column<TableDifferences>[] = [
  { title: 'TABLE', of: ({ name }) => name },
  { title: 'MISSING', of: ({ missing }) => missing },
  { title: 'SURPLUS', of: ({ surplus }) => surplus },
  { title: 'DIFFERENT', of: ({ differs }) => differs },
]

const REFUSED_SHOWN = 10

/** What is to be said of a report beside its rows. */
export const remarks = ({ refused, takenOver }: RebuildReport): string[] => {
  const { rows, unknown } = takenOver
  const lines: string[] = []
  if (rows > 0)
    lines.push(
      `${rows} rows of external_messages are older than the log, ${unknown} of them of no event at all: kept, with what the log says of their status, times, edits and deletion`,
    )
  if (refused.count > 0) {
    lines.push(
      `${refused.count} events could not become rows, as for the projector, which has them among its dead letters:`,
    )
    for (const { position, code, reason } of refused.first.slice(0, REFUSED_SHOWN))
      lines.push(`  position ${position}: ${reason} (${code})`)
    if (refused.count > REFUSED_SHOWN) lines.push(`  … and ${refused.count - REFUSED_SHOWN} more`)
  }
  return lines
}

/** Rows that differ, whatever of them does. */
export const rowsOf = (tables: readonly TableDifferences[]): number =>
  tables.reduce((sum, { missing, surplus, differs }) => sum + missing + surplus + differs, 0)
