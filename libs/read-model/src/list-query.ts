import { type Cursor, encodeCursor } from './cursor.ts'

/** A timestamp as RFC 3339 text, UTC. */
export const time = (expression: string, fraction: 'MS' | 'US' = 'MS'): string =>
  `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.${fraction}"Z"')`

/** Only the conditions that were asked for, so that the plan can use an index; every value is a parameter. */
export const conditions = () => {
  const values: unknown[] = []
  const parts: string[] = []
  const parameter = (value: unknown): string => `$${values.push(value)}`
  return {
    values,
    parameter,
    /** Left out when the value is undefined. */
    and: (condition: (parameter: string) => string, value: unknown): void => {
      if (value !== undefined) parts.push(condition(parameter(value)))
    },
    /** What comes after a place in a list, newest first. */
    after: (timeColumn: string, idColumn: string, cursor: Cursor | undefined): void => {
      if (cursor === undefined) return
      parts.push(
        `(${timeColumn}, ${idColumn}) < (${parameter(cursor.time)}::timestamptz, ${parameter(cursor.id)}::uuid)`,
      )
    },
    where: (): string => parts.join(' and '),
  }
}

/** A page out of one row more than it holds; `place`, the time to the microsecond, is taken off the rows. */
export const pageOf = <T extends { id: string; place?: string }>(
  rows: readonly T[],
  limit: number,
): { page: T[]; nextCursor: string | undefined } => {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  const nextCursor =
    rows.length > limit && last !== undefined ? encodeCursor({ time: last.place as string, id: last.id }) : undefined
  for (const row of page) delete row.place
  return { page, nextCursor }
}
