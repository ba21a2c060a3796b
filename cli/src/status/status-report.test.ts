import type { ConsumerReport, StreamReport } from '@cloudapi2/nats'
import { describe, expect, test } from 'vitest'
import {
  consumerRows,
  projectionBehind,
  type ServiceState,
  type StatusParts,
  size,
  statusReport,
  statusText,
} from './status-report.ts'

const consumer = (name: string, numbers: Partial<ConsumerReport> = {}): ConsumerReport => ({
  name,
  pending: 0,
  unacknowledged: 0,
  redelivered: 0,
  ...numbers,
})
const stream = (name: string, messages: number, consumers: ConsumerReport[] = []): StreamReport => ({
  name,
  messages,
  bytes: messages * 100,
  firstSequence: messages === 0 ? 0 : 1,
  lastSequence: messages,
  consumers,
})
const service = (name: string, more: Partial<ServiceState> = {}): ServiceState => ({
  name,
  url: 'http://127.0.0.1:8081',
  alive: true,
  ready: true,
  reasons: [],
  latency_ms: 3,
  ...more,
})
const well: StatusParts = {
  services: [service('sender'), service('projector')],
  nats: { reachable: true },
  database: { reachable: true },
  streams: [stream('EVENTS', 10, [consumer('projector', { pending: 4, unacknowledged: 3 })]), stream('DEADLETTERS', 2)],
  projection: { behind: 7, position: 3, version: 2 },
  archive: null,
  companies: 5,
}
const plain = { width: undefined, emphasis: (text: string) => text }

describe('everything is ready', () => {
  test('when all that is configured answers; what is not configured is not missed', () => {
    expect(statusReport(well).ready).toBe(true)
    expect(statusReport({ ...well, nats: null, database: null, services: [] }).ready).toBe(true)
  })
  test.each<[string, Partial<StatusParts>]>([
    ['a service is not ready', { services: [service('sender', { ready: false, reasons: ['nats: no connection'] })] }],
    ['NATS does not answer', { nats: { reachable: false, reason: 'ECONNREFUSED' } }],
    ['PostgreSQL does not answer', { database: { reachable: false } }],
    ['the archive does not answer', { archive: { reachable: false, position: null, behind: null } }],
  ])('no more when %s', (_, part) => {
    expect(statusReport({ ...well, ...part }).ready).toBe(false)
  })
})

test('dead letters and the lag of the projection are read off the streams', () => {
  expect(statusReport(well).dead_letters).toBe(2)
  expect(statusReport({ ...well, streams: [] }).dead_letters).toBeNull()
  expect(projectionBehind(well.streams)).toBe(7)
  expect(projectionBehind([stream('EVENTS', 10)])).toBeNull()
})

test('the lanes of the sender are one line, however many there are', () => {
  const lanes = [1, 2, 3].map((n) => consumer(`lane-${n}-normal`, { pending: n }))
  expect(consumerRows([stream('COMMANDS', 6, [consumer('intake-1'), ...lanes])])).toEqual([
    { stream: 'COMMANDS', ...consumer('intake-1') },
    { stream: 'COMMANDS', ...consumer('lane-… (3 lanes)', { pending: 6 }) },
  ])
})

test('the text says what does not answer, and why', () => {
  const text = statusText(
    statusReport({
      ...well,
      services: [service('sender', { alive: false, ready: false, reasons: ['ECONNREFUSED'], latency_ms: null })],
      archive: { reachable: false, reason: 'away', position: null, behind: null },
    }),
    plain,
  )
  expect(text).toMatch(/^sender {3}DOWN {3}- {3}http:\/\/127\.0\.0\.1:8081 {2}ECONNREFUSED$/m)
  expect(text).toMatch(/^archive +DOES NOT ANSWER: away$/m)
  expect(text).toMatch(/^projection +7 events behind, at position 3$/m)
})

test('sizes are short', () => {
  expect([0, 1_023, 1_024, 1_572_864, 5 * 1_024 ** 4].map(size)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
    '5.0 TiB',
  ])
})
