import { COMMAND_SUBJECT_HEADER, subjects } from '@cloudapi2/contracts'
import { startNats, type TestServer } from '@cloudapi2/embedded'
import {
  ack,
  applyTopology,
  BUCKETS,
  COMMANDS,
  connectNats,
  createLeases,
  createPublisher,
  type Delivery,
  dead,
  type KvBucket,
  type Leases,
  type Nats,
  openDeadLetters,
  openKv,
  type Publisher,
  storedUnder,
} from '@cloudapi2/nats'
import { createLog } from '@cloudapi2/service-kit'
import { messagesPerSecondOf } from '@cloudapi2/tenants'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { laneWindow } from './lane-window.ts'
import { createLanes, type Lanes, type LanesDeps } from './lanes.handler.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

const log = createLog({ service: 'test', level: 'silent' })
let server: TestServer
let nats: Nats
let publisher: Publisher
let bucket: KvBucket
let sequence = 0

beforeAll(async () => {
  server = await startNats()
  nats = await connectNats({ url: server.url, name: 'operator', log })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
  bucket = await openKv(nats, BUCKETS.leases, log)
})
afterAll(async () => {
  await nats?.close()
  await server?.stop()
})

const leasesOf = (ttlMs = 15_000): Leases => createLeases({ bucket, log, ttlMs })

let numbers = 0
/** A number of this test alone. */
let number: string
let running: { lanes: Lanes; stopping: AbortController }[]
beforeEach(() => {
  number = String(1_000 + numbers++)
  running = []
})
afterEach(() => Promise.all(running.map(stop)))

const stop = async ({ lanes, stopping }: { lanes: Lanes; stopping: AbortController }) => {
  stopping.abort(new Error('the test is over'))
  await lanes.stop()
}

/** A sender as far as its lanes go. */
const sender = (options: Partial<LanesDeps> = {}) => {
  const stopping = new AbortController()
  const worked: string[] = []
  const lanes = createLanes({
    nats,
    log,
    publisher,
    leases: leasesOf(),
    work: async ({ subject, data }: Delivery) => {
      worked.push(`${subject} ${Buffer.from(data)}`)
      return ack
    },
    window: () => 4,
    idleMs: 60_000,
    sweepMs: 3_600_000,
    stopping: stopping.signal,
    ...options,
  })
  const started = { lanes, stopping, worked }
  running.push(started)
  return started
}

const put = async (body: string, priority: 'high' | 'normal' = 'normal', of = number) => {
  await publisher.publish({
    subject: subjects.laneCommand(of, priority),
    msgId: `test:${sequence++}`,
    data: body,
    headers: { [COMMAND_SUBJECT_HEADER]: 'cmd.send._.whatsapp' },
  })
}
const waiting = async (of = number) => (await storedUnder(nats, COMMANDS, subjects.laneCommands(of))).size
const consumersOf = async (of = number) => {
  const manager = await nats.raw.jetstreamManager()
  const names = (await manager.consumers.list(COMMANDS).next()).map(({ name }) => name)
  return names.filter((name) => name.startsWith(`lane-${of}-`))
}

describe('a lane', () => {
  test('works what lies in it, under the subject it came on', async () => {
    await put('one')
    const { lanes, worked } = sender()
    lanes.ensure(number)
    await waitFor(() => expect(worked).toEqual(['cmd.send._.whatsapp one']))
    await waitFor(async () => expect(await waiting()).toBe(0))
  })
  test('is gone when it has had no work for a while, and comes back with the next command', async () => {
    const { lanes, worked } = sender({ idleMs: 50 })
    await put('one')
    lanes.ensure(number)
    await waitFor(async () => {
      expect(worked).toHaveLength(1)
      expect([lanes.owned(), await consumersOf(), await bucket.get(`lane.${number}`)]).toEqual([0, [], undefined])
    })
    await put('two')
    lanes.ensure(number)
    await waitFor(() => expect(worked).toHaveLength(2))
  })
  test('leaves nothing lying that came while it closed', async () => {
    const { lanes, worked } = sender({ idleMs: 4 })
    // Each at another moment of its closing: nobody sweeps in this test.
    for (let n = 0; n < 60; n++) {
      await put(`n${n}`)
      lanes.ensure(number)
    }
    await waitFor(() => expect(new Set(worked).size).toBe(60), { timeout: 10_000 })
  })
  test('of one number waits for no other', async () => {
    const other = `${number}0`
    let release = () => {}
    const isReleased = new Promise<void>((resolve) => {
      release = resolve
    })
    const worked: string[] = []
    const { lanes } = sender({
      work: async ({ data }) => {
        const body = Buffer.from(data).toString()
        if (body === 'slow') await isReleased
        worked.push(body)
        return ack
      },
    })
    await Promise.all(Array.from({ length: 2_000 }, () => put('slow')))
    lanes.ensure(number)
    await put('single', 'normal', other)
    await put('urgent', 'high')
    lanes.ensure(other)
    await waitFor(() => expect(worked.sort()).toEqual(['single', 'urgent']))
    expect(
      (await storedUnder(nats, COMMANDS, subjects.laneCommands(number))).get(subjects.laneCommand(number, 'normal')),
    ).toBe(2_000)
    release()
    await waitFor(async () => expect(await waiting()).toBe(0), { timeout: 20_000 })
  })
  test('is held in memory up to its window only', async () => {
    let held = 0
    let release = () => {}
    const isReleased = new Promise<void>((resolve) => {
      release = resolve
    })
    let most = 0
    const { lanes } = sender({
      work: async () => {
        most = Math.max(most, ++held)
        await isReleased
        held--
        return ack
      },
    })
    await Promise.all(Array.from({ length: 300 }, (_, n) => put(`n${n}`)))
    lanes.ensure(number)
    await waitFor(() => expect(held).toBe(4))
    release()
    await waitFor(async () => expect(await waiting()).toBe(0))
    expect(most).toBe(4)
  })
  test('names the subject of the command in its dead letters', async () => {
    const { lanes } = sender({ work: async () => dead({ code: 'BROKEN', reason: 'it is broken' }) })
    await put('one')
    lanes.ensure(number)
    const letters = openDeadLetters(nats, { timeoutMs: 2_000 })
    await waitFor(async () =>
      expect((await letters.page({})).letters[0]).toMatchObject({
        code: 'BROKEN',
        subject: 'cmd.send._.whatsapp',
      }),
    )
  })
  test('that was asked for in vain is asked for again when a command came meanwhile', async () => {
    const revision = await bucket.create(`lane.${number}`, 'somebody else')
    const { lanes, worked } = sender()
    const take = vi.spyOn(bucket, 'create')
    lanes.ensure(number)
    await put('one')
    lanes.ensure(number) // the answer to the first question may be under way, or have been given
    await waitFor(() => expect(take).toHaveBeenCalled())
    take.mockRestore()
    // Its owner looked before the command came.
    await bucket.delete(`lane.${number}`, revision)
    await waitFor(() => expect(worked).toHaveLength(1), { timeout: 3_000 })
  })
})

describe('two senders', () => {
  test('never work one lane at the same time, and one takes over at once when the other stops', async () => {
    const [first, second] = [sender(), sender()]
    await put('one')
    first.lanes.ensure(number)
    await waitFor(() => expect(first.worked).toHaveLength(1))
    await put('two')
    second.lanes.ensure(number)
    await waitFor(() => expect(first.worked).toHaveLength(2))
    expect(second.worked).toEqual([])
  })
  test('one takes over at once what the other leaves when it stops', async () => {
    const first = sender({
      window: () => 1,
      work: (_, leaving) =>
        new Promise((_, reject) => leaving.addEventListener('abort', () => reject(leaving.reason), { once: true })),
    })
    const second = sender()
    await Promise.all(['one', 'two', 'three'].map((body) => put(body)))
    first.lanes.ensure(number)
    await waitFor(async () => expect(await consumersOf()).toHaveLength(2))
    await stop(first)
    // Nobody tells it, nor does it sweep in this test.
    await waitFor(() => expect(second.worked).toHaveLength(3))
  })
  test('one finds what the other left that died, when its lease is over: also what it had in hand', async () => {
    const ttlMs = 1_000
    await nats.raw.jetstream().views.kv('leases-of-a-second', { history: 1, ttl: ttlMs })
    const short = await openKv(nats, 'leases-of-a-second', log)
    const died = await connectNats({ url: server.url, name: 'died', log })
    const neverAgain = { now: () => 0, every: () => () => {} }
    const first = sender({
      nats: died,
      window: () => 1,
      ackWaitMs: 1_500,
      leases: createLeases({ bucket: short, log, ttlMs, clock: neverAgain }),
      work: () => new Promise(() => {}),
    })
    await Promise.all(['one', 'two'].map((body) => put(body)))
    first.lanes.ensure(number)
    await waitFor(async () => expect(await consumersOf()).toHaveLength(2))
    await died.raw.close()
    running = running.filter((one) => one !== first) // it cannot stop any more

    const second = sender({
      sweepMs: 50,
      ackWaitMs: 1_500,
      leases: createLeases({ bucket: short, log, ttlMs }),
    })
    expect(second.worked).toEqual([])
    await waitFor(
      () => expect([...second.worked].sort()).toEqual(['one', 'two'].map((b) => `cmd.send._.whatsapp ${b}`)),
      {
        timeout: 10_000,
      },
    )
  })
  test('whoever loses its lease gives back what only waits', async () => {
    const { clock, tick } = clockByHand()
    const first = sender({
      leases: createLeases({ bucket, log, ttlMs: 15_000, clock }),
      work: (_, leaving) =>
        new Promise((_, reject) => leaving.addEventListener('abort', () => reject(leaving.reason), { once: true })),
    })
    await put('one')
    first.lanes.ensure(number)
    await waitFor(() => expect(first.lanes.owned()).toBe(1))
    const revision = await bucket.put(`lane.${number}`, 'somebody else')
    tick()
    await waitFor(() => expect(first.lanes.owned()).toBe(0))
    await stop(first) // it would take the lane again
    await bucket.delete(`lane.${number}`, revision)
    const second = sender()
    second.lanes.ensure(number)
    await waitFor(() => expect(second.worked).toEqual(['cmd.send._.whatsapp one']), { timeout: 3_000 })
  })
  test('what was left in hand comes to the other', async () => {
    const first = sender({
      work: ({ data }) =>
        new Promise((_, reject) => {
          if (Buffer.from(data).toString() !== 'one') return
          first.stopping.signal.addEventListener('abort', () => reject(first.stopping.signal.reason))
        }),
    })
    await put('one')
    first.lanes.ensure(number)
    await waitFor(async () => expect(await consumersOf()).toHaveLength(2))
    await stop(first)
    const second = sender()
    second.lanes.ensure(number)
    await waitFor(() => expect(second.worked).toEqual(['cmd.send._.whatsapp one']), { timeout: 15_000 })
  })
})

const clockByHand = (now = () => 0) => {
  let run = () => {}
  const every = (_ms: number, task: () => void) => {
    run = task
    return () => {}
  }
  return { clock: { now, every }, tick: () => run() }
}

describe('a lease', () => {
  test('that somebody else wrote is lost, and not given back', async () => {
    const { clock, tick } = clockByHand()
    const lost = vi.fn()
    const lease = await createLeases({ bucket, log, ttlMs: 15_000, clock }).take(`lane.${number}`, lost)
    await bucket.put(`lane.${number}`, 'somebody else')
    tick()
    await waitFor(() => expect(lost).toHaveBeenCalledOnce())
    await lease?.release()
    expect(Buffer.from((await bucket.get(`lane.${number}`))?.value ?? []).toString()).toBe('somebody else')
  })
  test('is known again by who wrote it, when the confirmation was lost', async () => {
    const { clock, tick } = clockByHand()
    const lost = vi.fn()
    let isNextLost = true
    const unconfirmed =
      (what: 'create' | 'update') =>
      async (key: string, value: Uint8Array | string, revision = 0) => {
        const stored = what === 'create' ? await bucket.create(key, value) : await bucket.update(key, value, revision)
        if (!isNextLost) return stored
        isNextLost = false
        throw new Error('no answer')
      }
    const leases = createLeases({
      bucket: { ...bucket, create: unconfirmed('create'), update: unconfirmed('update') },
      log,
      ttlMs: 15_000,
      clock,
    })
    await expect(leases.take(`lane.${number}`, lost)).rejects.toThrow('no answer')
    const lease = await leases.take(`lane.${number}`, lost)
    expect(lease).toBeDefined()
    isNextLost = true
    const revisions = [(await bucket.get(`lane.${number}`))?.revision]
    for (let n = 0; n < 2; n++)
      await waitFor(async () => {
        tick()
        const revision = (await bucket.get(`lane.${number}`))?.revision
        expect(revisions).not.toContain(revision)
        revisions.push(revision)
      })
    expect(lost).not.toHaveBeenCalled()
    await lease?.release()
    expect(await bucket.get(`lane.${number}`)).toBeUndefined()
  })
  test('that could not be renewed in time is lost before the bucket forgets it', async () => {
    let now = 0
    const { clock, tick } = clockByHand(() => now)
    const away = { ...bucket, update: () => Promise.reject(new Error('no connection')) }
    const lost = vi.fn()
    await createLeases({ bucket: away, log, ttlMs: 15_000, clock }).take(`lane.${number}`, lost)
    for (now = 3_000; now <= 9_000; now += 3_000) {
      tick()
      await new Promise((resolve) => setImmediate(resolve))
      expect(lost).not.toHaveBeenCalled()
    }
    now = 12_000
    tick()
    expect(lost).toHaveBeenCalledOnce()
  })
})

test('a window holds what a number can have under way', () => {
  expect([laneWindow(20), laneWindow(1_000), laneWindow(messagesPerSecondOf(undefined, '1'))]).toEqual([64, 2_000, 160])
})
