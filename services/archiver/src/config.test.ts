import { ConfigError } from '@cloudapi2/service-kit'
import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const NATS_URL = 'nats://archiver:secret@127.0.0.1:4222'

test('without an archive only anchors are written, hourly', () => {
  expect(parseConfig({ NATS_URL })).toMatchObject({
    port: 8085,
    eventStoreUrl: undefined,
    anchorIntervalMs: 3_600_000,
  })
})

test('an archive is named by a URL of EventStoreDB, and a faulty one is not repeated in the error', () => {
  expect(parseConfig({ NATS_URL, EVENTSTORE_URL: 'esdb://h:2113?tls=false' }).eventStoreUrl).toBe(
    'esdb://h:2113?tls=false',
  )
  const faulty = () => parseConfig({ NATS_URL, EVENTSTORE_URL: 'http://admin:changeit@h:2113' })
  expect(faulty).toThrow(ConfigError)
  expect(faulty).toThrow(/EVENTSTORE_URL: expected esdb:/)
  expect(faulty).not.toThrow(/changeit/)
})
