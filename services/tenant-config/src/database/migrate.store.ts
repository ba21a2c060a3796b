import { basename, extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Logger } from '@cloudapi2/service-kit'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import { databaseError } from './database.client.ts'
import * as companies from './migrations/0001-companies.ts'

/** By file name. Imported here rather than by the runner, so that they are compiled and shipped like everything else. */
const MIGRATIONS: Record<string, { up: typeof companies.up; down: false }> = { '0001-companies': companies }

/** A file of the folder that is not in the list above: it would be skipped, and never be missed. */
const actionsOf = (path: string) => {
  const actions = MIGRATIONS[basename(path, extname(path))]
  if (actions === undefined) throw new Error(`${basename(path)} is not in the list of migrations`)
  return actions
}

/**
 * Brings the database to what this version needs, forward only. Of several processes at once, one does it and the others
 * wait: the runner holds an advisory lock.
 */
export const migrate = async (databaseUrl: string, log: Logger): Promise<void> => {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'tenant-config migrations',
    connectionTimeoutMillis: 5_000,
  })
  // A connection lost while idle: the next query rejects, which is where it is dealt with.
  client.on('error', (err) => log.warn({ event: 'database.connection_lost', reason: err.message }))
  await client.connect()
  try {
    await runner({
      dbClient: client,
      direction: 'up',
      dir: fileURLToPath(new URL('./migrations', import.meta.url)),
      // Beside a compiled migration lie its types and its source map.
      ignorePattern: '\\..*|.*\\.d\\.ts|.*\\.map',
      migrationLoaderStrategies: [
        {
          extensions: ['.js', '.ts'],
          loader: async (paths) => paths.map((path) => ({ id: path, filePaths: [path], actions: actionsOf(path) })),
        },
      ],
      migrationsSchema: 'gateway',
      createMigrationsSchema: true,
      migrationsTable: 'tenant_config_migrations',
      advisoryLockMode: 'wait',
      logger: {
        info: (text) => log.debug({ event: 'database.migration', text }),
        warn: (text) => log.warn({ event: 'database.migration', text }),
        error: (text) => log.error({ event: 'database.migration', text }),
      },
    })
  } finally {
    await client.end()
  }
}

const FIRST_RETRY_MS = 250
const LONGEST_RETRY_MS = 5_000

/** Migrates as soon as the database lets it, and calls back once, when it is done. */
export const migrateWhenPossible = (
  databaseUrl: string,
  log: Logger,
  onMigrated: () => void,
): { lastFailure: () => string | undefined; stop: () => void } => {
  let failure: string | undefined
  let failures = 0
  let isStopped = false
  let retry: NodeJS.Timeout | undefined

  const attempt = () => {
    migrate(databaseUrl, log).then(
      () => {
        failure = undefined
        if (!isStopped) onMigrated()
      },
      (error: unknown) => {
        failure = databaseError(error).message
        if (isStopped) return
        log.error({ event: 'database.migration_failed', reason: failure })
        retry = setTimeout(attempt, Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++))
        retry.unref()
      },
    )
  }
  attempt()
  return {
    lastFailure: () => failure,
    stop: () => {
      isStopped = true
      clearTimeout(retry)
    },
  }
}
