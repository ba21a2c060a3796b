import { startPostgres, type TestServer } from '@cloudapi2/embedded'
import fc from 'fast-check'
import type { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase } from './database.store.ts'
import { fold, type LoggedEvent } from './fold.ts'
import { externalMessage } from './message-state.ts'
import { migrate } from './migrate.store.ts'
import { createProjectionStore } from './projection.store.ts'
import { deliveriesOf, logOfEvents } from './random-events.contract.ts'

const TABLES = {
  'public.external_messages': 'company_id, last_message_uid',
  'gateway.message_states': 'company_id, message_id',
  'gateway.message_details': 'company_id, message_id',
  'gateway.message_timeline': 'company_id, message_id, event_id',
  'gateway.sends': 'company_id, command_id',
  'gateway.contacts': 'company_id, contact_key',
  'gateway.projections': 'name, version',
} as const
/** A view, compared all the same. */
const STATUSES = { 'gateway.message_statuses': 'company_id, message_id, status, participant' }

let server: TestServer
let pool: Pool

beforeAll(async () => {
  server = await startPostgres()
  await migrate(server.url)
  pool = openDatabase({ databaseUrl: server.url, poolSize: 4, applicationName: 'test', log: { warn: () => {} } })
})
afterAll(async () => {
  await pool?.end()
  await server?.stop()
})

/** Every column of every row, as PostgreSQL prints it. */
const everything = async (): Promise<Record<string, string[]>> => {
  const tables: Record<string, string[]> = {}
  for (const [table, key] of Object.entries({ ...TABLES, ...STATUSES })) {
    const { rows } = await pool.query<{ row: string }>(`select t::text as row from ${table} t order by ${key}`)
    tables[table] = rows.map(({ row }) => row)
  }
  return tables
}

const applied = async (work: () => Promise<unknown>): Promise<Record<string, string[]>> => {
  await pool.query(`truncate ${Object.keys(TABLES).join(', ')}`)
  await work()
  return everything()
}

const delivered = (maxLength: number) =>
  logOfEvents({ maxLength }).chain((log) => fc.tuple(fc.constant(log), deliveriesOf(log)))

test('any order, repetition and batching leaves the same rows in every column of every table', async () => {
  const store = createProjectionStore(pool)
  await fc.assert(
    fc.asyncProperty(delivered(25), async ([log, batches]) => {
      const atOnce = await applied(() => store.apply(fold(log)))
      const piecemeal = await applied(async () => {
        for (const batch of batches) await store.apply(fold(batch))
      })
      expect(piecemeal).toEqual(atOnce)
    }),
    { numRuns: 120 },
  )
})

test('two connections working on the same messages at once leave the same rows, and never deadlock', async () => {
  const store = createProjectionStore(pool)
  await fc.assert(
    fc.asyncProperty(delivered(40), async ([log, batches]) => {
      const atOnce = await applied(() => store.apply(fold(log)))
      const inParallel = await applied(async () => {
        const [left, right]: [LoggedEvent[][], LoggedEvent[][]] = [[], []]
        for (const [i, batch] of batches.entries()) (i % 2 === 0 ? left : right).push(batch)
        const work = async (own: LoggedEvent[][]) => {
          for (const batch of own) await store.apply(fold(batch))
        }
        await Promise.all([work(left), work(right), work(batches)])
      })
      expect(inParallel).toEqual(atOnce)
    }),
    { numRuns: 80 },
  )
  const { rows } = await pool.query('select deadlocks::int from pg_stat_database where datname = current_database()')
  expect(rows).toEqual([{ deadlocks: 0 }])
})

test('the rows in the table are the ones the fold says', async () => {
  const store = createProjectionStore(pool)
  await fc.assert(
    fc.asyncProperty(delivered(25), async ([log, batches]) => {
      await applied(async () => {
        for (const batch of batches) await store.apply(fold(batch))
      })
      const expected = [...fold(log).messages.values()].map(externalMessage).filter((row) => row !== undefined)
      const { rows } = await pool.query('select * from public.external_messages')
      const asText = (value: unknown) => (value instanceof Date ? value.toISOString() : value)
      const found = rows.map((row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, asText(v)])))
      const byId = (a: { id?: unknown }, b: { id?: unknown }) => String(a.id).localeCompare(String(b.id))
      expect(found.sort(byId)).toEqual(expected.sort(byId))
    }),
    { numRuns: 60 },
  )
})
