import { expect, test } from 'vitest'
import { z } from 'zod'
import { COMMON_ENVIRONMENT, ConfigError, flag, readEnvironment } from './environment.ts'

const schema = z.object({ ...COMMON_ENVIRONMENT, DEBUG_FLAG: flag().default(false) })
const good = { PORT: '8080', NATS_URL: 'nats://127.0.0.1:4222' }

test('the environment becomes settings, with defaults', () => {
  expect(readEnvironment(schema, { ...good, DEBUG_FLAG: 'on' })).toMatchObject({
    PORT: 8080,
    LOG_LEVEL: 'info',
    DEBUG_FLAG: true,
  })
})
test('an empty variable is one that is not set', () => {
  expect(readEnvironment(schema, { ...good, LOG_LEVEL: '' }).LOG_LEVEL).toBe('info')
})
test('every fault is named at once, and no value', () => {
  const env = {
    PORT: 'secret-port',
    NATS_URL: 'http://user:secret@host',
    LOG_LEVEL: 'secret-level',
    DEBUG_FLAG: 'secret-flag',
  }
  try {
    readEnvironment(schema, env)
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    const { message, faults } = error as ConfigError
    expect(faults).toHaveLength(4)
    for (const name of Object.keys(env)) expect(message).toContain(name)
    expect(message).not.toContain('secret')
  }
})
test('what is missing is called missing', () => {
  expect(() => readEnvironment(schema, {})).toThrow(/PORT: missing[\s\S]*NATS_URL: missing/)
})
