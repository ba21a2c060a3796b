import { randomUUID } from 'node:crypto'
import { subjects } from '@cloudapi2/contracts'
import { startNats, type TestServer } from '@cloudapi2/embedded'
import {
  ack,
  applyTopology,
  COMMANDS,
  connectNats,
  createPublisher,
  type Delivery,
  later,
  type Nats,
  type Outcome,
  type Publisher,
  storedUnder,
} from '@cloudapi2/nats'
import { createLog } from '@cloudapi2/service-kit'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { type Intakes, type IntakesDeps, startIntakes } from './intakes.handler.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

const log = createLog({ service: 'test', level: 'silent' })
let server: TestServer
let nats: Nats
let publisher: Publisher
beforeAll(async () => {
  server = await startNats()
  nats = await connectNats({ url: server.url, name: 'sender', log })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
})
afterAll(async () => {
  await nats?.close()
  await server?.stop()
})

let running: { intakes: Intakes; stopping: AbortController }[]
beforeEach(async () => {
  running = []
  const manager = await nats.raw.jetstreamManager()
  await manager.streams.purge(COMMANDS)
  for await (const { name } of manager.consumers.list(COMMANDS)) await manager.consumers.delete(COMMANDS, name)
})
afterEach(() => Promise.all(running.map(stop)))
const stop = async ({ intakes, stopping }: { intakes: Intakes; stopping: AbortController }) => {
  stopping.abort(new Error('the test is over'))
  await intakes.stop()
}

const start = async (
  handler: (delivery: Delivery, stopping: AbortSignal) => Promise<Outcome> = async () => ack,
  options: Partial<IntakesDeps> = {},
) => {
  const stopping = new AbortController()
  const taken: string[] = []
  const overtaken: string[] = []
  const intakes = startIntakes({
    nats,
    log,
    publisher,
    intake: {
      handler: (delivery) => {
        taken.push(Buffer.from(delivery.data).toString())
        return handler(delivery, stopping.signal)
      },
      overtake: async ({ data }) => void overtaken.push(Buffer.from(data).toString()),
    },
    concurrency: 4,
    idleMs: 60_000,
    sweepMs: 3_600_000,
    stopping: stopping.signal,
    ...options,
  })
  const started = { intakes, stopping, taken, overtaken }
  running.push(started)
  await waitFor(() => expect(intakes.isStarted()).toBe(true))
  return started
}
const put = (body: string, subject: string) => publisher.publish({ subject, msgId: randomUUID(), data: body })
const companySubject = () => subjects.sendCommand(randomUUID(), 'whatsapp')
const waiting = async () => [...(await storedUnder(nats, COMMANDS, 'cmd.send.>')).values()].reduce((a, b) => a + b, 0)
/** Waits for its end, whatever it does. */
const untilStopped = (stopping: AbortSignal) =>
  new Promise<Outcome>((resolve) => stopping.addEventListener('abort', () => resolve(later(0, 'handed back'))))

test('commands that were there before are taken, and those that are heard of, whatever their subject', async () => {
  const [one, other] = [companySubject(), companySubject()]
  await put('before', one)
  const { taken, overtaken } = await start()
  await put('after', one)
  await put('other', other)
  await put('strange', 'cmd.send.who.knows.what')
  await waitFor(() => expect([...taken].sort()).toEqual(['after', 'before', 'other', 'strange']))
  await waitFor(async () => expect(await waiting()).toBe(0))
  await waitFor(() => expect([...overtaken].sort()).toEqual(['after', 'other', 'strange']))
})
test('a company with many on their way keeps nobody waiting', async () => {
  const [busy, other] = [companySubject(), companySubject()]
  await Promise.all(Array.from({ length: 2_000 }, (_, n) => put(`busy ${n}`, busy)))
  const { taken } = await start((delivery, stopping) =>
    delivery.subject === busy ? untilStopped(stopping) : Promise.resolve(ack),
  )
  await waitFor(() => expect(taken).toHaveLength(4))
  await put('single', other)
  await waitFor(() => expect(taken).toContain('single'))
  expect(taken).toHaveLength(5)
  expect(await waiting()).toBe(2_000)
})
test('a subject without commands is left, and taken from again with the next one', async () => {
  const { taken } = await start(undefined, { idleMs: 4 })
  const subject = companySubject()
  // Each at another moment of its being left: nobody sweeps in this test.
  for (let n = 0; n < 60; n++) await put(`n${n}`, subject)
  await waitFor(() => expect(new Set(taken).size).toBe(60), { timeout: 5_000 })
})
test('of two senders each command is heard of by one, and what one leaves comes to the other', async () => {
  const first = await start((_, stopping) => untilStopped(stopping))
  const subject = companySubject()
  await put('one', subject)
  await waitFor(() => expect(first.taken).toEqual(['one']))
  const second = await start()
  await stop(first)
  await waitFor(() => expect(second.taken).toEqual(['one']))
  await put('two', subject)
  await waitFor(() => expect(second.taken).toEqual(['one', 'two']))
  await waitFor(() => expect([...first.overtaken, ...second.overtaken]).toEqual(['one', 'two']))
})
test('what was left in hand by a version that took from all subjects at once is taken', async () => {
  const manager = await nats.raw.jetstreamManager()
  await manager.consumers.add(COMMANDS, {
    durable_name: 'sender',
    ack_policy: 'explicit' as never,
    filter_subjects: [subjects.allSendCommands],
  })
  await put('in hand', companySubject())
  await put('waiting', companySubject())
  const former = await nats.raw.jetstream().consumers.get(COMMANDS, 'sender')
  expect(await former.next({ expires: 1_000 })).not.toBeNull()
  const { taken } = await start()
  await waitFor(() => expect([...taken].sort()).toEqual(['in hand', 'waiting']))
})
test('commands of which nobody heard are found', async () => {
  const { taken } = await start(undefined, { sweepMs: 30, nats: { ...nats, subscribe: () => () => {} } })
  await put('unheard', companySubject())
  await waitFor(() => expect(taken).toEqual(['unheard']))
})
