import { extendChain, startChain } from '@cloudapi2/audit'
import { startNats, type TestServer } from '@cloudapi2/embedded'
import {
  applyTopology,
  BUCKETS,
  connectNats,
  createPublisher,
  type Nats,
  openKv,
  type Publisher,
} from '@cloudapi2/nats'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  COMPANY,
  messageEvent,
  OTHER,
  type RunningArchiver,
  silent,
  startArchiver,
  store,
  until,
  wholeLog,
} from '../archiver.rig.ts'
import type { LogEvent } from '../log-event.ts'
import { anchorIn } from './company-chain.ts'
import { findLogStart } from './log-start.client.ts'

let server: TestServer
let nats: Nats
let publisher: Publisher
let running: RunningArchiver[] = []

beforeAll(async () => {
  server = await startNats()
})
beforeEach(async () => {
  nats = await connectNats({ url: server.url, name: 'archiver', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
})
afterEach(async () => {
  await Promise.all(running.map(({ stop }) => stop()))
  running = []
  publisher.close()
  const manager = await nats.raw.jetstreamManager()
  await manager.streams.delete('EVENTS')
  await nats.close()
})
afterAll(() => server?.stop())

const start = async (anchorIntervalMs: number) => {
  const archiver = await startArchiver({ nats, publisher, anchorIntervalMs })
  running.push(archiver)
  return archiver
}
const stopAll = () => Promise.all(running.splice(0).map(({ stop }) => stop()))

const isAnchor = ({ type }: LogEvent) => type === 'audit.anchored'
const anchors = async (companyId = COMPANY) =>
  (await wholeLog(nats)).filter((event) => isAnchor(event) && event.companyId === companyId)

/** Each anchor in the log says what a chain that is made from the first event says. */
const expectAnchorsToHold = async () => {
  const chains = new Map<string, ReturnType<typeof startChain>>()
  const heads = new Map<string, ReturnType<typeof startChain>>()
  const told: string[] = []
  for (const event of await wholeLog(nats)) {
    if (isAnchor(event)) {
      const { position, events, head } = anchorIn(event.body) as NonNullable<ReturnType<typeof anchorIn>>
      expect(heads.get(`${event.companyId} ${position}`)).toEqual({ position, events, head })
      told.push(`${event.companyId} ${position}`)
    }
    const chain = extendChain(chains.get(event.companyId) ?? startChain(event.companyId), event)
    chains.set(event.companyId, chain)
    heads.set(`${event.companyId} ${chain.position}`, chain)
  }
  expect(new Set(told).size).toBe(told.length)
  return told.length
}

test('every company with events gets an anchor that agrees with a chain made from its first event', async () => {
  for (let n = 0; n < 20; n++) await store(publisher, messageEvent(n % 3 === 0 ? OTHER : COMPANY, n))
  await start(30)
  await until(async () => (await anchors(COMPANY)).length > 0 && (await anchors(OTHER)).length > 0)
  for (let n = 20; n < 30; n++) await store(publisher, messageEvent(COMPANY, n))
  await until(async () => (await anchors(COMPANY)).length > 1)
  expect(await expectAnchorsToHold()).toBeGreaterThanOrEqual(3)
})

test('a company that is silent gets one anchor, and no more for as long as it is silent', async () => {
  await store(publisher, messageEvent(OTHER, 'once'))
  await start(20)
  await until(async () => (await anchors(OTHER)).length === 1)
  // Another company's anchors show that rounds went by.
  for (let n = 0; n < 4; n++) {
    const before = (await anchors(COMPANY)).length
    await store(publisher, messageEvent(COMPANY, n))
    await until(async () => (await anchors(COMPANY)).length > before)
  }
  expect(await anchors(OTHER)).toHaveLength(1)
})

test('an interval that is not over writes nothing', async () => {
  await store(publisher, messageEvent(COMPANY, 1))
  const archiver = await start(3_600_000)
  await until(async () => /archiver_chain_lag_events\{.*\} 0/.test(await archiver.metrics.registry.metrics()))
  await stopAll()
  expect(await anchors()).toEqual([])
})

test('after a restart only what no anchor tells of is read, and the chain is the same', async () => {
  for (let n = 0; n < 50; n++) await store(publisher, messageEvent(COMPANY, n))
  await start(20)
  await until(async () => (await anchors()).length === 1)
  await stopAll()
  const { after, companies } = await findLogStart(nats)
  expect(after).toBe(51)
  expect(companies.get(COMPANY)?.chain).toMatchObject({ position: 51, events: 51 })

  await store(publisher, messageEvent(COMPANY, 'later'))
  await store(publisher, messageEvent(OTHER, 'first'))
  expect((await findLogStart(nats)).after).toBe(51)
  await start(20)
  await until(async () => (await anchors()).length === 2 && (await anchors(OTHER)).length === 1)
  expect(await expectAnchorsToHold()).toBe(3)
})

test('an event that comes between what an anchor tells of and the anchor is read again after a restart', async () => {
  await store(publisher, messageEvent(COMPANY, 1))
  await start(20)
  await until(async () => (await anchors()).length === 1)
  await stopAll()
  const [anchor] = await anchors()
  // As if it had been written for position 1 while position 3 was being stored.
  const body = JSON.parse(Buffer.from((anchor as LogEvent).body).toString())
  await store(publisher, messageEvent(COMPANY, 2))
  await publisher.publish({
    subject: `evt.${COMPANY}.system.audit.anchored`,
    msgId: 'late',
    data: JSON.stringify({ ...body, id: 'late' }),
  })
  const { after, companies } = await findLogStart(nats)
  expect(companies.get(COMPANY)?.chain.position).toBe(1)
  expect(after).toBe(1)
})

test('of two archivers that both believe to be the one at work, each position is anchored once', async () => {
  const leases = await openKv(nats, BUCKETS.leases, silent)
  const both = [await start(10), await start(10)]
  const isWorking = async ({ metrics }: RunningArchiver) =>
    /archiver_working\{.*\} 1/.test(await metrics.registry.metrics())
  await until(async () => (await Promise.all(both.map(isWorking))).includes(true))
  // Taken away: the other one begins, and the first has not heard of it.
  await leases.delete('archiver')
  await until(async () => (await Promise.all(both.map(isWorking))).every(Boolean))
  for (let n = 0; (await Promise.all(both.map(isWorking))).every(Boolean); n++)
    await Promise.all([store(publisher, messageEvent(COMPANY, n)), store(publisher, messageEvent(OTHER, n))])
  await stopAll()
  expect(await expectAnchorsToHold()).toBeGreaterThan(10)
})
