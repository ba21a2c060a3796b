import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { MIN_NATS_VERSION, prepareNatsServer, resolveNatsServer } from './nats-server.client.ts'
import { natsWire } from './nats-wire.contract.ts'
import { startNats, type TestServer } from './testing.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cloudapi2-test-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('finding a nats-server', () => {
  /** A program that says it is that version. */
  const pretender = async (name: string, version: string): Promise<string> => {
    const bin = await mkdtemp(join(folder, `${name}-`))
    await writeFile(join(bin, 'nats-server'), `#!/bin/sh\necho "nats-server: v${version}"\n`)
    await chmod(join(bin, 'nats-server'), 0o755)
    return bin
  }

  test('the one named by NATS_SERVER_BIN comes first', async () => {
    const named = join(await pretender('named', '2.20.1'), 'nats-server')
    const env = { NATS_SERVER_BIN: named, PATH: await pretender('path', '2.14.0') }
    expect(await resolveNatsServer(env)).toEqual({ path: named, version: '2.20.1', source: 'NATS_SERVER_BIN' })
  })

  test('then the one on the PATH', async () => {
    const bin = await pretender('path', MIN_NATS_VERSION)
    expect(await resolveNatsServer({ PATH: bin })).toMatchObject({ path: join(bin, 'nats-server'), source: 'PATH' })
  })

  test('one on the PATH that is too old gives way to the package', async () => {
    expect(await resolveNatsServer({ PATH: await pretender('old', '2.11.9') })).toMatchObject({ source: 'package' })
  })

  test('an empty environment gives the package', async () => {
    expect(await resolveNatsServer({})).toMatchObject({
      source: 'package',
      version: expect.stringMatching(/^2\.\d+\./),
    })
  })

  test('a NATS_SERVER_BIN that is too old, absent or something else is an error that names it', async () => {
    const old = join(await pretender('old', '2.11.9'), 'nats-server')
    await expect(resolveNatsServer({ NATS_SERVER_BIN: old })).rejects.toMatchObject({
      code: 'NATS_SERVER_TOO_OLD',
      message: expect.stringContaining('2.11.9'),
    })
    for (const wrong of [join(folder, 'absent'), process.execPath])
      await expect(resolveNatsServer({ NATS_SERVER_BIN: wrong })).rejects.toMatchObject({
        code: 'NATS_SERVER_NOT_FOUND',
        message: expect.stringContaining(wrong),
      })
  })
})

describe('the running server', () => {
  let server: TestServer & { monitorUrl: string }
  afterEach(() => server.stop())

  const wireOf = async (credentials?: { user: string; pass: string }) => {
    const wire = await natsWire(server.port, credentials)
    onTestFinished(wire.close)
    return wire
  }

  test('does what the configuration says: limits, payload, fsync', async () => {
    server = await startNats({ syncAlways: true })
    const varz = (await (await fetch(`${server.monitorUrl}/varz`)).json()) as Record<string, unknown>
    expect(varz).toMatchObject({ max_payload: 8 * 1024 * 1024, host: '127.0.0.1', port: server.port })
    expect(varz.jetstream).toMatchObject({
      config: {
        max_memory: 256 * 1024 ** 2,
        max_storage: 2 * 1024 ** 3,
        sync_interval: expect.anything(),
        sync_always: true,
      },
    })
  })

  test('lets a user publish what it may, and nothing else', async () => {
    const password = 'it\'s "quoted" \\ # $x é {}'
    server = await startNats({
      users: [
        { user: 'gateway', password, permissions: { publish: { allow: ['evt.>'] }, subscribe: { deny: ['cmd.>'] } } },
        { user: 'reader', password: 'other' },
      ],
    })
    const gateway = await wireOf({ user: 'gateway', pass: password })
    expect(await gateway.publish('evt.a.b', 'hello')).toBe('')
    expect(await gateway.publish('cmd.send.a', 'hello')).toContain('Permissions Violation for Publish to "cmd.send.a"')
  })

  test('refuses a wrong password, and a connection without one', async () => {
    server = await startNats({ users: [{ user: 'gateway', password: 'right' }] })
    expect((await wireOf({ user: 'gateway', pass: 'wrong' })).received()).toContain('Authorization Violation')
    expect((await wireOf()).received()).toContain('Authorization Violation')
  })

  test('takes a connection without credentials for the anonymous user, where there is one', async () => {
    server = await startNats({
      users: [{ user: 'guest', password: 'x', permissions: { publish: { allow: ['open'] } } }],
      noAuthUser: 'guest',
    })
    const guest = await wireOf()
    expect(await guest.publish('open', '')).toBe('')
    expect(await guest.publish('closed', '')).toContain('Permissions Violation')
  })

  test('has every acknowledged message after a kill, on the same port', async () => {
    server = await startNats({ syncAlways: true })
    const before = await wireOf()
    await before.request('$JS.API.STREAM.CREATE.KEPT', JSON.stringify({ name: 'KEPT', subjects: ['kept'] }))
    expect(await before.request('kept', 'one')).toMatchObject({ stream: 'KEPT', seq: 1 })
    await server.kill()
    await expect(natsWire(server.port)).rejects.toThrow('ECONNREFUSED')
    await server.restart()
    expect(await (await wireOf()).request('kept', 'two')).toMatchObject({ stream: 'KEPT', seq: 2 })
  })
})

test('the configuration file is for its owner only', async () => {
  const configFile = join(folder, 'secret.conf')
  await prepareNatsServer({
    binary: await resolveNatsServer({}),
    configFile,
    host: '127.0.0.1',
    port: 1,
    serverName: 'one',
    storeDir: join(folder, 'store'),
    users: [{ user: 'a', password: 'b' }],
    syncAlways: true,
    maxMemoryBytes: 1,
    maxFileBytes: 1,
  })
  expect((await stat(configFile)).mode & 0o777).toBe(0o600)
})
