import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { contextOf, settingOf, urlOf } from './context.store.ts'

let dataDir: string
const write = (text: string) => writeFileSync(join(dataDir, 'runtime.json'), text)

beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'cloudapi2-context-'))
})
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const runtime = {
  urls: { sender: 'http://127.0.0.1:8081/', tenant_config: 'http://127.0.0.1:8082' },
  nats_url: 'nats://127.0.0.1:4222',
  database_url: 'postgres://u:p@127.0.0.1:5432/d',
  admin_token: 'token-of-the-file',
}

describe('a context', () => {
  test('is what runtime.json says', async () => {
    write(JSON.stringify(runtime))
    expect(await contextOf({ DATA_DIR: dataDir })).toEqual({
      dataDir,
      runtimeFile: join(dataDir, 'runtime.json'),
      hasRuntimeFile: true,
      urls: { sender: 'http://127.0.0.1:8081', tenant_config: 'http://127.0.0.1:8082' },
      natsUrl: 'nats://127.0.0.1:4222',
      databaseUrl: 'postgres://u:p@127.0.0.1:5432/d',
      adminToken: 'token-of-the-file',
      pids: {},
    })
  })

  test('takes a variable in place of what the file says, one by one', async () => {
    write(JSON.stringify(runtime))
    const context = await contextOf({
      DATA_DIR: dataDir,
      NATS_URL: 'nats://elsewhere:4222',
      SENDER_URL: 'http://sender:8081',
      EVENTSTORE_URL: 'esdb://archive:2113',
      ADMIN_TOKEN: '',
    })
    expect(context.natsUrl).toBe('nats://elsewhere:4222')
    expect(context.urls).toEqual({ sender: 'http://sender:8081', tenant_config: 'http://127.0.0.1:8082' })
    expect(context.eventstoreUrl).toBe('esdb://archive:2113')
    // An empty variable is one that is not set.
    expect(context.adminToken).toBe('token-of-the-file')
  })

  test('takes an empty text in the file for nothing', async () => {
    write(JSON.stringify({ ...runtime, database_url: '' }))
    expect(await contextOf({ DATA_DIR: dataDir })).not.toHaveProperty('databaseUrl')
  })

  test('names a variable that is wrong, and not its value', async () => {
    const error = await contextOf({ DATA_DIR: dataDir, DATABASE_URL: 'mysql://u:secreto@h/d' }).catch((e: Error) => e)
    expect(error).toMatchObject({ code: 'BAD_CONFIGURATION', message: expect.stringContaining('DATABASE_URL') })
    expect((error as Error).message).not.toContain('secreto')
  })

  test('does not quote a damaged file', async () => {
    write('{"admin_token": "secreto')
    const error = await contextOf({ DATA_DIR: dataDir }).catch((e: Error) => e)
    expect(error).toMatchObject({ code: 'RUNTIME_UNREADABLE' })
    expect((error as Error).message).not.toContain('secreto')
  })
})

describe('a setting that is missing', () => {
  test('is asked for both ways where nothing runs', async () => {
    const context = await contextOf({ DATA_DIR: join(dataDir, 'nowhere') })
    expect(() => settingOf(context, 'natsUrl')).toThrow(/set NATS_URL, or run "npm start" first/)
    expect(() => urlOf(context, 'tenant_config')).toThrow(/set TENANT_CONFIG_URL, or run "npm start" first/)
  })

  test('is asked for by its variable where an installation runs without it', async () => {
    write(JSON.stringify(runtime))
    const context = await contextOf({ DATA_DIR: dataDir })
    expect(() => settingOf(context, 'eventstoreUrl')).toThrow(
      /set EVENTSTORE_URL: the installation of .* does not have/,
    )
  })
})
