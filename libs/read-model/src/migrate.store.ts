import { fileURLToPath, pathToFileURL } from 'node:url'
import { type MigrationBuilder, runner } from 'node-pg-migrate'
import pg from 'pg'

/** Where node-pg-migrate notes what has run. Each package that has migrations has a table of its own there. */
const MIGRATIONS_SCHEMA = 'gateway'
const MIGRATIONS_TABLE = 'read_model_migrations'

interface MigrationModule {
  up: (pgm: MigrationBuilder) => void
  down: false
}

/** The folder holds `.ts` where the sources run, `.js` beside maps and declarations where the build does. */
const NOT_A_MIGRATION = String.raw`\..*|.*\.d\.ts|.*\.map|.*\.test\.ts`

const loadModules = (paths: string[]) =>
  Promise.all(
    paths.map(async (path) => {
      const { up, down } = (await import(/* @vite-ignore */ pathToFileURL(path).href)) as MigrationModule
      return { id: path, filePaths: [path], actions: { up, down } }
    }),
  )

/**
 * Brings the database to what this version of the read model needs: `public.external_messages` (made, or the
 * predecessor's adopted) and the tables of schema `gateway`. Forward only; one transaction for all that is missing. Any
 * number of processes may call it at once: an advisory lock, the one node-pg-migrate uses by default, lets one work and
 * the others wait.
 *
 * @returns the names of the migrations that were run now
 * @throws the driver's error when PostgreSQL is away or refuses
 */
export const migrate = async (databaseUrl: string): Promise<string[]> => {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 5_000 })
  // The query in hand rejects as well; without a listener the event would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    const run = await runner({
      dbClient: client,
      dir: fileURLToPath(new URL('migrations', import.meta.url)),
      ignorePattern: NOT_A_MIGRATION,
      migrationLoaderStrategies: [{ extensions: ['.ts', '.js'], loader: loadModules }],
      migrationsSchema: MIGRATIONS_SCHEMA,
      createMigrationsSchema: true,
      migrationsTable: MIGRATIONS_TABLE,
      direction: 'up',
      advisoryLockMode: 'wait',
      // What it would print is in the error or in the result.
      logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    })
    return run.map(({ name }) => name)
  } finally {
    await client.end()
  }
}
