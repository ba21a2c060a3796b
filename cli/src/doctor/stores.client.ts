import { GatewayError } from '@cloudapi2/contracts'
import { clockAheadMs, EVENTS, type Nats, type TopologyDifference } from '@cloudapi2/nats'
import { type Database, databaseReason } from '../database.client.ts'
import { type Check, clockCheck, fail, migrationsCheck, ok, skipped, warn } from './check.ts'
import { MIGRATION_FOLDERS, migrationsIn } from './machine.client.ts'

const shown = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value))

/** The streams and buckets, field by field. */
export const topologyChecks = (differences: readonly TopologyDifference[]): Check[] => {
  if (differences.length === 0) return [ok('topology', 'streams and buckets are as this version wants them')]
  const todo =
    '"cloudapi topology" makes and updates them, with a user that may; NATS_REPLICAS and EVENTS_MAX_AGE as the services have them'
  return differences.map(({ what, field, wanted, found }) =>
    field === undefined
      ? fail('topology', `${what} is not there`, todo)
      : warn('topology', `${what}: ${field} is ${shown(found)}, wanted ${shown(wanted)}`, todo),
  )
}

export const natsClockCheck = async (nats: Nats, now: () => number): Promise<Check> => {
  try {
    return clockCheck('NATS', await clockAheadMs(nats, EVENTS, now))
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return skipped('clock of NATS', 'it tells its time only where the stream EVENTS is')
  }
}

/** Half of an answer that took this long is no measure of a clock any more. */
export const databaseClockCheck = async (database: Database, now: () => number): Promise<Check> => {
  await database.query('select 1') // connected: what follows takes one way there and back
  const before = now()
  const { rows } = await database.query('select extract(epoch from clock_timestamp())::float8 * 1000 as ms')
  return clockCheck('PostgreSQL', (before + now()) / 2 - (rows[0].ms as number))
}

const MIGRATION_TABLES = {
  'read model': 'read_model_migrations',
  'tenant-config': 'tenant_config_migrations',
} as const

/** What the code has against what the database had run. */
export const migrationChecks = async (database: Database): Promise<Check[]> => {
  const checks: Check[] = []
  for (const owner of ['read model', 'tenant-config'] as const) {
    const check = `migrations of ${owner}`
    const wanted = await migrationsIn(MIGRATION_FOLDERS[owner])
    if (wanted === undefined) {
      checks.push(skipped(check, 'its code is not installed here'))
      continue
    }
    const table = `gateway.${MIGRATION_TABLES[owner]}`
    const { rows } = await database.query('select to_regclass($1) is not null as there', [table])
    const run = rows[0].there ? (await database.query(`select name from ${table} order by id`)).rows : []
    checks.push(
      migrationsCheck(
        check,
        wanted,
        run.map(({ name }) => name as string),
      ),
    )
  }
  return checks
}

export const databaseFailed = (error: unknown): Check =>
  fail(
    'database',
    `PostgreSQL does not answer: ${databaseReason(error)}`,
    'Is it running? Check DATABASE_URL: host, port, user, password',
  )
