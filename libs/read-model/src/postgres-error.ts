import { GatewayError } from '@cloudapi2/contracts'

/** PostgreSQL refused what an event became. Its own message can quote the value, so only the state and place are told. */
export class RowRefused extends GatewayError {
  readonly sqlState: string
  constructor(sqlState: string, place: string, cause: unknown) {
    super(`PostgreSQL refused a row: SQLSTATE ${sqlState}${place}`, { code: 'ROW_REFUSED', retryable: false, cause })
    this.sqlState = sqlState
  }
}

/**
 * Classes of SQLSTATE that say something about the rows, not about the server
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html): 21 cardinality, 22 data, 23 constraints, 54 limits
 * such as an index row too large, P0 raised by a trigger.
 */
const ABOUT_ROWS = new Set(['21', '22', '23', '54', 'P0'])

interface PostgresError {
  code?: unknown
  table?: unknown
  column?: unknown
  constraint?: unknown
}

/** A `RowRefused` when the error is about the rows; undefined when it is about anything else, and may pass. */
export const rowRefused = (error: unknown): RowRefused | undefined => {
  const { code, table, column, constraint } = error as PostgresError
  if (typeof code !== 'string' || code.length !== 5 || !ABOUT_ROWS.has(code.slice(0, 2))) return undefined
  const place = [
    ['table', table],
    ['column', column],
    ['constraint', constraint],
  ]
    .filter(([, name]) => typeof name === 'string')
    .map(([what, name]) => `, ${what} ${name}`)
    .join('')
  return new RowRefused(code, place, error)
}

/** 40001 serialization_failure, 40P01 deadlock_detected: the same transaction goes through when tried again. */
export const isRollback = (error: unknown): boolean => {
  const { code } = error as PostgresError
  return code === '40001' || code === '40P01'
}
