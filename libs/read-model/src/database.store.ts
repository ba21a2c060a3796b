import pg from 'pg'

/** What the pool reports of itself; the service's logger fits. */
export interface DatabaseLog {
  warn: (line: Record<string, unknown>) => void
}

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database` */
  databaseUrl: string
  /** Connections at most. */
  poolSize: number
  /** Shown in `pg_stat_activity`. */
  applicationName: string
  log: DatabaseLog
}

/** A peer that vanished without a word is noticed by the first query that takes longer than this. */
const QUERY_TIMEOUT_MS = 30_000

/**
 * A pool of connections on which the statements of one transaction travel together (pipeline mode of pg 8.22): one round
 * trip instead of one each. It connects when first used, and again after PostgreSQL was away.
 */
export const openDatabase = ({ databaseUrl, poolSize, applicationName, log }: DatabaseOptions): pg.Pool => {
  const config: pg.PoolConfig & { pipeline: boolean } = {
    connectionString: databaseUrl,
    max: poolSize,
    application_name: applicationName,
    connectionTimeoutMillis: 5_000,
    query_timeout: QUERY_TIMEOUT_MS,
    statement_timeout: QUERY_TIMEOUT_MS,
    // A process that froze in the middle of a transaction must not hold its locks for long.
    idle_in_transaction_session_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    pipeline: true,
  }
  const pool = new pg.Pool(config)
  // An idle connection that breaks is replaced by the next query; without a listener it would end the process.
  pool.on('error', (error) =>
    log.warn({ event: 'postgres.connection_lost', code: (error as NodeJS.ErrnoException).code }),
  )
  return pool
}
