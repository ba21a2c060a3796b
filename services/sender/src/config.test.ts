import { ConfigError } from '@cloudapi2/service-kit'
import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const SECRETS_KEYS = `k1:${Buffer.alloc(32, 7).toString('base64')}`
const NATS_URL = 'nats://sender:secret@127.0.0.1:4222'

test('what must be set is enough: the rest has defaults', () => {
  expect(parseConfig({ NATS_URL, SECRETS_KEYS })).toMatchObject({
    port: 8081,
    adminToken: undefined,
    graph: { baseUrl: 'https://graph.facebook.com', version: 'v22.0', timeoutMs: 10_000 },
    sendWaitMs: 10_000,
    retries: { maxAttempts: 5, baseMs: 1_000, capMs: 60_000 },
    uncertainGraceMs: 60_000,
    concurrency: 2_000,
  })
})

test('every fault is named, and no value', () => {
  const bad = { SECRETS_KEYS: 'k1:tooshortsecret', ADMIN_TOKEN: 'tooshort', GRAPH_VERSION: '22', MAX_ATTEMPTS: '0' }
  expect(() => parseConfig(bad)).toThrow(ConfigError)
  try {
    parseConfig(bad)
  } catch (error) {
    const { message } = error as ConfigError
    for (const name of ['NATS_URL', ...Object.keys(bad)]) expect(message).toContain(name)
    expect(message).not.toContain('tooshort')
  }
})
