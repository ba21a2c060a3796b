import { startPostgres, type TestServer } from '@cloudapi2/embedded'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { migrate } from './migrate.store.ts'

let server: TestServer
let admin: pg.Client
let url: string
let count = 0

beforeAll(async () => {
  server = await startPostgres()
  admin = new pg.Client(server.url)
  await admin.connect()
})
afterAll(async () => {
  await admin?.end()
  await server?.stop()
})
beforeEach(async () => {
  const database = `migrations_${++count}`
  await admin.query(`create database ${database}`)
  url = server.url.replace(/\/[^/]*$/, `/${database}`)
})

const inDatabase = async <T>(work: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** As the predecessor had it. */
const PREDECESSOR = `create table public.external_messages (
  id uuid primary key, message text, sender_phone text, responsible_email text, last_message_uid text,
  last_message_timestamp timestamptz, from_me boolean, status text, created_at timestamptz, updated_at timestamptz,
  is_deleted boolean, chat_url text, chat_id text, assigned_to_id uuid, company_id uuid)`
const ROW = `insert into public.external_messages (id, message, last_message_uid, company_id)
  values (gen_random_uuid(), 'De antes', 'wamid.1', 'a9242a58-4f5d-494c-8a74-45f8cee150e6')`

const uniqueIndexes = (client: pg.Client) =>
  client.query(
    `select indexdef from pg_indexes where tablename = 'external_messages' and indexdef like 'CREATE UNIQUE%last_message_uid)'`,
  )

test('an empty database gets every table, once', async () => {
  expect(await migrate(url)).toEqual(['0001_messages', '0002_sends', '0003_retention'])
  expect(await migrate(url)).toEqual([])
})

test('several processes may start at once', async () => {
  const runs = await Promise.all(Array.from({ length: 5 }, () => migrate(url)))
  expect(runs.flat()).toEqual(['0001_messages', '0002_sends', '0003_retention'])
})

test('the table of the predecessor is adopted with its rows, and gets the index it lacks', async () => {
  await inDatabase(async (client) => {
    await client.query(PREDECESSOR)
    await client.query(ROW)
    await migrate(url)
    expect((await client.query('select message from public.external_messages')).rows).toEqual([{ message: 'De antes' }])
    expect((await uniqueIndexes(client)).rows).toHaveLength(1)
  })
})

test('an index that is there already, whatever its name, is not made twice', async () => {
  await inDatabase(async (client) => {
    await client.query(PREDECESSOR)
    await client.query('create unique index their_own on public.external_messages (company_id, last_message_uid)')
    await migrate(url)
    expect((await uniqueIndexes(client)).rows).toHaveLength(1)
  })
})

test('rows that stand in the way of the index are named, not removed', async () => {
  await inDatabase(async (client) => {
    await client.query(PREDECESSOR)
    await client.query(ROW)
    await client.query(ROW)
    await expect(migrate(url)).rejects.toThrow('several rows for one (company_id, last_message_uid)')
    expect((await client.query('select from public.external_messages')).rowCount).toBe(2)
  })
})
