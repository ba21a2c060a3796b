import type { ArchivePosition } from '@cloudapi2/contracts'
import { subjects } from '@cloudapi2/contracts'
import { startNats, type TestServer } from '@cloudapi2/embedded'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectNats, type Nats, type NatsLog } from './connection.ts'
import { consumeEach } from './consumer.ts'
import { EventsNotArchived, logAgeOf } from './log-age.ts'
import { dropBefore, firstStoredSince, handledUpTo, trimmableLog } from './log-trim.ts'
import { ack, type Outcome } from './outcome.ts'
import { createPublisher, type Publisher } from './publisher.ts'
import { applyTopology, EVENTS } from './topology.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const DAY_MS = 86_400_000
const silent: NatsLog = { info: () => {}, warn: () => {}, error: () => {} }
const forEver = { replicas: 1, eventsMaxAgeMs: 0 }
const year = { replicas: 1, eventsMaxAgeMs: 365 * DAY_MS }

const until = async (fact: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await fact())) await new Promise((resolve) => setTimeout(resolve, 10))
}

let server: TestServer
let nats: Nats
let publisher: Publisher
let stopAnswering = () => {}

beforeAll(async () => {
  server = await startNats()
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
})
afterAll(async () => {
  publisher?.close()
  await nats?.close()
  await server?.stop()
})
beforeEach(async () => {
  await (await nats.raw.jetstreamManager()).streams.delete(EVENTS).catch(() => {}) // the first time there is none
  await applyTopology(nats, forEver)
})
afterEach(() => stopAnswering())

let n = 0
const happened = (type = 'message.created') =>
  publisher.publish({ subject: subjects.event(COMPANY, 'whatsapp', type), msgId: `m${++n}`, data: '{}' })
const config = async () => (await (await nats.raw.jetstreamManager()).streams.info(EVENTS)).config
const keptMs = async () => logAgeOf(await config()).maxAgeMs
const archiveIs = (answer: () => ArchivePosition) => {
  stopAnswering = nats.respond(subjects.archivePosition, 'archiver', async ({ respond }) =>
    respond(JSON.stringify(answer())),
  )
}

describe('an age limit for events', () => {
  test('is never the server’s own, which would drop what is not archived', async () => {
    await applyTopology(nats, year)
    expect(await keptMs()).toBe(365 * DAY_MS)
    expect((await config()).max_age).toBe(0)
    await applyTopology(nats, forEver)
    expect(await keptMs()).toBe(0)
  })

  test('of an earlier version becomes one that asks first', async () => {
    await (await nats.raw.jetstreamManager()).streams.update(EVENTS, { ...(await config()), max_age: DAY_MS * 1e6 })
    await happened()
    await applyTopology(nats, { ...forEver, eventsMaxAgeMs: DAY_MS })
    expect(await config()).toMatchObject({ max_age: 0 })
    expect(await keptMs()).toBe(DAY_MS)
  })

  test('is refused when nobody knows whether events are archived, saying what to do', async () => {
    await happened()
    const refusal = applyTopology(nats, year)
    await expect(refusal).rejects.toBeInstanceOf(EventsNotArchived)
    await expect(refusal).rejects.toMatchObject({
      code: 'EVENTS_NOT_ARCHIVED',
      message: expect.stringMatching(/no archiver answers.*EVENTS_MAX_AGE_WITHOUT_ARCHIVE=true/),
    })
    expect(await keptMs()).toBe(0)
  })

  test('is refused when nothing is archived', async () => {
    await happened()
    archiveIs(() => ({ position: 0, enabled: false, caught_up: false, anchored: 0 }))
    await expect(applyTopology(nats, year)).rejects.toThrow('nothing copies them')
  })

  test('is refused while the archiver has not caught up, even where an operator says that there is none', async () => {
    await happened()
    await happened()
    archiveIs(() => ({ position: 1, enabled: true, caught_up: false, anchored: 0 }))
    await expect(applyTopology(nats, { ...year, eventsMaxAgeWithoutArchive: true })).rejects.toThrow(
      'up to position 1 of 2: wait until the archiver has caught up',
    )
    expect(await keptMs()).toBe(0)
  }, 20_000)

  test('is set once the archiver has what was there, however much comes meanwhile', async () => {
    await happened()
    await happened()
    let position = 0
    archiveIs(() => ({ position: position++, enabled: true, caught_up: false, anchored: 0 }))
    await applyTopology(nats, year)
    expect(await keptMs()).toBe(365 * DAY_MS)
  })

  test('is set where an operator says on purpose that nothing is archived, and that is kept', async () => {
    await happened()
    await applyTopology(nats, { ...year, eventsMaxAgeWithoutArchive: true })
    expect(logAgeOf(await config())).toEqual({ maxAgeMs: 365 * DAY_MS, withoutArchive: true })
  })

  test('needs no archiver to stay, to grow, to go, or for a log that is empty', async () => {
    await applyTopology(nats, year)
    await happened()
    await applyTopology(nats, year)
    await applyTopology(nats, { ...year, eventsMaxAgeMs: 366 * DAY_MS })
    expect(await keptMs()).toBe(366 * DAY_MS)
    await applyTopology(nats, forEver)
    expect(await keptMs()).toBe(0)
  })

  test('is refused when it shrinks', async () => {
    await applyTopology(nats, year)
    await happened()
    await expect(applyTopology(nats, { ...year, eventsMaxAgeMs: DAY_MS })).rejects.toBeInstanceOf(EventsNotArchived)
  })
})

describe('trimming', () => {
  test('finds the first event that is young enough, and drops those before it', async () => {
    for (let i = 0; i < 20; i++) await happened()
    const manager = await nats.raw.jetstreamManager()
    const { time } = await manager.streams.getMessage(EVENTS, { seq: 13 })
    // Times are read in milliseconds: several may have the same.
    let since = 13
    while (since > 1 && (await manager.streams.getMessage(EVENTS, { seq: since - 1 })).time >= time) since -= 1
    const log = await trimmableLog(nats, EVENTS)
    expect(await firstStoredSince(nats, EVENTS, time, log)).toBe(since)
    expect(await firstStoredSince(nats, EVENTS, new Date(0), log)).toBe(1)
    expect(await firstStoredSince(nats, EVENTS, new Date(Date.now() + DAY_MS), log)).toBe(21)
    expect(await dropBefore(nats, EVENTS, 13)).toBe(12)
    expect(await trimmableLog(nats, EVENTS)).toMatchObject({ first: 13, last: 20 })
    expect(await firstStoredSince(nats, EVENTS, new Date(0), await trimmableLog(nats, EVENTS))).toBe(13)
  })

  test('knows up to where a reader is, and that one waits for nothing', async () => {
    expect(await handledUpTo(nats, EVENTS, 'nobody')).toBeUndefined()
    const held: ((outcome: Outcome) => void)[] = []
    const reader = await consumeEach({
      nats,
      log: silent,
      publisher,
      service: 'test',
      stream: EVENTS,
      durable: 'reader',
      filterSubjects: [subjects.eventsOfType('message.created')],
      concurrency: 4,
      handler: () => new Promise((resolve) => held.push(resolve)),
    })
    await happened()
    await happened('status.updated')
    await happened()
    await until(() => held.length === 2)
    held.shift()?.(ack)
    await until(async () => (await handledUpTo(nats, EVENTS, 'reader')) === 2) // the next for it is 3
    held.shift()?.(ack)
    await until(async () => (await handledUpTo(nats, EVENTS, 'reader')) === undefined)
    await reader.stop()
  })
})
