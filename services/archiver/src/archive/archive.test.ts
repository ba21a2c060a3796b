import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ArchivePosition, subjects } from '@cloudapi2/contracts'
import { startNats, type TestServer } from '@cloudapi2/embedded'
import { type ArchiveLog, ArchiveRefused, type ArchiveWriter, connectEventStore } from '@cloudapi2/event-log'
import {
  type EventStoreServer,
  type EventStoreServerOptions,
  startEventStoreServer,
} from '@cloudapi2/eventstore-server'
import {
  applyTopology,
  BUCKETS,
  connectNats,
  createPublisher,
  type Nats,
  openDeadLetters,
  openKv,
  type Publisher,
} from '@cloudapi2/nats'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
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
import { type Checkpoint, checkpointIn, idIn } from './checkpoint.ts'

let server: TestServer
let nats: Nats
let publisher: Publisher
let eventStore: EventStoreServer
let archive: ArchiveLog
const running: RunningArchiver[] = []
let dir: string

const FEW_IDS: EventStoreServerOptions = { recentIds: 4 }

beforeAll(async () => {
  server = await startNats()
})
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'cloudapi2-archive-'))
  nats = await connectNats({ url: server.url, name: 'archiver', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
  await openEventStore(FEW_IDS)
})
afterEach(async () => {
  await stopAll()
  await archive.close()
  await eventStore.stop()
  publisher.close()
  const manager = await nats.raw.jetstreamManager()
  for (const stream of ['EVENTS', 'DEADLETTERS', `KV_${BUCKETS.checkpoints}`]) await manager.streams.delete(stream)
  await nats.close()
  rmSync(dir, { recursive: true, force: true })
})
afterAll(() => server?.stop())

const openEventStore = async (options: EventStoreServerOptions) => {
  eventStore = await startEventStoreServer({ dir, ...options })
  archive = connectEventStore(eventStore.url, { deadlineMs: 2_000 })
}
const reopenEventStore = async () => {
  const { port } = eventStore
  await eventStore.kill()
  eventStore = await startEventStoreServer({ dir, port, ...FEW_IDS })
}

const start = async (writer: ArchiveWriter | undefined = archive) => {
  const archiver = await startArchiver({ nats, publisher, ...(writer === undefined ? {} : { archive: writer }) })
  running.push(archiver)
  return archiver
}
const stopAll = async () => {
  await Promise.all(running.splice(0).map(({ stop }) => stop()))
}

const ask = async (): Promise<ArchivePosition | undefined> => {
  try {
    return JSON.parse(Buffer.from(await nats.request(subjects.archivePosition, '', 1_000)).toString())
  } catch {
    return undefined // nobody is at work yet
  }
}
const caughtUp = () => until(async () => (await ask())?.caught_up)
const metric = async ({ metrics }: RunningArchiver, name: string) =>
  Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(await metrics.registry.metrics())?.[1])
const checkpoint = async (): Promise<Checkpoint | undefined> => {
  const stored = await (await openKv(nats, BUCKETS.checkpoints, silent)).get('archiver')
  return stored && checkpointIn(stored.value)
}

/** Position and id of each event of a company, as EVENTS has them and as the archive has them. */
const bothLogs = async (companyId: string) => {
  const inLog = (await wholeLog(nats)).filter((event) => event.companyId === companyId)
  const inArchive: string[] = []
  for await (const { position, body } of archive.read({ companyId })) inArchive.push(`${position} ${idIn(body)}`)
  return { inLog: inLog.map(({ position, body }) => `${position} ${idIn(body)}`), inArchive }
}
const expectWhole = async (...companyIds: string[]) => {
  for (const companyId of companyIds) {
    const { inLog, inArchive } = await bothLogs(companyId)
    expect(inLog.length).toBeGreaterThan(0)
    // Equal lists: nothing is missing, nothing twice, nothing out of order.
    expect(inArchive).toEqual(inLog)
  }
}

const storeSome = async (count: number, prefix: string | number = '') => {
  const all: Promise<void>[] = []
  for (let n = 0; n < count; n++) {
    all.push(store(publisher, messageEvent(n % 3 === 0 ? OTHER : COMPANY, `${prefix}${n}`)))
    if (n % 10 === 0) all.push(store(publisher, { ...messageEvent(COMPANY, `sys${prefix}${n}`), channel: 'system' }))
  }
  await Promise.all(all)
}

describe('the copy', () => {
  test('has every event of every company once, in order over its channels, as it was stored', async () => {
    await storeSome(300)
    const archiver = await start()
    await caughtUp()
    await storeSome(50, 'live')
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
    expect(await metric(archiver, 'archiver_events_total')).toBe((await wholeLog(nats)).length)
    expect(await metric(archiver, 'archiver_position')).toBe((await wholeLog(nats)).length)
    expect(archiver.readiness.report().ready).toBe(true)
  })

  test('keeps what is no JSON, and what belongs to no company', async () => {
    await publisher.publish({ subject: 'evt._.whatsapp.webhook.unrecognised', msgId: 'x', data: 'not json' })
    await start()
    await caughtUp()
    const bodies: string[] = []
    for await (const { body } of archive.read({ companyId: '_' })) bodies.push(Buffer.from(body).toString())
    expect(bodies).toEqual(['not json'])
  })

  test('goes on after a restart from its checkpoint, which is never ahead of what is stored', async () => {
    await storeSome(100)
    await start()
    await caughtUp()
    await stopAll()
    const last = (await wholeLog(nats)).length
    expect(await checkpoint()).toMatchObject({ position: last })
    const asked: string[] = []
    await storeSome(1, 'later')
    await start({
      lastPositionIn: (stream) => {
        asked.push(stream)
        return archive.lastPositionIn(stream)
      },
      appendAt: (stream, entries, expected) => {
        for (const { position } of entries) expect(position).toBeGreaterThan(last)
        return archive.appendAt(stream, entries, expected)
      },
    })
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
    expect(asked.length).toBeGreaterThan(0)
  })

  test('that lost its checkpoint stores nothing twice', async () => {
    await storeSome(100)
    await start()
    await caughtUp()
    await stopAll()
    await (await openKv(nats, BUCKETS.checkpoints, silent)).delete('archiver')
    await start()
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
  })

  test('tells how far it is, and that nothing is copied where there is no archive', async () => {
    await storeSome(10)
    await start()
    await caughtUp()
    expect(await ask()).toMatchObject({ position: (await wholeLog(nats)).length, enabled: true, caught_up: true })
    await stopAll()
    const archiver = await startArchiver({ nats, publisher })
    running.push(archiver)
    await until(ask)
    expect(await ask()).toMatchObject({ position: 0, enabled: false, caught_up: false })
    expect(archiver.readiness.report().ready).toBe(true)
  })
})

describe('an archive that fails', () => {
  test('by losing replies makes nothing missing, double or out of order', async () => {
    await start()
    for (let n = 0; n < 20; n++) {
      eventStore.faults.dropReplies(1 + (n % 3))
      await storeSome(20, `${n}-`)
      await caughtUp()
    }
    eventStore.faults.dropReplies(0)
    await expectWhole(COMPANY, OTHER)
  })

  test('by being away makes nobody else wait, shows in the readiness, and is caught up with by itself', async () => {
    eventStore.faults.unavailable(true)
    const archiver = await start()
    await storeSome(50)
    await until(() => !archiver.readiness.report().ready)
    expect(archiver.readiness.report().checks.archive?.reason).toMatch(/EventStoreDB did not answer/)
    expect(await ask()).toMatchObject({ caught_up: false, enabled: true })
    await storeSome(50, 'meanwhile')
    eventStore.faults.unavailable(false)
    await caughtUp()
    expect(archiver.readiness.report().ready).toBe(true)
    await expectWhole(COMPANY, OTHER)
  })

  test('by being killed and started again, again and again, has everything once', async () => {
    await start()
    for (let n = 0; n < 6; n++) {
      await Promise.all([storeSome(60, `${n}-`), reopenEventStore()])
      await storeSome(5, `${n}-after-`)
    }
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
  })

  test('by refusing this user loses no event: it is no fault of theirs', async () => {
    await storeSome(5)
    let isAllowed = false
    const archiver = await start({
      lastPositionIn: archive.lastPositionIn,
      appendAt: async (stream, entries, expected) => {
        if (isAllowed) return archive.appendAt(stream, entries, expected)
        throw new ArchiveRefused(stream, 'access-denied', { type: 'access-denied' })
      },
    })
    await until(() => archiver.readiness.report().checks.archive?.ok === false)
    isAllowed = true
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
    expect((await openDeadLetters(nats).page({})).letters).toEqual([])
  })

  test('by refusing an event that is too large gets all others, and the event is a dead letter with its reason', async () => {
    await archive.close()
    await eventStore.stop()
    await openEventStore({ maxAppendSize: 100_000 })
    await storeSome(20)
    const large = messageEvent(COMPANY, 'large', { text: 'x'.repeat(200_000) })
    await store(publisher, large)
    await storeSome(20, 'after')
    const archiver = await start()
    await caughtUp()
    const { inLog, inArchive } = await bothLogs(COMPANY)
    expect(inArchive).toEqual(inLog.filter((line) => !line.endsWith(large.id)))
    expect(inLog.length).toBe(inArchive.length + 1)
    const { letters } = await openDeadLetters(nats).page({ service: 'archiver' })
    expect(letters).toHaveLength(1)
    expect(letters[0]).toMatchObject({ company_id: COMPANY, code: 'EVENTSTORE_REFUSED', stream: 'EVENTS' })
    expect(letters[0]?.reason).toMatch(/100000 bytes/)
    expect(JSON.parse(Buffer.from(letters[0]?.body as Uint8Array).toString())).toEqual(large)
    expect(await metric(archiver, 'archiver_refused_total')).toBe(1)
  })

  test('by being put back from an older copy is filled up again', async () => {
    await storeSome(100)
    await start()
    await caughtUp()
    await stopAll()
    await archive.close()
    await eventStore.stop()
    rmSync(dir, { recursive: true })
    dir = mkdtempSync(join(tmpdir(), 'cloudapi2-archive-'))
    await openEventStore(FEW_IDS)
    await start()
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
  })

  test.each(['shorter', 'longer'])(
    'by being that of another, %s log gets nothing, and that is told',
    async (length) => {
      await storeSome(20)
      await start()
      await caughtUp()
      await stopAll()
      const { inArchive } = await bothLogs(COMPANY)
      const manager = await nats.raw.jetstreamManager()
      await manager.streams.delete('EVENTS')
      await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
      await storeSome(length === 'shorter' ? 5 : 40, 'another')
      const archiver = await start()
      await until(() => archiver.readiness.report().checks.archive?.ok === false)
      expect(archiver.readiness.report().checks.archive?.reason).toMatch(/archive of another log/)
      expect((await bothLogs(COMPANY)).inArchive).toEqual(inArchive)
      expect((await ask())?.caught_up).toBe(false)
    },
  )
})

describe('two archivers', () => {
  test('share the work by lease: one works, the other stands by and takes over', async () => {
    const both = [await start(), await start()]
    await storeSome(20)
    await caughtUp()
    const working = await Promise.all(both.map((archiver) => metric(archiver, 'archiver_working')))
    expect([...working].sort()).toEqual([0, 1])
    const [atWork] = running.splice(working.indexOf(1), 1)
    await atWork?.stop()
    await storeSome(20, 'then')
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
  })

  test('that both believe to be the one at work store everything once, in order, with replies lost', async () => {
    const leases = await openKv(nats, BUCKETS.leases, silent)
    const both = [await start(), await start()]
    const working = async () => (await Promise.all(both.map((one) => metric(one, 'archiver_working')))).filter(Boolean)
    await until(async () => (await working()).length === 1)
    for (let round = 0; round < 2; round++) {
      // Taken away: the other one begins, and the first has not heard of it.
      await until(async () => {
        await leases.delete('archiver')
        return (await working()).length === 2
      }, 400)
      for (let n = 0; (await working()).length === 2; n++) {
        if (n % 5 === 0) eventStore.faults.dropReplies(1)
        await storeSome(10, `${round}-${n}-`)
      }
    }
    eventStore.faults.dropReplies(0)
    await caughtUp()
    await expectWhole(COMPANY, OTHER)
  })
})

test('without asking the archive where it stands, lost replies would store events twice: these tests would see it', async () => {
  const revisions = new Map<string, bigint>()
  await start({
    // What somebody does who relies on the ids alone.
    lastPositionIn: async (stream) => {
      const { revision } = await archive.lastPositionIn(stream)
      if (typeof revision === 'bigint') revisions.set(stream, revision)
      return { position: 0, revision }
    },
    appendAt: archive.appendAt,
  })
  await storeSome(30)
  await until(async () => (await ask())?.caught_up)
  for (let n = 0; n < 5; n++) {
    eventStore.faults.dropReplies(1)
    await storeSome(10, `${n}-`)
    await caughtUp()
  }
  await expect(expectWhole(COMPANY, OTHER)).rejects.toThrow()
})
