import { expect, test } from 'vitest'
import { type NatsServerSettings, natsServerConfig } from './nats-server-config.ts'

const settings: NatsServerSettings = {
  host: '127.0.0.1',
  port: 4222,
  storeDir: '/data/jetstream',
  serverName: 'one',
  users: [],
  syncAlways: true,
  maxMemoryBytes: 1_000,
  maxFileBytes: 2_000,
}

test('limits, the payload of 8 MiB and the fsync are written out', () => {
  expect(natsServerConfig({ ...settings, monitorPort: 8222 }).split('\n')).toEqual([
    '# Written at every start; changes made here are lost.',
    'server_name: "one"',
    'host: "127.0.0.1"',
    'port: 4222',
    'http: "127.0.0.1:8222"',
    'max_payload: 8388608',
    'write_deadline: "10s"',
    'jetstream: {',
    '  store_dir: "/data/jetstream"',
    '  max_memory_store: 1000',
    '  max_file_store: 2000',
    '  sync_interval: always',
    '}',
    '',
  ])
})

test('without syncAlways the server chooses when to fsync', () =>
  expect(natsServerConfig({ ...settings, syncAlways: false })).not.toContain('sync_interval'))

test('a user has only the rules that were given', () => {
  const text = natsServerConfig({
    ...settings,
    users: [
      { user: 'all', password: 'a' },
      {
        user: 'some',
        password: 'b',
        permissions: { publish: { allow: ['x.>'], deny: ['x.y'] }, allow_responses: true },
      },
    ],
    noAuthUser: 'all',
  })
  expect(text.split('\n').slice(11)).toEqual([
    '}',
    'authorization: {',
    '  users: [',
    '    {',
    '      user: "all"',
    '      password: "a"',
    '    }',
    '    {',
    '      user: "some"',
    '      password: "b"',
    '      permissions: {',
    '        publish: { allow: ["x.>"], deny: ["x.y"] }',
    '        allow_responses: true',
    '      }',
    '    }',
    '  ]',
    '}',
    'no_auth_user: "all"',
    '',
  ])
})

const invalid = expect.objectContaining({ code: 'NATS_CONFIG_INVALID', retryable: false })

test('a value cannot leave its quotes', () => {
  expect(natsServerConfig({ ...settings, storeDir: '/a"\\b' })).toContain('store_dir: "/a\\"\\\\b"')
  expect(() => natsServerConfig({ ...settings, storeDir: '/a\nport: 1' })).toThrow(invalid)
})

test('two users of one name, and an anonymous user nobody defined, are refused', () => {
  const twice = [
    { user: 'a', password: '1' },
    { user: 'a', password: '2' },
  ]
  expect(() => natsServerConfig({ ...settings, users: twice })).toThrow(invalid)
  expect(() => natsServerConfig({ ...settings, noAuthUser: 'b' })).toThrow(invalid)
})
