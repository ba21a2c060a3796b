import { startNats } from '@cloudapi2/embedded'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connectNats, type Nats } from './connection.ts'
import { type Consumer, consumeEach } from './consumer.ts'
import { consumerPosition, holdConsumer } from './consumer-pause.ts'
import { ack, later } from './outcome.ts'
import { createPublisher, type Publisher } from './publisher.ts'
import { applyTopology, EVENTS } from './topology.ts'

const silent = { info: () => {}, warn: () => {}, error: () => {} }
const waitFor = <T>(fact: () => T | Promise<T>) => vi.waitFor(fact, { timeout: 20_000, interval: 10 })

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let publisher: Publisher
let count = 0

beforeAll(async () => {
  server = await startNats({})
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
})
afterAll(async () => {
  publisher?.close()
  await nats?.close()
  await server?.stop()
})

let durable: string
const settled: number[] = []
beforeEach(() => {
  durable = `reader${++count}`
  settled.length = 0
})

const start = (handler: Parameters<typeof consumeEach>[0]['handler']): Promise<Consumer> =>
  consumeEach({
    nats,
    log: silent,
    publisher,
    service: 'test',
    stream: EVENTS,
    durable,
    filterSubjects: ['evt.>'],
    concurrency: 4,
    start: () => ({ time: new Date() }),
    handler,
  })
const settling: Parameters<typeof start>[0] = async ({ sequence }) => {
  settled.push(sequence)
  return ack
}
const publish = (): Promise<number> =>
  publisher.publishAt({ subject: 'evt._.system.tenant.configured', msgId: `${durable}-${++count}`, data: '{}' })

test('a consumer that is held gets nothing new until it is released', async () => {
  const consumer = await start(settling)
  const first = await publish()
  await waitFor(() => expect(settled).toEqual([first]))
  const held = await holdConsumer(nats, EVENTS, durable, { timeoutMs: 5_000 })
  expect(held.position).toBe(first)
  const second = await publish()
  expect(await held.isStill()).toBe(true)
  expect(settled).toEqual([first])
  await held.release()
  const releasedAt = performance.now()
  await waitFor(() => expect(settled).toEqual([first, second]))
  // Not only when the pull that waits for it ends, after five seconds.
  expect(performance.now() - releasedAt).toBeLessThan(3_000)
  expect((await consumerPosition(nats, EVENTS, durable)).delivered).toBe(second)
  expect(await held.isStill()).toBe(false)
  await consumer.stop()
})

test('what is in hand is waited for', async () => {
  let finish: () => void = () => {}
  const consumer = await start(async (delivery) => {
    await new Promise<void>((resolve) => {
      finish = resolve
    })
    return settling(delivery)
  })
  const sequence = await publish()
  await waitFor(async () => expect((await consumerPosition(nats, EVENTS, durable)).unacknowledged).toBe(1))
  const holding = holdConsumer(nats, EVENTS, durable, { timeoutMs: 20_000 })
  await waitFor(async () => expect((await consumerPosition(nats, EVENTS, durable)).isPaused).toBe(true))
  expect(settled).toEqual([])
  finish()
  const held = await holding
  expect(settled).toEqual([sequence])
  expect(held.position).toBe(sequence)
  await held.release()
  await consumer.stop()
})

test('one that does not settle what it has goes on, and the error says so', async () => {
  const consumer = await start(async () => later(60_000, 'not yet'))
  await publish()
  await waitFor(async () => expect((await consumerPosition(nats, EVENTS, durable)).unacknowledged).toBe(1))
  await expect(holdConsumer(nats, EVENTS, durable, { timeoutMs: 200 })).rejects.toMatchObject({
    code: 'CONSUMER_NOT_DRAINED',
    retryable: true,
  })
  expect((await consumerPosition(nats, EVENTS, durable)).isPaused).toBe(false)
  await consumer.stop()
})

test('one that is not there is told apart', async () => {
  await expect(holdConsumer(nats, EVENTS, 'nobody', { timeoutMs: 200 })).rejects.toMatchObject({
    code: 'CONSUMER_MISSING',
  })
})
