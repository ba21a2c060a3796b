import { ConfigError } from '@cloudapi2/service-kit'
import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const environment = {
  NATS_URL: 'nats://tenant-config:planted-password@127.0.0.1:4222',
  DATABASE_URL: 'postgres://cloudapi:planted-password@127.0.0.1:5432/cloudapi',
  ADMIN_TOKEN: 'planted-admin-token',
  SECRETS_KEYS: `k1:${KEY}`,
}

const faultsOf = (env: NodeJS.ProcessEnv): readonly string[] => {
  try {
    parseConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

test('what must be set is set, and the rest has defaults', () => {
  expect(parseConfig(environment)).toMatchObject({
    host: '127.0.0.1',
    port: 8082,
    poolSize: 10,
    compareIntervalMs: 60_000,
    topology: { replicas: 1, eventsMaxAgeMs: 0 },
  })
})

test('the age of events is a number and a unit', () => {
  const ages = { '400d': 34_560_000_000, '36h': 129_600_000, '90m': 5_400_000, '10s': 10_000 }
  for (const [text, ms] of Object.entries(ages))
    expect(parseConfig({ ...environment, EVENTS_MAX_AGE: text }).topology.eventsMaxAgeMs).toBe(ms)
  for (const text of ['400', 'd', '-1d', '1.5d', '1w', '0d'])
    expect(faultsOf({ ...environment, EVENTS_MAX_AGE: text })).toHaveLength(1)
})

test('without an admin token or keys for the secrets it does not start', () => {
  expect(faultsOf({ ...environment, ADMIN_TOKEN: '', SECRETS_KEYS: undefined })).toEqual([
    expect.stringMatching(/^ADMIN_TOKEN: missing/),
    expect.stringMatching(/^SECRETS_KEYS: missing/),
  ])
})

test('every fault is named at once, and no value', () => {
  const faults = faultsOf({
    NATS_URL: 'http://planted',
    DATABASE_URL: 'mysql://user:planted@host',
    ADMIN_TOKEN: 'planted short',
    SECRETS_KEYS: 'planted',
    PORT: 'planted',
    PG_POOL_SIZE: '-7777',
    NATS_REPLICAS: 'planted',
    EVENTS_MAX_AGE: 'planted',
    COMPARE_INTERVAL_MS: 'planted',
    LOG_LEVEL: 'planted',
  })
  expect(faults.map((fault) => fault.split(':')[0]).sort()).toEqual([
    'ADMIN_TOKEN',
    'COMPARE_INTERVAL_MS',
    'DATABASE_URL',
    'EVENTS_MAX_AGE',
    'LOG_LEVEL',
    'NATS_REPLICAS',
    'NATS_URL',
    'PG_POOL_SIZE',
    'PORT',
    'SECRETS_KEYS',
  ])
  expect(faults.join()).not.toMatch(/planted|7777/)
})
