import { ConfigError } from '@cloudapi2/service-kit'
import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const enough = { NATS_URL: 'nats://127.0.0.1:4222', DATABASE_URL: 'postgres://u:p@127.0.0.1:5432/cloudapi' }

test('two addresses are enough', () => {
  expect(parseConfig(enough)).toMatchObject({ port: 8083, batchSize: 500, poolSize: 8, adminToken: undefined })
})

test('every fault is named, and no value', () => {
  const env = { DATABASE_URL: 'mysql://secreto', ADMIN_TOKEN: 'secreto', BATCH_SIZE: '0', PG_POOL_SIZE: 'secreto' }
  const read = () => parseConfig(env)
  expect(read).toThrow(ConfigError)
  for (const name of ['NATS_URL', 'DATABASE_URL', 'ADMIN_TOKEN', 'BATCH_SIZE', 'PG_POOL_SIZE'])
    expect(read).toThrow(name)
  expect(read).not.toThrow('secreto')
})
