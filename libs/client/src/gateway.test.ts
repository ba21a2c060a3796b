import {
  ANSWER_IF_PAUSED_HEADER,
  encodeEvent,
  type GatewayEvent,
  InvalidCommand,
  newEvent,
  REPLY_TO_HEADER,
  type SendOutcome,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import {
  ack,
  applyTopology,
  asServerPermissions,
  COMMANDS,
  connectNats,
  consumeEach,
  createPublisher,
  type Delivery,
  EVENTS,
  type Nats,
  type Publisher,
  removeConsumer,
} from '@cloudapi2/nats'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { clientPermissions } from './client-permissions.ts'
import { CommandNotAccepted, GatewayStopped, InvalidOption, SendAborted } from './errors.ts'
import { connectGateway, type Gateway } from './gateway.client.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b0000000-4f5d-494c-8a74-45f8cee150e6'
const silent = { info: () => {}, warn: () => {}, error: () => {} }
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

let server: Awaited<ReturnType<typeof startNats>>
let operator: Nats
let publisher: Publisher
const open: { stop: () => Promise<void> }[] = []

const url = () => `nats://127.0.0.1:${server.port}`
const connect = async (change: Partial<Parameters<typeof connectGateway>[0]> = {}): Promise<Gateway> => {
  const gateway = await connectGateway({
    natsUrl: url(),
    name: 'billing',
    user: 'billing',
    password: 'p',
    log: silent,
    ...change,
  })
  open.push(gateway)
  return gateway
}

const allowed = clientPermissions({
  name: 'billing',
  companyIds: [COMPANY, OTHER, '_'],
  durables: ['invoices', 'ledger', 'poison', 'shared'],
  mayReadWithoutName: true,
})

const narrow = clientPermissions({ name: 'narrow', companyIds: [COMPANY], durables: ['narrow-place'] })

beforeAll(async () => {
  const users = [
    { user: 'operator', password: 'p' },
    {
      user: 'billing',
      password: 'p',
      permissions: asServerPermissions(allowed),
    },
    {
      user: 'narrow',
      password: 'p',
      permissions: asServerPermissions(narrow),
    },
  ]
  server = await startNats({ users, noAuthUser: 'billing' })
  operator = await connectNats({ url: `nats://operator:p@127.0.0.1:${server.port}`, name: 'operator', log: silent })
  publisher = createPublisher(operator, { timeoutMs: 5_000 })
  await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 0 })
})
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop()
})
afterAll(async () => {
  publisher?.close()
  await operator?.close()
  await server?.stop()
})

/** Stands in for the sender: takes every command, and answers as it is told. */
const worker = async (answer: (command: { id: string }, delivery: Delivery) => SendOutcome | undefined) => {
  const taken: Delivery[] = []
  const consumer = await consumeEach({
    nats: operator,
    log: silent,
    publisher,
    service: 'sender',
    stream: COMMANDS,
    durable: 'worker',
    filterSubjects: ['cmd.send.>'],
    concurrency: 4,
    handler: async (delivery) => {
      taken.push(delivery)
      const outcome = answer(JSON.parse(Buffer.from(delivery.data).toString()), delivery)
      const replyTo = delivery.header(REPLY_TO_HEADER)
      if (outcome !== undefined && replyTo !== undefined) operator.publish(replyTo, JSON.stringify(outcome))
      return ack
    },
  })
  open.push(consumer)
  return taken
}
const accepted = ({ id }: { id: string }): SendOutcome => ({
  status: 'accepted',
  command_id: id,
  message_id: `wamid.${id}`,
})
const hello = (id?: string) => ({
  ...(id === undefined ? {} : { id }),
  company_id: COMPANY,
  to: '608684495',
  message: { type: 'text' as const, text: 'Hello' },
})

let facts = 0
/** Puts a fact into the log; its place there. */
const happen = async (
  change: { companyId?: string; type?: 'status.updated' | 'message.deleted'; subject?: string; body?: Buffer } = {},
): Promise<string> => {
  const id = `00000000-0000-5000-8000-${String(++facts).padStart(12, '0')}`
  const { companyId = COMPANY, type = 'status.updated', subject = type } = change
  const event = newEvent({
    id,
    source: '/webhook-gateway',
    type,
    subject: `wamid.${facts}`,
    time: '2026-11-24T08:15:30.000Z',
    companyId,
    channel: 'whatsapp',
    recordedTime: '2026-11-24T08:15:31.000Z',
    data: { message_id: `wamid.${facts}`, status: 'read', delete_id: 'd', direction: 'inbound', raw: {} },
  } as never)
  await publisher.publish({
    subject: `evt.${companyId}.whatsapp.${subject}`,
    msgId: id,
    data: change.body ?? encodeEvent(event as never),
    headers: { [TRACEPARENT_HEADER]: TRACE },
  })
  return id
}

const heard = () => {
  const events: GatewayEvent[] = []
  return { ids: () => events.map(({ id }) => id), take: (event: GatewayEvent) => void events.push(event) }
}

test('a command is stored when send resolves, under the id that it tells', async () => {
  const gateway = await connect()
  const { command_id, outcome } = await gateway.send(hello())
  expect(outcome).toEqual({ status: 'queued', command_id })
  const taken = await worker(accepted)
  await waitFor(() => expect(taken).toHaveLength(1))
  const [{ data, subject, ...delivery }] = taken as [Delivery]
  expect(subject).toBe(`cmd.send.${COMPANY}.whatsapp`)
  expect(JSON.parse(Buffer.from(data).toString())).toMatchObject({
    id: command_id,
    company_id: COMPANY,
    channel: 'whatsapp',
    priority: 'normal',
    requested_by: 'billing',
    requested_at: expect.stringMatching(/Z$/),
  })
  expect(delivery.header('Nats-Msg-Id')).toBe(`${COMPANY}:${command_id}`)
  expect(delivery.header('Correlation-Id')).toBe(command_id)
  expect(delivery.header(TRACEPARENT_HEADER)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  expect(delivery.header(REPLY_TO_HEADER)).toBeUndefined()
})

test('whoever waits is told how the command ended', async () => {
  const taken = await worker(accepted)
  const gateway = await connect()
  expect(await gateway.send(hello('invoice-1'), { waitMs: 60_000, traceparent: TRACE })).toEqual({
    command_id: 'invoice-1',
    outcome: { status: 'accepted', command_id: 'invoice-1', message_id: 'wamid.invoice-1' },
  })
  expect(taken[0]?.header(TRACEPARENT_HEADER)).toBe(TRACE)
  expect(taken[0]?.header(ANSWER_IF_PAUSED_HEADER)).toBeDefined()
})

test('a refusal is an outcome, not an error', async () => {
  const error = { code: 131047, title: 'Re-engagement message' }
  await worker(({ id }) => ({ status: 'failed', command_id: id, error }))
  const { outcome } = await (await connect()).send(hello('invoice-2'), { waitMs: 60_000 })
  expect(outcome).toMatchObject({ status: 'failed', error })
})

test('the outcomes of a hundred commands at once find those who asked', async () => {
  await worker(accepted)
  const gateway = await connect()
  const ids = Array.from({ length: 100 }, (_, n) => `many-${n}`)
  const sent = await Promise.all(ids.map((id) => gateway.send(hello(id), { waitMs: 60_000 })))
  expect(sent.map(({ outcome }) => 'message_id' in outcome && outcome.message_id)).toEqual(
    ids.map((id) => `wamid.${id}`),
  )
})

test('a command without an outcome in time stands in the queue', async () => {
  const taken = await worker(() => undefined)
  const { outcome } = await (await connect()).send(hello('slow'), { waitMs: 20 })
  expect(outcome).toEqual({ status: 'queued', command_id: 'slow' })
  await waitFor(() => expect(taken).toHaveLength(1))
})

test('an answer that is none is passed over', async () => {
  await worker(({ id }) => ({ status: 'odd', command_id: id }) as never)
  expect((await (await connect()).send(hello('odd'), { waitMs: 50 })).outcome.status).toBe('queued')
})

test.each([
  ['a message of no known form', { ...hello(), message: { type: 'fax' } }, 'message.type'],
  ['a command to nobody', { ...hello(), to: '' }, 'to'],
  ['an id with a space', { ...hello(), id: 'a b' }, 'id'],
  ['a body beyond all bounds', { ...hello(), message: { type: 'raw', body: { x: 'x'.repeat(262_144) } } }, 'body'],
])('%s is refused here, by the name of its field', async (_name, command, path) => {
  const gateway = await connect()
  const error = await gateway.send(command as never).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(InvalidCommand)
  expect((error as InvalidCommand).fields.map((field) => field.path)).toEqual([path])
})

test('a command that nobody confirms is not said to be accepted', async () => {
  const gateway = await connect({ user: 'narrow', name: 'narrow' })
  const error = await gateway
    .send({ ...hello('theirs'), company_id: OTHER }, { acceptWithinMs: 100 })
    .catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(CommandNotAccepted)
  expect(error).toMatchObject({ code: 'COMMAND_NOT_ACCEPTED', retryable: true, commandId: 'theirs' })
  // What the user may do goes on as before.
  expect((await gateway.send(hello('ours'))).outcome.status).toBe('queued')
  const taken = await worker(accepted)
  await waitFor(() => expect(taken.map((delivery) => delivery.header('Correlation-Id'))).toContain('ours'))
})

test('a command sent while the server is away is stored once it is back', async () => {
  const gateway = await connect()
  await server.kill()
  const sending = gateway.send(hello('patient'), { waitMs: 60_000, acceptWithinMs: 60_000 })
  await server.restart()
  await waitFor(() => expect(operator.isConnected()).toBe(true), { timeout: 20_000 })
  const taken = await worker(accepted)
  expect((await sending).outcome).toMatchObject({ status: 'accepted', message_id: 'wamid.patient' })
  expect(taken.length).toBeGreaterThan(0)
})

test('whoever stops waiting knows whether the command is stored', async () => {
  const gateway = await connect()
  const taken = await worker(() => undefined)
  const caller = new AbortController()
  const sending = gateway.send(hello('left'), { waitMs: 60_000, signal: caller.signal }).catch((e: unknown) => e)
  await waitFor(() => expect(taken).toHaveLength(1))
  caller.abort()
  expect(await sending).toBeInstanceOf(SendAborted)
  expect(await sending).toMatchObject({ code: 'SEND_ABORTED', commandId: 'left', isStored: true })
  const unsent = await gateway.send(hello('never'), { signal: caller.signal }).catch((e: unknown) => e)
  expect(unsent).toMatchObject({ commandId: 'never', isStored: false })
})

test('a stopped gateway sends nothing, and lets go whoever waits', async () => {
  const gateway = await connect()
  const taken = await worker(() => undefined)
  const sending = gateway.send(hello('stopped'), { waitMs: 60_000 }).catch((e: unknown) => e)
  await waitFor(() => expect(taken).toHaveLength(1))
  await gateway.stop()
  expect(await sending).toBeInstanceOf(GatewayStopped)
  await expect(gateway.send(hello())).rejects.toThrow(GatewayStopped)
  await expect(gateway.events.subscribe({}, () => {})).rejects.toThrow(GatewayStopped)
})

test('a connection without credentials is whoever the server lets in', async () => {
  const gateway = await connectGateway({ natsUrl: url(), name: 'billing', log: silent })
  open.push(gateway)
  expect((await gateway.send(hello('anonymous'))).outcome.status).toBe('queued')
})

test.each([
  ['a name that would be syntax', { name: 'a.>' }],
  ['a user without a password', { user: 'billing', password: undefined }],
  ['a token beside a user', { token: 't' }],
  ['an address that is none', { natsUrl: 'here' }],
])('%s is refused before anybody is asked', async (_name, change) => {
  await expect(connect(change as never)).rejects.toThrow(InvalidOption)
})

test('events are heard from now on, of the company and the types asked for', async () => {
  await happen()
  const gateway = await connect()
  const { ids, take } = heard()
  await gateway.events.subscribe({ companyId: COMPANY, types: ['status.updated'] }, (event, delivery) => {
    // The compiler knows the type.
    expect(event.data.status).toBe('read')
    expect(delivery).toMatchObject({ attempt: 1, traceparent: TRACE })
    take(event)
  })
  await happen({ companyId: OTHER })
  await happen({ type: 'message.deleted' })
  const wanted = await happen()
  await waitFor(() => expect(ids()).toEqual([wanted]))
})

test('events of one type or another come in the order of the log', async () => {
  const { take, ids } = heard()
  const gateway = await connect()
  await gateway.events.subscribe({ types: ['status.updated', 'message.deleted'] }, take)
  const wanted = [await happen({ type: 'message.deleted' }), await happen({ companyId: OTHER }), await happen()]
  await waitFor(() => expect(ids()).toEqual(wanted))
})

test('events are heard from a time or a sequence on', async () => {
  const gateway = await connect()
  let sequence = 0
  const first = heard()
  await gateway.events.subscribe({ from: 'start' }, (event, delivery) => {
    sequence = delivery.sequence
    first.take(event)
  })
  await waitFor(() => expect(first.ids()).toContain(`00000000-0000-5000-8000-${String(facts).padStart(12, '0')}`))
  const last = await happen()
  await waitFor(() => expect(first.ids().at(-1)).toBe(last))

  const later = heard()
  await gateway.events.subscribe({ from: { sequence } }, later.take)
  await waitFor(() => expect(later.ids()).toEqual([last]))
  const future = heard()
  await gateway.events.subscribe({ from: new Date(Date.now() + 3_600_000) }, future.take)
  const timed = heard()
  await gateway.events.subscribe({ from: new Date(0) }, timed.take)
  await waitFor(() => expect(timed.ids()).toEqual(first.ids()))
  expect(future.ids()).toEqual([])
})

test('a named place in the log survives its reader', async () => {
  const first = heard()
  const gateway = await connect()
  const subscription = await gateway.events.subscribe({ durable: 'invoices', from: 'now' }, first.take)
  const one = await happen()
  await waitFor(() => expect(first.ids()).toEqual([one]))
  await subscription.stop()
  await gateway.stop()

  const two = await happen()
  const second = heard()
  // Where to begin counts for the first reader only.
  await (await connect()).events.subscribe({ durable: 'invoices', from: 'start' }, second.take)
  const three = await happen()
  await waitFor(() => expect(second.ids()).toEqual([two, three]))
})

test('a user with no more than its rights sends for its company, and reads from its own place alone', async () => {
  const { take, ids } = heard()
  const gateway = await connect({ user: 'narrow', name: 'narrow' })
  await gateway.events.subscribe({ durable: 'narrow-place', from: 'now' }, take)
  const one = await happen()
  await waitFor(() => expect(ids()).toEqual([one]))
  await expect(gateway.events.subscribe({ durable: 'invoices' }, take)).rejects.toMatchObject({
    code: 'CONSUMER_UNAVAILABLE',
  })
})

test('readers of one name share its events', async () => {
  const readers = [heard(), heard()]
  for (const { take } of readers) await (await connect()).events.subscribe({ durable: 'shared', from: 'now' }, take)
  const wanted: string[] = []
  for (let n = 0; n < 40; n++) wanted.push(await happen())
  await waitFor(() => expect(readers.flatMap(({ ids }) => ids()).sort()).toEqual(wanted))
})

test('an event whose handler throws comes again, while others go on, until the handler has had enough', async () => {
  const errors: Record<string, unknown>[] = []
  const gateway = await connect({ log: { ...silent, error: (line) => void errors.push(line) } })
  const { ids, take } = heard()
  const attempts: number[] = []
  const bad = await happen()
  const from = { sequence: (await operator.raw.jetstreamManager().then((m) => m.streams.info(EVENTS))).state.last_seq }
  await gateway.events.subscribe({ durable: 'poison', from }, (event, { attempt }) => {
    if (event.id === bad) attempts.push(attempt)
    if (event.id === bad && attempt < 3) throw new Error('the ledger is closed')
    take(event)
  })
  const good = await happen()
  await waitFor(() => expect(ids()).toEqual([good, bad]), { timeout: 10_000 })
  expect(attempts).toEqual([1, 2, 3])
  expect(errors.filter(({ event }) => event === 'event.handler_failed')).toHaveLength(2)
})

test('a reader goes on where it was when the server comes back, and when the server has forgotten it', async () => {
  const gateway = await connect()
  const named = heard()
  const nameless = heard()
  await gateway.events.subscribe({ durable: 'ledger', from: 'now' }, named.take)
  await gateway.events.subscribe({ from: 'now' }, nameless.take)
  const wanted = [await happen()]
  await waitFor(() => expect(nameless.ids()).toEqual(wanted))
  // A reader without a name is kept in the server's memory.
  await server.restart()
  await waitFor(() => expect(operator.isConnected()).toBe(true), { timeout: 20_000 })
  wanted.push(await happen())
  await waitFor(() => expect(nameless.ids()).toEqual(wanted), { timeout: 30_000 })
  await waitFor(() => expect(named.ids()).toEqual(wanted), { timeout: 30_000 })
})

test('what cannot be read is kept for a version that can, and stops nobody', async () => {
  const errors: Record<string, unknown>[] = []
  const gateway = await connect({ log: { ...silent, error: (line) => void errors.push(line) } })
  const { ids, take } = heard()
  const put: number[] = []
  await gateway.events.subscribe({}, take)
  await gateway.events.subscribe(
    {
      onUnreadable: (error, { sequence, data }) => {
        expect(error).toMatchObject({ code: 'UNREADABLE_EVENT' })
        expect(Buffer.from(data).toString()).toBe('{}')
        put.push(sequence)
      },
    },
    () => {},
  )
  await happen({ body: Buffer.from('{}') })
  // A type that a newer gateway added.
  await happen({ subject: 'status.invented' })
  const readable = await happen()
  await waitFor(() => expect(ids()).toEqual([readable]))
  await waitFor(() => expect(errors.filter(({ event }) => event === 'event.unreadable').length).toBeGreaterThan(1))
  await waitFor(() => expect(put).toHaveLength(1))
})

test('a loop takes one event after the other; what it left in hand comes again', async () => {
  const gateway = await connect()
  const from = {
    sequence: (await operator.raw.jetstreamManager().then((m) => m.streams.info(EVENTS))).state.last_seq + 1,
  }
  const wanted = [await happen(), await happen(), await happen()]
  const first: string[] = []
  for await (const event of gateway.events.read({ durable: 'invoices-of-the-loop', from })) {
    first.push(event.id)
    if (first.length === 2) break
  }
  expect(first).toEqual(wanted.slice(0, 2))
  const second: string[] = []
  for await (const { id } of gateway.events.read({ durable: 'invoices-of-the-loop' })) {
    second.push(id)
    if (second.length === 2) void gateway.stop()
  }
  expect(second.sort()).toEqual(wanted.slice(1))
})

test('a reader without a name leaves nothing behind on the server', async () => {
  const consumers = async () => {
    const manager = await operator.raw.jetstreamManager()
    return (await manager.consumers.list(EVENTS).next()).map(({ name }) => name)
  }
  const before = await consumers()
  const gateway = await connect()
  await gateway.events.subscribe({}, () => {})
  expect(await consumers()).toHaveLength(before.length + 1)
  await gateway.stop()
  expect(await consumers()).toEqual(before)
  for (const name of before) await removeConsumer(operator, EVENTS, name)
})

test.each([
  ['a company that is none', { companyId: '>' }],
  ['a type that nobody knows', { types: ['status.invented'] }],
  ['no type at all', { types: [] }],
  ['a name that would be syntax', { durable: 'a.b' }],
  ['a beginning that is none', { from: 'yesterday' }],
  ['a concurrency of none', { concurrency: 0 }],
])('%s is refused', async (_name, options) => {
  await expect((await connect()).events.subscribe(options as never, () => {})).rejects.toThrow(InvalidOption)
})
