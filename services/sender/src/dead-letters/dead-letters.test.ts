import { parseRedrive } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import {
  applyTopology,
  asServerPermissions,
  COMMANDS,
  connectNats,
  createPublisher,
  type DeadLetter,
  type DeadLetters,
  DeadLettersUnavailable,
  type Nats,
  openDeadLetters,
  type Publication,
  type Publisher,
  PublishFailed,
  permissions,
} from '@cloudapi2/nats'
import { createHttp, createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { admission } from '../access/access.routes.ts'
import { deadLettersRoutes } from './dead-letters.routes.ts'

const ADMIN = 'admin-token-of-the-test'
const ONE = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b9242a58-4f5d-494c-8a74-45f8cee150e6'
const KEYS: Record<string, { companyId: string; keyId: string; scopes: string[] }> = {
  'key-of-one': { companyId: ONE, keyId: 'k1', scopes: ['send'] },
  'key-of-other': { companyId: OTHER, keyId: 'k2', scopes: ['send'] },
  'key-that-reads': { companyId: ONE, keyId: 'k3', scopes: ['read'] },
}
const silent = { info: () => {}, warn: () => {}, error: () => {} }

let server: Awaited<ReturnType<typeof startNats>>
let operator: Nats
let sender: Nats
let operatorPublisher: Publisher
let letters: DeadLetters
let app: FastifyInstance
const published: Publication[] = []
const logged: string[] = []
/** Set: what publishing or reading throws. */
let publishing: Error | undefined
let reading: Error | undefined

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
  operator = await connectNats({ url: url('operator'), name: 'operator', log: silent })
  sender = await connectNats({ url: url('sender'), name: 'sender', log: silent })
  await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 0 })
  operatorPublisher = createPublisher(operator, { timeoutMs: 2_000 })
  const publisher = createPublisher(sender, { timeoutMs: 2_000 })
  letters = openDeadLetters(sender)
  app = createHttp({
    log: createLog({ service: 'sender', level: 'info' }, { write: (line) => void logged.push(line) }),
    metrics: createMetrics('sender'),
    readiness: createReadiness(),
  })
  deadLettersRoutes(app, {
    admit: admission({ adminToken: ADMIN, tenants: { keyOf: (key) => KEYS[key], isLoaded: () => true } }),
    deadLetters: {
      ...letters,
      page: (query) => (reading === undefined ? letters.page(query) : Promise.reject(reading)),
    },
    publisher: {
      publish: async (publication) => {
        if (publishing !== undefined) throw publishing
        published.push(publication)
        await publisher.publish(publication)
      },
    },
    log: createLog({ service: 'sender', level: 'info' }, { write: (line) => void logged.push(line) }),
    now: Date.now,
  })
})
afterAll(async () => {
  await app?.close()
  await sender?.close()
  await operator?.close()
  await server?.stop()
})
beforeEach(() => {
  published.length = 0
  publishing = undefined
  reading = undefined
})

let count = 0
const giveUp = async (
  given: { company?: string; code?: string; body?: string; service?: string; stream?: string } = {},
): Promise<DeadLetter> => {
  const id = `c-${++count}`
  const { company = ONE, code = '131047', service = 'sender', stream = COMMANDS } = given
  const command = { id, channel: 'whatsapp', to: '34608684495', message: { type: 'text', text: 'Confidential words' } }
  await operatorPublisher.publish({
    subject: `dlq.${service}.${company}`,
    msgId: id,
    data: given.body ?? JSON.stringify(command),
    headers: {
      Code: code,
      Reason: 'Re-engagement message',
      Attempts: '1',
      Stream: stream,
      Sequence: '7',
      Subject: `cmd.send.${company}.whatsapp`,
    },
  })
  return (await letters.page({ order: 'newest', limit: 1 })).letters[0] as DeadLetter
}

const call = async (
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  token: string | undefined = 'key-of-one',
  body?: object,
) => {
  const answer = await app.inject({
    method,
    url,
    headers: token === '' ? {} : { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { payload: body }),
  })
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text: answer.body,
    body: answer.body === '' ? undefined : answer.json(),
  }
}
const idsOf = (answer: { body: { dead_letters: { id: number }[] } }) => answer.body.dead_letters.map(({ id }) => id)

describe('GET /dead-letters', () => {
  test('shows a company its own, newest first, and none of their content', async () => {
    const first = await giveUp()
    await giveUp({ company: OTHER })
    const second = await giveUp({ code: '131026' })
    const answer = await call('GET', '/dead-letters?limit=2')
    expect(answer.status).toBe(200)
    expect(idsOf(answer)).toEqual([second.id, first.id])
    expect(answer.body.dead_letters[0]).toEqual({
      id: second.id,
      service: 'sender',
      company_id: ONE,
      code: '131026',
      reason: 'Re-engagement message',
      attempts: 1,
      failed_at: second.failed_at,
      command_id: second.command_id,
      stream: COMMANDS,
      sequence: 7,
    })
    expect(answer.text).not.toMatch(/Confidential|34608684495/)
  })
  test('shows the operator those of all, of one company, and of none', async () => {
    const [mine, theirs, nobodys] = [await giveUp(), await giveUp({ company: OTHER }), await giveUp({ company: '_' })]
    expect(idsOf(await call('GET', '/dead-letters?limit=3', ADMIN))).toEqual([nobodys.id, theirs.id, mine.id])
    expect(idsOf(await call('GET', `/dead-letters?limit=1&company_id=${OTHER}`, ADMIN))).toEqual([theirs.id])
    const answer = await call('GET', '/dead-letters?limit=1&company_id=_', ADMIN)
    expect(answer.body.dead_letters).toMatchObject([{ id: nobodys.id, company_id: null }])
  })
  test('goes on page by page, to the last', async () => {
    for (let n = 0; n < 3; n++) await giveUp({ code: 'PAGED' })
    const found: number[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const answer = await call('GET', `/dead-letters?code=PAGED&order=oldest&limit=2${cursor && `&cursor=${cursor}`}`)
      found.push(...idsOf(answer))
      cursor = answer.body.next_cursor
    }
    expect(found).toHaveLength(3)
    expect(found).toEqual(found.toSorted((a, b) => a - b))
  })
  test('can be asked by service, command and time', async () => {
    const letter = await giveUp({ service: 'projector', stream: 'EVENTS', code: 'UNREADABLE_EVENT', body: '{}' })
    expect(idsOf(await call('GET', '/dead-letters?service=projector'))).toEqual([letter.id])
    const command = await giveUp()
    expect(idsOf(await call('GET', `/dead-letters?command_id=${command.command_id}`))).toEqual([command.id])
    expect(idsOf(await call('GET', `/dead-letters?limit=1&since=${command.failed_at}`))).toEqual([command.id])
    expect(idsOf(await call('GET', '/dead-letters?until=2020-01-01T00:00:00Z'))).toEqual([])
  })
  test.each([
    ['company_id=solvify', 'company_id'],
    ['limit=0', 'limit'],
    ['limit=1000', 'limit'],
    ['cursor=x', 'cursor'],
    ['since=yesterday', 'since'],
    ['service=a.b', 'service'],
    ['surprise=1', 'body'],
  ])('?%s is refused, naming %s', async (query, path) => {
    const answer = await call('GET', `/dead-letters?${query}`, ADMIN)
    expect(answer.status).toBe(422)
    expect(answer.body).toMatchObject({ code: 'INVALID_REQUEST', fields: [{ path }] })
  })
  test('is refused without a key, without the scope, and for another company', async () => {
    expect(await call('GET', '/dead-letters', '')).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } })
    expect(await call('GET', '/dead-letters', 'key-that-reads')).toMatchObject({
      status: 403,
      body: { code: 'SCOPE_MISSING' },
    })
    expect(await call('GET', `/dead-letters?company_id=${OTHER}`)).toMatchObject({
      status: 403,
      body: { code: 'COMPANY_OF_ANOTHER_KEY' },
    })
  })
  test('says that it can be repeated when NATS does not answer', async () => {
    reading = new DeadLettersUnavailable(new Error('no answer'))
    const answer = await call('GET', '/dead-letters')
    expect(answer).toMatchObject({ status: 503, body: { code: 'DEAD_LETTERS_UNAVAILABLE' } })
    expect(answer.headers['retry-after']).toBe('5')
  })
})

describe('GET /dead-letters/:id', () => {
  test('shows the whole, and what is no JSON as text', async () => {
    const letter = await giveUp()
    const answer = await call('GET', `/dead-letters/${letter.id}`)
    expect(answer.body).toMatchObject({
      id: letter.id,
      subject: `cmd.send.${ONE}.whatsapp`,
      headers: { Code: '131047' },
      body: { id: letter.command_id, to: '34608684495' },
    })
    const broken = await giveUp({ body: '{ no JSON', code: 'INVALID_COMMAND' })
    expect((await call('GET', `/dead-letters/${broken.id}`)).body).toMatchObject({
      body: '{ no JSON',
      command_id: null,
    })
  })
  test.each(['GET', 'DELETE', 'POST'] as const)(
    '%s of another company’s is a 404, as is what is not there',
    async (method) => {
      const { id } = await giveUp({ company: OTHER })
      const path = (of: number | string) => `/dead-letters/${of}${method === 'POST' ? '/redrive' : ''}`
      for (const of of [id, id + 1_000, 'x', '-1', '1.5'])
        expect(await call(method, path(of))).toMatchObject({ status: 404, body: { code: 'DEAD_LETTER_NOT_FOUND' } })
      expect(await letters.get(id)).toBeDefined()
      expect(published).toEqual([])
    },
  )
})

describe('POST /dead-letters/:id/redrive', () => {
  test('gives the command back to its worker, and takes it out of the dead letters', async () => {
    const letter = await giveUp()
    const answer = await call('POST', `/dead-letters/${letter.id}/redrive`)
    expect(answer).toMatchObject({
      status: 202,
      body: { status: 'queued', command_id: letter.command_id, dead_letter_id: letter.id },
    })
    expect(answer.headers.location).toBe(`/commands/${letter.command_id}`)
    expect(published).toHaveLength(1)
    expect(published[0]?.subject).toBe(`cmd.send.${ONE}.whatsapp`)
    expect(parseRedrive(published[0]?.headers?.Redrive)).toEqual({ dead_letter: letter.id, attempts: 1, force: false })
    expect(await letters.get(letter.id)).toBeUndefined()
    expect(logged.find((line) => line.includes('dead_letter.redriven') && line.includes('key:k1'))).toBeDefined()
    expect(logged.join('')).not.toMatch(/Confidential|34608684495/)
  })
  test('of what may have been delivered asks for force, and takes it', async () => {
    const { id } = await giveUp({ code: 'SEND_UNCERTAIN' })
    const refused = await call('POST', `/dead-letters/${id}/redrive`)
    expect(refused).toMatchObject({ status: 409, body: { code: 'DEAD_LETTER_UNCERTAIN' } })
    expect(await letters.get(id)).toBeDefined()
    expect(await call('POST', `/dead-letters/${id}/redrive`, 'key-of-one', { force: true })).toMatchObject({
      status: 202,
    })
    expect(parseRedrive(published[0]?.headers?.Redrive)).toMatchObject({ force: true })
  })
  test('of what is no command is refused, with what to do instead', async () => {
    const { id } = await giveUp({ body: '{', code: 'INVALID_COMMAND' })
    expect(await call('POST', `/dead-letters/${id}/redrive`, 'key-of-one', { force: true })).toMatchObject({
      status: 409,
      body: { code: 'DEAD_LETTER_NOT_REDRIVABLE', detail: expect.stringContaining('correct it') },
    })
  })
  test('keeps the letter when the command could not be stored', async () => {
    const { id } = await giveUp()
    publishing = new PublishFailed('cmd.send', 'no disk')
    expect(await call('POST', `/dead-letters/${id}/redrive`)).toMatchObject({
      status: 503,
      body: { code: 'DEAD_LETTERS_UNAVAILABLE' },
    })
    expect(await letters.get(id)).toBeDefined()
  })
  test('takes no other field than force', async () => {
    const { id } = await giveUp()
    expect(await call('POST', `/dead-letters/${id}/redrive`, 'key-of-one', { force: 'yes' })).toMatchObject({
      status: 422,
    })
  })
})

test('DELETE /dead-letters/:id discards it, once', async () => {
  const { id } = await giveUp()
  expect(await call('DELETE', `/dead-letters/${id}`)).toMatchObject({ status: 204 })
  expect(await letters.get(id)).toBeUndefined()
  expect(await call('DELETE', `/dead-letters/${id}`)).toMatchObject({ status: 404 })
  expect(logged.some((line) => line.includes('dead_letter.discarded'))).toBe(true)
})
