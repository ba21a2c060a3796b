import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { decodeEvent, type GatewayEvent } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import {
  applyTopology,
  asServerPermissions,
  connectNats,
  createPublisher,
  type Nats,
  type Publisher,
  permissions,
} from '@cloudapi2/nats'
import { createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import type { Tenant, TenantDirectory } from '@cloudapi2/tenants'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { buildApp } from '../app.ts'

const A = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const B = 'b1111111-2222-4333-8444-555555555555'
const NO_SECRET = 'c1111111-2222-4333-8444-555555555555'
const SECRET = 'test_app_secret'
const silentNats = { info: () => {}, warn: () => {}, error: () => {} }

const tenant = (companyId: string, change: Partial<Tenant>): Tenant => ({
  companyId,
  name: companyId,
  appSecrets: [SECRET],
  verifyToken: 'verify me',
  phoneNumbers: [],
  defaultCountry: 'ES',
  rateLimit: { maxCalls: 20, windowSeconds: 60 },
  onUncertain: 'park',
  apiKeys: [],
  ...change,
})
const known = [
  tenant(A, {
    appSecrets: [SECRET, 'the new one'],
    phoneNumbers: [{ id: '284610037551902', messagesPerSecond: 80 }],
    businessId: '315204778120945',
  }),
  tenant(B, { phoneNumbers: [{ id: '271938440165038', messagesPerSecond: 80 }], businessId: '409113582067731' }),
  tenant(NO_SECRET, { appSecrets: [] }),
]
let isLoaded = true
const tenants: TenantDirectory = {
  get: (id) => known.find(({ companyId }) => companyId === id),
  byPhoneNumberId: (id) => known.find(({ phoneNumbers }) => phoneNumbers.some((number) => number.id === id)),
  byBusinessId: (id) => known.find(({ businessId }) => businessId === id),
  all: () => known,
  isLoaded: () => isLoaded,
  onChange: () => {},
  keyOf: () => undefined,
  stop: () => {},
}

const until = async (fact: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await fact())) await new Promise((resolve) => setTimeout(resolve, 10))
}

let server: Awaited<ReturnType<typeof startNats>>
let operator: Nats
let nats: Nats
let publisher: Publisher
const logged: string[] = []
const apps: FastifyInstance[] = []

beforeAll(async () => {
  server = await startNats({
    users: [
      { user: 'operator', password: 'p' },
      {
        user: 'webhook-gateway',
        password: 'p',
        permissions: asServerPermissions(permissions['webhook-gateway']),
      },
    ],
  })
  const url = (user: string) => `nats://${user}:p@127.0.0.1:${server.port}`
  operator = await connectNats({ url: url('operator'), name: 'operator', log: silentNats })
  await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 0 })
  nats = await connectNats({ url: url('webhook-gateway'), name: 'webhook-gateway', log: silentNats })
  publisher = createPublisher(nats, { timeoutMs: 2_000 })
})
afterAll(async () => {
  await nats?.close()
  await operator?.close()
  await server?.stop()
})
afterEach(async () => {
  isLoaded = true
  await Promise.all(apps.splice(0).map((app) => app.close()))
})

const gateway = async (change: Partial<Parameters<typeof buildApp>[0]> = {}): Promise<string> => {
  const app = buildApp({
    log: createLog({ service: 'webhook-gateway', level: 'info' }, { write: (line) => void logged.push(line) }),
    metrics: createMetrics('webhook-gateway'),
    readiness: createReadiness(),
    tenants,
    publisher,
    maxInFlight: 100,
    maxBodyBytes: 4_194_304,
    allowUnsigned: false,
    metaAppSecrets: [],
    metaVerifyToken: undefined,
    now: () => new Date('2026-11-24T08:00:00Z'),
    ...change,
  })
  apps.push(app)
  return app.listen({ host: '127.0.0.1', port: 0 })
}

const fixture = (name: string) =>
  readFileSync(new URL(`../../../../libs/whatsapp/fixtures/webhooks/${name}.json`, import.meta.url))
const sign = (body: Buffer | string, secret = SECRET) =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
const post = (
  url: string,
  body: Buffer | string,
  headers: Record<string, string> = { 'x-hub-signature-256': sign(body) },
) => fetch(url, { method: 'POST', body, headers })

const lastSequence = async () => (await (await operator.raw.jetstreamManager()).streams.info('EVENTS')).state.last_seq
/** The events stored since a sequence. */
const since = async (sequence: number): Promise<GatewayEvent[]> => {
  await until(() => operator.isConnected())
  const last = await lastSequence()
  const events: GatewayEvent[] = []
  if (last === sequence) return events
  const consumer = await operator.raw.jetstream().consumers.get('EVENTS', { opt_start_seq: sequence + 1 })
  for await (const message of await consumer.consume()) {
    events.push(decodeEvent(message.data))
    if (message.seq >= last) break
  }
  return events
}
const message = (id: string, text = 'Hi') =>
  JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [
      {
        id: '315204778120945',
        changes: [
          {
            field: 'messages',
            value: {
              metadata: { phone_number_id: '284610037551902', display_phone_number: '15550142760' },
              messages: [{ from: '34608684495', id, timestamp: '1788000000', type: 'text', text: { body: text } }],
            },
          },
        ],
      },
    ],
  })

describe('the handshake', () => {
  const ask = (base: string, query: string, path = `/${A}/webhook`) => fetch(`${base}${path}?${query}`)
  const right = 'hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify%20me'

  test('gives the challenge back to whoever knows the verify token', async () => {
    const response = await ask(await gateway(), right)
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('1158201444')
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
  })
  test.each([
    ['a wrong token', 'hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong'],
    ['no token', 'hub.mode=subscribe&hub.challenge=1'],
    ['another mode', right.replace('subscribe', 'unsubscribe')],
    ['no challenge', 'hub.mode=subscribe&hub.verify_token=verify%20me'],
    ['the token twice', `${right}&hub.verify_token=verify%20me`],
    ['nothing', ''],
  ])('refuses %s', async (_name, query) => {
    const response = await ask(await gateway(), query)
    expect(response.status).toBe(403)
    expect(await response.json()).toMatchObject({ code: 'VERIFY_TOKEN_INVALID', status: 403 })
  })
  test('knows no unknown company', async () => {
    expect((await ask(await gateway(), right, `/${B.replace('b', 'd')}/webhook`)).status).toBe(404)
  })
  test('of the app has the token of the app', async () => {
    const base = await gateway({ metaVerifyToken: 'the app', metaAppSecrets: ['s'] })
    expect((await ask(base, right.replace('verify%20me', 'the%20app'), '/webhook')).status).toBe(200)
    expect((await ask(base, right, '/webhook')).status).toBe(403)
    expect((await ask(await gateway(), right, '/webhook')).status).toBe(404)
  })
})

describe('a webhook', () => {
  test('is answered 200 when every event of it is in the log, under the company and with its id', async () => {
    const base = await gateway()
    const before = await lastSequence()
    const response = await post(`${base}/${A}/webhook`, fixture('batch.mixed-messages-and-statuses'))
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'ok' })
    const events = await since(before)
    const sent = JSON.parse(fixture('batch.mixed-messages-and-statuses').toString()) as {
      entry: { changes: { value: { messages?: unknown[]; statuses?: unknown[] } }[] }[]
    }
    const items = sent.entry.flatMap(({ changes }) =>
      changes.flatMap(({ value }) => [...(value.messages ?? []), ...(value.statuses ?? [])]),
    )
    expect(events.map(({ data }) => (data as { raw: unknown }).raw)).toEqual(expect.arrayContaining(items))
    expect(new Set(events.map(({ companyid }) => companyid))).toEqual(new Set([A]))
  })

  test('that comes twice is stored once', async () => {
    const base = await gateway()
    const body = message('wamid.TWICE')
    const before = await lastSequence()
    expect((await post(`${base}/${A}/webhook`, body)).status).toBe(200)
    expect((await post(`${base}/${A}/webhook`, body)).status).toBe(200)
    expect(await lastSequence()).toBe(before + 1)
  })

  test('may be signed with the old or the new secret while it is being changed', async () => {
    const url = `${await gateway()}/${A}/webhook`
    const body = message('wamid.ROTATED')
    expect((await post(url, body, { 'x-hub-signature-256': sign(body, 'the new one') })).status).toBe(200)
  })

  test('is verified over the bytes as they came, escapes included, whatever content type it claims', async () => {
    const base = await gateway()
    const body = message('wamid.ESCAPED', 'x').replace('"x"', '"\\u00e4\\ud83d\\ude00 a\\/b"')
    const before = await lastSequence()
    const headers = { 'x-hub-signature-256': sign(body), 'content-type': 'text/weird' }
    expect((await post(`${base}/${A}/webhook`, body, headers)).status).toBe(200)
    expect((await since(before))[0]?.data).toMatchObject({ text: 'ä😀 a/b' })
  })

  test.each([
    ['no signature', (_body: string): Record<string, string> => ({})],
    ['another secret', (body: string) => ({ 'x-hub-signature-256': sign(body, 'guess') })],
    ['the secret of another body', (_body: string) => ({ 'x-hub-signature-256': sign('{}') })],
    ['upper case', (body: string) => ({ 'x-hub-signature-256': sign(body).toUpperCase() })],
    [
      'SHA-1 only',
      (body: string) => ({ 'x-hub-signature': `sha1=${createHmac('sha1', SECRET).update(body).digest('hex')}` }),
    ],
    ['the signature twice', (body: string) => ({ 'x-hub-signature-256': `${sign(body)}, ${sign(body)}` })],
  ])('with %s is refused and stores nothing', async (_name, headersOf) => {
    const base = await gateway()
    const before = await lastSequence()
    const body = message('wamid.FORGED')
    const response = await post(`${base}/${A}/webhook`, body, headersOf(body))
    expect(response.status).toBe(401)
    expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
    expect(await lastSequence()).toBe(before)
    expect(await (await fetch(`${base}/metrics`)).text()).toMatch(
      /webhooks_total\{outcome="unsigned",service="webhook-gateway"\} 1/,
    )
  })

  test('for a company without app secret is refused, and accepted where unsigned webhooks are allowed', async () => {
    const body = message('wamid.UNSIGNED')
    expect((await post(`${await gateway()}/${NO_SECRET}/webhook`, body, {})).status).toBe(401)
    const open = await gateway({ allowUnsigned: true })
    expect((await post(`${open}/${NO_SECRET}/webhook`, body, {})).status).toBe(200)
    // Who has a secret is still asked for it.
    expect((await post(`${open}/${A}/webhook`, body, {})).status).toBe(401)
  })

  test.each([
    ['no JSON', 'hello', 400],
    ['half a JSON', '{"object":"whatsapp_business_account"', 400],
    ['an array', '[]', 400],
    ['null', 'null', 400],
    ['nothing', '', 400],
    ['another object', '{"object":"page","entry":[{"id":"1"}]}', 200],
    ['no object', '{}', 200],
    ['no entries', '{"object":"whatsapp_business_account","entry":[]}', 200],
  ])('that is %s stores nothing and is answered', async (_name, body, status) => {
    const base = await gateway()
    const before = await lastSequence()
    expect((await post(`${base}/${A}/webhook`, body)).status).toBe(status)
    expect(await lastSequence()).toBe(before)
  })

  test.each(['..%2F..%2Fetc', '%3E', '*', 'evt.%3E', "1'%20or%201=1--", 'a'.repeat(200), B.replace('b', 'e'), '%00'])(
    'for the company %s is for nobody',
    async (company) => {
      const response = await post(`${await gateway()}/${company}/webhook`, message('wamid.HOSTILE'))
      expect(response.status).toBe(404)
    },
  )

  test('for a company not heard of yet asks Meta to come again', async () => {
    isLoaded = false
    const response = await post(`${await gateway()}/${B.replace('b', 'e')}/webhook`, message('wamid.EARLY'))
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('5')
  })

  test('of a company written in capitals is of that company', async () => {
    expect((await post(`${await gateway()}/${A.toUpperCase()}/webhook`, message('wamid.CAPITALS'))).status).toBe(200)
  })

  test('that is too large is refused unread, one that is just not is taken', async () => {
    const base = await gateway({ maxBodyBytes: 100_000 })
    const fits = message('wamid.LARGE', 'x'.repeat(99_000))
    expect((await post(`${base}/${A}/webhook`, fits)).status).toBe(200)
    const response = await post(`${base}/${A}/webhook`, message('wamid.TOOLARGE', 'x'.repeat(100_000)))
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ code: 'BODY_TOO_LARGE' })
  })

  test('of three megabytes and a thousand updates is taken whole', async () => {
    const base = await gateway()
    const before = await lastSequence()
    const { entry, ...rest } = JSON.parse(message('wamid.X')) as {
      entry: { id: string; changes: { value: { messages: unknown[] } }[] }[]
    }
    const value = entry[0]?.changes[0]?.value as { messages: Record<string, unknown>[] }
    const template = value.messages[0]
    value.messages = Array.from({ length: 1_000 }, (_, n) => ({
      ...template,
      id: `wamid.BULK${n}`,
      text: { body: 'x'.repeat(2_900) },
    }))
    expect((await post(`${base}/${A}/webhook`, JSON.stringify({ ...rest, entry }))).status).toBe(200)
    expect(await lastSequence()).toBe(before + 1_000)
  })

  test('nested deeper than any stack is taken and kept', async () => {
    const base = await gateway()
    const before = await lastSequence()
    const deep = `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messages":${'['.repeat(200_000)}${']'.repeat(200_000)}}}]}]}`
    expect((await post(`${base}/${A}/webhook`, deep)).status).toBe(200)
    expect((await since(before)).map(({ type }) => type)).toContain('webhook.unrecognised')
  })

  test('beyond what may be in flight is refused at once, before its body is read', async () => {
    const base = await gateway({ maxInFlight: 1 })
    const { port } = new URL(base)
    // One that never ends: it holds the only place.
    const slow = connect(Number(port), '127.0.0.1')
    slow.write(`POST /${A}/webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{`)
    await until(async () => (await post(`${base}/${A}/webhook`, message('wamid.BUSY'))).status === 503)
    // Gone, its place is free again.
    slow.destroy()
    await until(async () => (await post(`${base}/${A}/webhook`, message('wamid.BUSY'))).status === 200)
  })

  test('leaves no text, phone or secret in the log', async () => {
    await post(`${await gateway()}/${A}/webhook`, message('wamid.LOGGED', 'a secret text'))
    const lines = logged.join('')
    expect(lines).toContain(`"company_id":"${A}"`)
    for (const secret of ['a secret text', '34608684495', SECRET, 'verify me']) expect(lines).not.toContain(secret)
  })

  test('many at once are answered each for itself, though one of them fails in an unforeseen way', async () => {
    const before = await lastSequence()
    let asked = 0
    const base = await gateway({
      now: () => {
        if (++asked === 5) throw new Error('no clock')
        return new Date('2026-11-24T08:00:00Z')
      },
    })
    const url = `${base}/${A}/webhook`
    const ids = Array.from({ length: 24 }, (_, n) => `wamid.together${n}`)
    const answers = await Promise.all([
      ...ids.map((id) => post(url, message(id))),
      post(url, message('wamid.unsigned'), {}),
    ])
    const statuses = answers.map(({ status }) => status)
    expect(statuses.at(24)).toBe(401)
    expect(statuses.slice(0, 24).filter((status) => status !== 200)).toEqual([500])
    const answered = ids.filter((_, index) => statuses[index] === 200)
    expect((await since(before)).map(({ subject }) => subject).sort()).toEqual([...answered].sort())
  })
})

describe('one app in front of many tenants', () => {
  test('finds the company of each change, by number, then by account, and keeps what nobody claims', async () => {
    const base = await gateway({ metaAppSecrets: [SECRET], metaVerifyToken: 'v' })
    const before = await lastSequence()
    const change = (field: string, value: object) => ({ field, value })
    const body = JSON.stringify({
      object: 'whatsapp_business_account',
      entry: [
        {
          id: '999',
          changes: [
            change('messages', {
              metadata: { phone_number_id: '271938440165038' },
              messages: [{ id: 'wamid.B', from: '1', timestamp: '1788000000', type: 'text', text: { body: 'b' } }],
            }),
          ],
        },
        { id: '315204778120945', changes: [change('account_review_update', { decision: 'APPROVED' })] },
        { id: '000', changes: [change('account_review_update', { decision: 'REJECTED' })] },
      ],
    })
    expect((await post(`${base}/webhook`, body)).status).toBe(200)
    expect((await since(before)).map(({ companyid, type }) => [companyid, type])).toEqual([
      [B, 'message.created'],
      [A, 'account.notified'],
      ['_', 'account.notified'],
    ])
    expect((await post(`${base}/webhook`, body, {})).status).toBe(401)
  })
})

test('any JSON body, however broken, gets an answer, and what the log has is whole', async () => {
  const base = await gateway()
  const value = fc.jsonValue({ maxDepth: 4 })
  const field = fc.oneof(fc.constantFrom('messages', 'history', 'standby', 'calls', 'account_update'), fc.string())
  const change = fc.oneof(
    value,
    fc.record({
      field,
      value: fc.oneof(value, fc.record({ messages: value, statuses: value, metadata: value, contacts: value })),
    }),
  )
  const body = fc.record({
    object: fc.constant('whatsapp_business_account'),
    entry: fc.oneof(
      value,
      fc.array(fc.oneof(value, fc.record({ id: value, changes: fc.oneof(value, fc.array(change)) }))),
    ),
  })
  const before = await lastSequence()
  await fc.assert(
    fc.asyncProperty(body, async (sent) => {
      expect((await post(`${base}/${A}/webhook`, JSON.stringify(sent))).status).toBe(200)
    }),
    { numRuns: 300 },
  )
  // Each of them can be read again.
  expect((await since(before)).length).toBeGreaterThan(100)
})

test('while the log is away Meta is asked to come again, nothing crashes, and afterwards all goes on', async () => {
  const url = `${await gateway()}/${A}/webhook`
  expect((await post(url, message('wamid.BEFORE'))).status).toBe(200)
  await server.kill()
  const response = await post(url, message('wamid.AWAY'))
  expect(response.status).toBe(503)
  expect(response.headers.get('retry-after')).toBe('5')
  await server.restart()
  await until(async () => (await post(url, message('wamid.AWAY'))).status === 200)
  const stored = (await since(0)).map(({ subject }) => subject)
  expect(stored).toEqual(expect.arrayContaining(['wamid.BEFORE', 'wamid.AWAY']))
})

test('every POST answered 200 is in the log whole, though the server is killed in the middle', async () => {
  const base = await gateway()
  const accepted: string[] = []
  let next = 0
  let refused = 0
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const ids = [`wamid.K${next++}`, `wamid.K${next++}`]
      const { entry, ...rest } = JSON.parse(message('x')) as {
        entry: { changes: { value: { messages: Record<string, unknown>[] } }[] }[]
      }
      const value = entry[0]?.changes[0]?.value as { messages: Record<string, unknown>[] }
      value.messages = ids.map((id) => ({ ...value.messages[0], id }))
      const response = await post(`${base}/${A}/webhook`, JSON.stringify({ ...rest, entry }))
      await response.arrayBuffer()
      if (response.status === 200) accepted.push(...ids)
      else refused++
    }
  }
  const clients = Array.from({ length: 16 }, client)
  for (let round = 0; round < 2; round++) {
    const goal = accepted.length + 200
    await until(() => accepted.length >= goal)
    await server.kill()
    await until(() => !nats.isConnected())
    await server.restart()
  }
  const goal = accepted.length + 100
  await until(() => accepted.length >= goal)
  isOver = true
  await Promise.all(clients)
  expect(refused).toBeGreaterThan(0)
  const stored = new Set((await since(0)).map(({ subject }) => subject))
  expect(accepted.filter((id) => !stored.has(id))).toEqual([])
})

test('a POST cut off in its middle leaves no place taken and no event', async () => {
  const base = await gateway({ maxInFlight: 1 })
  const before = await lastSequence()
  const { port } = new URL(base)
  await new Promise<void>((resolve) => {
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: `/${A}/webhook`,
      headers: { 'content-length': '100' },
    })
    request.on('error', () => resolve())
    request.write('{"object"')
    setImmediate(() => request.destroy(new Error('cut')))
  })
  await until(async () => (await post(`${base}/${A}/webhook`, '{}')).status === 200)
  expect(await lastSequence()).toBe(before)
})
