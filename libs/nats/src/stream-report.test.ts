import { startNats } from '@cloudapi2/embedded'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectNats, type Nats } from './connection.ts'
import { createPublisher, type Publisher } from './publisher.ts'
import { clockAheadMs, compareTopology, reportStreams } from './stream-report.ts'
import { applyTopology, EVENTS } from './topology.ts'

const silent = { info: () => {}, warn: () => {}, error: () => {} }
const OPTIONS = { replicas: 1, eventsMaxAgeMs: 0 }

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let publisher: Publisher

beforeAll(async () => {
  server = await startNats({})
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
})
afterAll(async () => {
  publisher?.close()
  await nats?.close()
  await server?.stop()
})
beforeEach(() => applyTopology(nats, OPTIONS))

const manager = () => nats.raw.jetstreamManager({ checkAPI: false })

describe('a report of the streams', () => {
  test('tells how much is stored, and how far each reader is', async () => {
    const api = await manager()
    await api.consumers.add(EVENTS, { durable_name: 'reader', ack_policy: 'explicit' as never })
    for (const id of ['a', 'b', 'c']) await publisher.publish({ subject: 'evt._.x.y.z', msgId: id, data: '{}' })
    await nats.raw
      .jetstream({ checkAPI: false })
      .consumers.get(EVENTS, 'reader')
      .then((reader) => reader.next())
    const events = (await reportStreams(nats)).find(({ name }) => name === EVENTS)
    expect(events).toMatchObject({
      messages: 3,
      firstSequence: 1,
      lastSequence: 3,
      consumers: [{ name: 'reader', pending: 2, unacknowledged: 1, redelivered: 0 }],
    })
    expect(events?.bytes).toBeGreaterThan(0)
    expect(Date.parse(events?.lastAt as string)).toBeGreaterThanOrEqual(Date.parse(events?.firstAt as string))
  })

  test('leaves out a stream that is not there, and times of an empty one', async () => {
    await (await manager()).streams.delete('DEADLETTERS')
    const names = (await reportStreams(nats)).map(({ name }) => name)
    expect(names).toEqual([EVENTS, 'COMMANDS', 'OBJ_media'])
    expect((await reportStreams(nats)).find(({ name }) => name === 'COMMANDS')).not.toHaveProperty('firstAt')
  })
})

describe('a comparison of the topology', () => {
  test('finds nothing right after it was applied', async () => {
    expect(await compareTopology(nats, OPTIONS)).toEqual([])
  })

  test('names a stream and a bucket that are missing', async () => {
    const api = await manager()
    await api.streams.delete('COMMANDS')
    await api.streams.delete('KV_leases')
    expect(await compareTopology(nats, OPTIONS)).toEqual([{ what: 'stream COMMANDS' }, { what: 'bucket leases' }])
  })

  test('names each field that differs, with what is there and what is wanted', async () => {
    const api = await manager()
    const { config } = await api.streams.info('KV_leases')
    await api.streams.update('KV_leases', { ...config, max_age: 60_000_000_000 })
    expect(await compareTopology(nats, { ...OPTIONS, eventsMaxAgeMs: 86_400_000 })).toEqual([
      {
        what: `stream ${EVENTS}`,
        field: 'metadata',
        wanted: { maxAgeMs: 86_400_000, withoutArchive: false },
        found: { maxAgeMs: 0, withoutArchive: false },
      },
      { what: 'bucket leases', field: 'max_age', wanted: 15_000_000_000, found: 60_000_000_000 },
    ])
    await api.streams.delete('KV_leases')
  })
})

test("the server's clock is told from ours", async () => {
  expect(Math.abs(await clockAheadMs(nats, EVENTS, Date.now))).toBeLessThan(5_000)
  const ahead = await clockAheadMs(nats, EVENTS, () => Date.now() + 60_000)
  expect(Math.abs(ahead - 60_000)).toBeLessThan(5_000)
})
