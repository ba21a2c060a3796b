import { parseRedrive } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connectNats, type Nats, type NatsLog } from './connection.ts'
import {
  DeadLetterNotRedrivable,
  DeadLetterUncertain,
  redriveDeadLetter,
  redrivePublication,
} from './dead-letter-redrive.ts'
import { type DeadLetter, type DeadLetterQuery, type DeadLetters, openDeadLetters } from './dead-letters.ts'
import { asServerPermissions, permissions } from './permissions.ts'
import { createPublisher, type Publisher, PublishFailed } from './publisher.ts'
import { applyTopology, COMMANDS, DEADLETTERS } from './topology.ts'

const ONE = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b9242a58-4f5d-494c-8a74-45f8cee150e6'
const silent: NatsLog = { info: () => {}, warn: () => {}, error: () => {} }

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let publisher: Publisher
/** As the sender sees them, with no more than the sender may do. */
let letters: DeadLetters
let sender: Nats

beforeAll(async () => {
  server = await startNats({
    users: [
      { user: 'operator', password: 'p' },
      {
        user: 'sender',
        password: 'p',
        permissions: asServerPermissions(permissions.sender),
      },
    ],
  })
  const url = (user: string) => `nats://${user}:p@127.0.0.1:${server.port}`
  nats = await connectNats({ url: url('operator'), name: 'operator', log: silent })
  sender = await connectNats({ url: url('sender'), name: 'sender', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
  letters = openDeadLetters(sender)
})
afterAll(async () => {
  publisher?.close()
  await sender?.close()
  await nats?.close()
  await server?.stop()
})

const manager = () => nats.raw.jetstreamManager({ checkAPI: false })
beforeEach(async () => {
  for (const stream of [DEADLETTERS, COMMANDS]) await (await manager()).streams.purge(stream)
})

interface Given {
  service: string
  company: string
  code: string
  stream: string
  subject: string
  attempts: string
  body: unknown
}
const command = (id: string, more: Record<string, unknown> = {}) => ({
  id,
  channel: 'whatsapp',
  to: '608684495',
  message: { type: 'text', text: 'Hello' },
  ...more,
})
let count = 0
/** Gives something up, and returns the sequence of its dead letter. */
const giveUp = async (given: Partial<Given> = {}): Promise<number> => {
  const n = ++count
  const { service = 'sender', company = ONE, code = '130429', stream = COMMANDS, attempts = '5' } = given
  const { subject = `cmd.send.${company}.whatsapp`, body = command(`c-${n}`) } = given
  await publisher.publish({
    subject: `dlq.${service}.${company}`,
    msgId: `dlq:${n}`,
    data: typeof body === 'string' ? body : JSON.stringify(body),
    headers: {
      Reason: 'Rate limit hit',
      Code: code,
      Attempts: attempts,
      Stream: stream,
      Sequence: '7',
      Subject: subject,
    },
  })
  return (await (await manager()).streams.info(DEADLETTERS)).state.last_seq
}

/** Every page of a query, one after the other. */
const all = async (query: DeadLetterQuery): Promise<DeadLetter[]> => {
  const found: DeadLetter[] = []
  let cursor: number | undefined
  do {
    const page = await letters.page({ ...query, cursor })
    expect(page.letters.length).toBeLessThanOrEqual(query.limit ?? 50)
    found.push(...page.letters)
    cursor = page.next
  } while (cursor !== undefined)
  return found
}
const ids = (found: readonly DeadLetter[]) => found.map(({ id }) => id)

describe('a dead letter', () => {
  test('tells what was given up, by whom and why, and holds it whole', async () => {
    const id = await giveUp({ body: command('invoice-1') })
    const letter = await letters.get(id)
    expect(letter).toMatchObject({
      id,
      service: 'sender',
      company_id: ONE,
      code: '130429',
      reason: 'Rate limit hit',
      attempts: 5,
      stream: COMMANDS,
      sequence: 7,
      subject: `cmd.send.${ONE}.whatsapp`,
      command_id: 'invoice-1',
    })
    expect(JSON.parse(Buffer.from((letter as DeadLetter).body).toString())).toEqual(command('invoice-1'))
    expect(Math.abs(Date.now() - Date.parse((letter as DeadLetter).failed_at))).toBeLessThan(60_000)
    expect(Object.keys((letter as DeadLetter).headers).sort()).toEqual(
      ['Attempts', 'Code', 'Reason', 'Sequence', 'Stream', 'Subject'].sort(),
    )
  })
  test.each([
    ['is not JSON', '{'],
    ['has no id', JSON.stringify({ to: '608684495' })],
    ['is null', 'null'],
    ['has an id that none can be', JSON.stringify({ id: 'a b' })],
  ])('of a command that %s has no command id', async (_name, body) => {
    expect(await letters.get(await giveUp({ body }))).toMatchObject({ command_id: undefined })
  })
  test('of no company says so', async () => {
    expect(await letters.get(await giveUp({ company: '_' }))).toMatchObject({ company_id: undefined })
  })
  test('that is not there is not found', async () => {
    expect(await letters.get((await giveUp()) + 1)).toBeUndefined()
  })
  test('is gone once removed, and a second removal says that it was gone', async () => {
    const [id, kept] = [await giveUp(), await giveUp()]
    expect(await letters.remove(id)).toBe(true)
    expect(await letters.get(id)).toBeUndefined()
    expect(await letters.remove(id)).toBe(false)
    expect(await letters.get(kept)).toMatchObject({ id: kept })
  })
})

describe('the dead letters', () => {
  test('are read page by page, from the oldest or from the newest', async () => {
    const given: number[] = []
    for (let n = 0; n < 7; n++) given.push(await giveUp())
    expect(ids(await all({ limit: 3 }))).toEqual(given)
    expect(ids(await all({ limit: 3, order: 'newest' }))).toEqual(given.toReversed())
    expect(ids(await all({ limit: 7 }))).toEqual(given)
    expect(await letters.page({ limit: 7 })).toMatchObject({ next: undefined })
  })
  test('of one service, one company, of none, one code or one command can be asked for', async () => {
    const mine = await giveUp({ code: '131000', body: command('invoice-9') })
    const theirs = await giveUp({ company: OTHER })
    const nobodys = await giveUp({ company: '_', code: 'SENDER_NOT_FOUND' })
    const projectors = await giveUp({ service: 'projector', stream: 'EVENTS', code: 'UNREADABLE_EVENT' })
    for (const order of ['oldest', 'newest'] as const) {
      const found = async (query: DeadLetterQuery) => ids(await all({ ...query, order })).sort((a, b) => a - b)
      expect(await found({})).toEqual([mine, theirs, nobodys, projectors])
      expect(await found({ service: 'sender' })).toEqual([mine, theirs, nobodys])
      expect(await found({ companyId: ONE })).toEqual([mine, projectors])
      expect(await found({ companyId: '_' })).toEqual([nobodys])
      expect(await found({ companyId: ONE, service: 'projector' })).toEqual([projectors])
      expect(await found({ code: '131000' })).toEqual([mine])
      expect(await found({ commandId: 'invoice-9' })).toEqual([mine])
      expect(await found({ code: 'NONE' })).toEqual([])
    }
  })
  test('of a time can be asked for', async () => {
    const before = await giveUp()
    await new Promise((resolve) => setTimeout(resolve, 5))
    const since = new Date()
    const within = await giveUp()
    await new Promise((resolve) => setTimeout(resolve, 5))
    const until = new Date()
    const after = await giveUp()
    for (const order of ['oldest', 'newest'] as const) {
      expect(ids(await all({ since, until, order }))).toEqual([within])
      expect(ids(await all({ until, order })).sort()).toEqual([before, within])
      expect(ids(await all({ since, order })).sort()).toEqual([within, after])
      expect(await all({ since: new Date(Date.now() + 60_000), order })).toEqual([])
    }
  })
  test('are none when there are none', async () => {
    expect(await letters.page({})).toEqual({ letters: [], next: undefined })
    expect(await letters.page({ order: 'newest' })).toEqual({ letters: [], next: undefined })
  })
  test('that is no company is not asked for as if it were none', async () => {
    await expect(letters.page({ companyId: 'solvify' })).rejects.toMatchObject({ code: 'UNSAFE_SUBJECT_TOKEN' })
  })
  test('of a rare kind among very many are found in either order, in pages of bounded work', async () => {
    const rare: number[] = []
    for (let block = 0; block < 3; block++) {
      rare.push(await giveUp({ company: OTHER, code: '131000' }))
      const many = Array.from({ length: 2_000 }, (_, n) => ({
        subject: `dlq.sender.${ONE}`,
        msgId: `many-${block}-${n}`,
        data: '{}',
        headers: { Code: '130429', Stream: COMMANDS },
      }))
      await Promise.all(many.map((publication) => publisher.publish(publication)))
    }
    expect(ids(await all({ companyId: OTHER }))).toEqual(rare)
    expect(ids(await all({ companyId: OTHER, order: 'newest' }))).toEqual(rare.toReversed())
    expect(ids(await all({ code: '131000', order: 'newest' }))).toEqual(rare.toReversed())
    const everyone = ids(await all({ limit: 200, order: 'newest' }))
    expect(everyone).toHaveLength(6_003)
    expect(everyone).toEqual(everyone.toSorted((a, b) => b - a))
    // Removed ones leave gaps.
    for (const id of everyone.slice(3_000, 3_100)) await letters.remove(id)
    expect(ids(await all({ limit: 200, order: 'newest' }))).toEqual(everyone.toSpliced(3_000, 100))
    expect(ids(await all({ limit: 200 })).toReversed()).toEqual(everyone.toSpliced(3_000, 100))
  })
  test('of which each is large are read all the same', async () => {
    const body = JSON.stringify(command('large', { requested_by: 'x'.repeat(200) })) + ' '.repeat(200_000)
    const given: number[] = []
    for (let n = 0; n < 60; n++) given.push(await giveUp({ body }))
    expect(ids(await all({ limit: 100 }))).toEqual(given)
    expect(ids(await all({ limit: 100, order: 'newest' }))).toEqual(given.toReversed())
  })
})

const commands = async () => {
  const stored = []
  const { state } = await (await manager()).streams.info(COMMANDS)
  for (let seq = state.first_seq; seq <= state.last_seq; seq++)
    stored.push(await (await manager()).streams.getMessage(COMMANDS, { seq }))
  return stored
}
const fetched = async (id: number): Promise<DeadLetter> => (await letters.get(id)) as DeadLetter
const now = Date.UTC(2026, 10, 24)
const deps = () => ({ letters, publisher })

describe('a redrive', () => {
  test('publishes the command as it was, on the subject it came on, and names its dead letter', async () => {
    const id = await giveUp({ body: command('invoice-2') })
    expect(await redriveDeadLetter(deps(), await fetched(id), { force: false, now })).toEqual({
      commandId: 'invoice-2',
      subject: `cmd.send.${ONE}.whatsapp`,
    })
    const [stored] = await commands()
    expect(stored?.subject).toBe(`cmd.send.${ONE}.whatsapp`)
    expect(stored?.json()).toEqual(command('invoice-2'))
    expect(stored?.header.get('Correlation-Id')).toBe('invoice-2')
    expect(parseRedrive(stored?.header.get('Redrive'))).toEqual({ dead_letter: id, attempts: 5, force: false })
    expect(await letters.get(id)).toBeUndefined()
  })
  test('keeps the dead letter when the command is not stored', async () => {
    const id = await giveUp()
    const broken = { publish: () => Promise.reject(new PublishFailed('cmd.send', 'no disk')) }
    await expect(
      redriveDeadLetter({ letters, publisher: broken }, await fetched(id), { force: false, now }),
    ).rejects.toBeInstanceOf(PublishFailed)
    expect(await letters.get(id)).toMatchObject({ id })
  })
  test('of a command given up on a subject of the sender itself goes where it came from', async () => {
    const id = await giveUp({ subject: 'cmd.lane.674372385752523.normal' })
    expect(redrivePublication(await fetched(id), { force: false, now }).subject).toBe(`cmd.send.${ONE}.whatsapp`)
  })
  test('of a command of which nobody knew the company asks again whose it is', async () => {
    const id = await giveUp({ company: '_', code: 'SENDER_NOT_FOUND', subject: 'cmd.send._.whatsapp' })
    expect(redrivePublication(await fetched(id), { force: false, now }).subject).toBe('cmd.send._.whatsapp')
  })
  test('of what may have been delivered must be forced', async () => {
    const letter = await fetched(await giveUp({ code: 'SEND_UNCERTAIN' }))
    expect(() => redrivePublication(letter, { force: false, now })).toThrow(DeadLetterUncertain)
    const forced = redrivePublication(letter, { force: true, now })
    expect(parseRedrive(forced.headers?.Redrive)).toMatchObject({ force: true })
  })
  test.each<[string, Partial<Given>, RegExp]>([
    ['what is not JSON', { body: '{', code: 'INVALID_COMMAND' }, /not a valid command \(it is not JSON\)/],
    ['what is no command', { body: { id: 'x' }, code: 'INVALID_COMMAND' }, /not a valid command \(.*to: /],
    ['a subject that is none', { subject: 'cmd.send.x' }, /its subject is not cmd\.send/],
    ['a company that is not the subject’s', { body: command('x', { company_id: OTHER }) }, /company_id/],
    ['an id that names another command', { code: 'IDEMPOTENCY_KEY_REUSED' }, /new id/],
    ['a command that has expired', { body: command('x', { expires_at: '2026-11-23T23:59:59Z' }) }, /expired/],
    ['an event', { service: 'projector', stream: 'EVENTS' }, /still in the log \(EVENTS, sequence 7\)/],
  ])('of %s is refused, with what to do instead', async (_name, given, reason) => {
    const id = await giveUp(given)
    const letter = await fetched(id)
    await expect(redriveDeadLetter(deps(), letter, { force: true, now })).rejects.toBeInstanceOf(
      DeadLetterNotRedrivable,
    )
    await expect(redriveDeadLetter(deps(), letter, { force: true, now })).rejects.toThrow(reason)
    expect(await letters.get(id)).toMatchObject({ id })
    expect(await commands()).toEqual([])
  })
  test('never quotes the command in a refusal', async () => {
    const letter = await fetched(
      await giveUp({ body: { ...command('x'), to: 34_600_111_222, surprise: 'Confidential' } }),
    )
    expect(() => redrivePublication(letter, { force: true, now })).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/34600111222|Confidential/) }),
    )
  })
})

test('a connection that is to give up does so when nobody is there', async () => {
  await expect(
    connectNats({ url: 'nats://127.0.0.1:1', name: 'cli', log: silent, giveUpAfterMs: 1_000 }),
  ).rejects.toMatchObject({ code: 'NATS_UNREACHABLE' })
})

test('headers of a dead letter that somebody else wrote are read as far as they are there', async () => {
  await publisher.publish({ subject: `dlq.sender.${ONE}`, msgId: 'bare', data: 'x' })
  expect((await letters.page({})).letters).toMatchObject([{ code: '', attempts: 0, command_id: undefined }])
})
