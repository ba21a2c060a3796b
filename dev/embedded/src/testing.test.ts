import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startPostgres, type TestServer } from './testing.ts'

const query = async (url: string, sql: string): Promise<Record<string, unknown>[]> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

describe('PostgreSQL for a test', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startPostgres({ durable: true })
  })
  afterAll(() => server.stop())

  test('listens on loopback only, in UTF8, byte order and UTC', async () => {
    const [row] = await query(
      server.url,
      `select current_database() as database, current_setting('listen_addresses') as address,
              current_setting('server_encoding') as encoding, current_setting('timezone') as zone,
              current_setting('unix_socket_directories') as sockets, 'Z' < 'a' as byte_order, lower('É') as lower`,
    )
    expect(row).toEqual({
      database: 'cloudapi',
      address: '127.0.0.1',
      encoding: 'UTF8',
      zone: 'UTC',
      sockets: '',
      byte_order: true,
      lower: 'é',
    })
  })

  test('what was committed is there after a kill, on the same port', async () => {
    await query(server.url, 'create table kept (n int); insert into kept values (42)')
    const before = server.pid()
    await server.kill()
    expect(server.pid()).toBeUndefined()
    await expect(query(server.url, 'select 1')).rejects.toThrow()
    await server.restart()
    expect(server.pid()).not.toBe(before)
    expect(await query(server.url, 'select n from kept')).toEqual([{ n: 42 }])
  })
})
