import { GatewayError } from '@cloudapi2/contracts'
import type { Logger } from '@cloudapi2/service-kit'
import pg from 'pg'

/** PostgreSQL does not answer, or refuses to work just now. Nothing is wrong with the request. */
export class DatabaseUnavailable extends GatewayError {
  constructor(reason: string) {
    super(`the database is not available: ${reason}`, { code: 'DATABASE_UNAVAILABLE', retryable: true })
  }
}

/** PostgreSQL refused a statement we did not expect it to refuse. Only its code: its own words can quote a row's values. */
export class DatabaseRefused extends GatewayError {
  constructor(sqlState: string) {
    super(`the database refused a statement (SQLSTATE ${sqlState})`, { code: 'DATABASE_REFUSED', retryable: false })
  }
}

/**
 * SQLSTATE classes and errors of the socket that say nothing about the statement: connection (08), credentials (28),
 * unknown database (3D), resources (53), shutdown and cancelled statements (57), a standby (25006).
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const UNAVAILABLE = /^(08...|28...|3D...|53...|57...|25006|E[A-Z_]{4,})$/

/** The driver's error in our words. Its own errors (a lost connection, a time-out) have no code. */
export const databaseError = (error: unknown): DatabaseUnavailable | DatabaseRefused => {
  const { code, message } = error as { code?: unknown; message?: string }
  if (typeof code !== 'string') return new DatabaseUnavailable(message ?? 'unknown reason')
  return UNAVAILABLE.test(code) ? new DatabaseUnavailable(code) : new DatabaseRefused(code)
}

export type Row = Record<string, unknown>
export type Query = (sql: string, values?: readonly unknown[]) => Promise<{ rows: Row[]; count: number }>

export interface Database {
  /** @throws DatabaseUnavailable */
  query: Query
  /** Commits what `work` did, or nothing of it when it throws. @throws DatabaseUnavailable, and whatever `work` throws */
  transaction: <T>(work: (query: Query) => Promise<T>) => Promise<T>
  close: () => Promise<void>
}

const CONNECT_TIMEOUT_MS = 3_000
const STATEMENT_TIMEOUT_MS = 10_000

const queryOf =
  (client: pg.Pool | pg.PoolClient): Query =>
  async (sql, values = []) => {
    try {
      const { rows, rowCount } = await client.query<Row>(sql, [...values])
      return { rows, count: rowCount ?? 0 }
    } catch (error) {
      throw databaseError(error)
    }
  }

/** A pool of connections, opened when they are needed: nothing happens here before the first query. */
export const createDatabase = ({
  databaseUrl,
  poolSize,
  log,
}: {
  databaseUrl: string
  poolSize: number
  log: Logger
}): Database => {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: poolSize,
    application_name: 'tenant-config',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // The server ends a statement that waits too long; the client gives up on a server that says nothing at all.
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + 2_000,
    keepAlive: true,
  })
  // Idle connections break when the server goes; the pool opens others.
  pool.on('error', (err) => log.warn({ event: 'database.connection_lost', reason: err.message }))

  return {
    query: queryOf(pool),
    transaction: async (work) => {
      const client = await pool.connect().catch((error: unknown) => {
        throw databaseError(error)
      })
      // Without a listener, a connection lost between two statements would end the process.
      const onError = (err: Error) => log.warn({ event: 'database.connection_lost', reason: err.message })
      client.on('error', onError)
      const query = queryOf(client)
      let broken = false
      try {
        await query('begin')
        const result = await work(query)
        await query('commit')
        return result
      } catch (error) {
        // A connection that cannot even roll back is thrown away, and the server rolls back by itself.
        await query('rollback').catch(() => {
          broken = true
        })
        throw error
      } finally {
        client.removeListener('error', onError)
        client.release(broken)
      }
    },
    close: () => pool.end(),
  }
}
