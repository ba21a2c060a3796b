import { randomBytes, randomUUID } from 'node:crypto'
import { type AddressInfo, createServer } from 'node:net'
import {
  decodeEvent,
  encodeEvent,
  type GatewayEvent,
  newEvent,
  REDRIVE_HEADER,
  REPLY_TO_HEADER,
  type SendCommandInput,
  type SendError,
  type SendOutcome,
  subjects,
} from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { buildSimulator } from '@cloudapi2/graph-simulator'
import {
  applyTopology,
  asServerPermissions,
  BUCKETS,
  COMMANDS,
  type Consumer,
  connectNats,
  consumeEach,
  createPublisher,
  DEADLETTERS,
  type DeadLetter,
  EVENTS,
  type Nats,
  openDeadLetters,
  openKv,
  type Publisher,
  permissions,
  redrivePublication,
  storedUnder,
} from '@cloudapi2/nats'
import { createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import { createTenantDirectory, hashApiKey, newApiKey, parseSecretsKeys } from '@cloudapi2/tenants'
import { createGraphClient } from '@cloudapi2/whatsapp'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { whatsappChannel } from './channel/whatsapp.client.ts'
import { ledgerKey } from './send-command/command-name.ts'
import { type Service, startService } from './service.app.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

const ADMIN_TOKEN = 'admin-token-of-the-test'
const TOKEN = 'EAAtokenOfTheTestThatMustNotBeSeen'
const COVER = 'https://media.example.com/cover.png'
const GRAPH_TIMEOUT_MS = 1_500
const silent = { info: () => {}, warn: () => {}, error: () => {} }

/** One company as the tests need it: its settings, its key, and what the channel knows of it. */
interface Company {
  id: string
  number: string
  key: string
  keyThatReads: string
}
let companies = 0
const newCompany = (): Company => {
  const n = ++companies
  return {
    id: randomUUID(),
    number: `67437238575${String(n).padStart(4, '0')}`,
    key: newApiKey().key,
    keyThatReads: newApiKey().key,
  }
}

const TEMPLATES = [
  {
    name: 'agendar_llamada_inicial',
    language: 'es_ES',
    parameter_format: 'NAMED' as const,
    components: [
      { type: 'HEADER', format: 'IMAGE' },
      { type: 'BODY', text: 'Hola {{first_name}}, tu expediente es {{deal_id}}' },
    ],
  },
  {
    name: 'order_ready',
    language: 'en_US',
    parameter_format: 'POSITIONAL' as const,
    components: [{ type: 'BODY', text: 'Hello {{1}}, order {{2}} is ready' }],
  },
]

let natsServer: Awaited<ReturnType<typeof startNats>>
let simulator: FastifyInstance
let graphUrl: string
let operator: Nats
let operatorPublisher: Publisher
let collectors: Consumer[]
const events: GatewayEvent[] = []
const deadLetters: { subject: string; code: string | undefined; attempts: string | undefined; body: string }[] = []
const logged: string[] = []
let sender: Running

interface Running {
  service: Service
  url: string
  stop: () => Promise<void>
}

const natsUrl = (user: string) => `nats://${user}:p@127.0.0.1:${natsServer.port}`

const startSender = async (
  change: {
    concurrency?: number
    graphTimeoutMs?: number
    baseMs?: number
    capMs?: number
    sendWaitMs?: number
    maxAttempts?: number
    pauseProbeMs?: number
    graphUrl?: string
  } = {},
): Promise<Running> => {
  const log = createLog({ service: 'sender', level: 'debug' }, { write: (line) => void logged.push(line) })
  const nats = await connectNats({ url: natsUrl('sender'), name: 'sender', log })
  const publisher = createPublisher(nats, { timeoutMs: 1_000 })
  const tenants = await createTenantDirectory({
    source: await openKv(nats, BUCKETS.tenants, log),
    keys: parseSecretsKeys(`k1:${randomBytes(32).toString('base64')}`),
    log,
  })
  const graphConfig = {
    baseUrl: change.graphUrl ?? graphUrl,
    version: 'v22.0',
    timeoutMs: change.graphTimeoutMs ?? GRAPH_TIMEOUT_MS,
  }
  const graph = createGraphClient(graphConfig)
  const service = startService({
    config: {
      adminToken: ADMIN_TOKEN,
      concurrency: change.concurrency ?? 16,
      graph: graphConfig,
      pauseProbeMs: change.pauseProbeMs ?? 300_000,
      retries: { maxAttempts: change.maxAttempts ?? 3, baseMs: change.baseMs ?? 10, capMs: change.capMs ?? 100 },
      sendWaitMs: change.sendWaitMs ?? 5_000,
      metaWaitMs: 5_000,
      uncertainGraceMs: 300,
    },
    log,
    metrics: createMetrics('sender'),
    readiness: createReadiness(),
    nats,
    publisher,
    tenants,
    ledgerBucket: await openKv(nats, BUCKETS.sendLedger, log),
    templatesBucket: await openKv(nats, BUCKETS.templates, log),
    leasesBucket: await openKv(nats, BUCKETS.leases, log),
    channel: whatsappChannel(graph),
  })
  await service.app.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`
  await waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), { timeout: 10_000 })
  return {
    service,
    url,
    stop: async () => {
      await service.stop()
      await graph.close()
      tenants.stop()
      publisher.close()
      await nats.close()
    },
  }
}

const collect = (stream: string, durable: string, filter: string, take: Parameters<typeof consumeEach>[0]['handler']) =>
  consumeEach({
    nats: operator,
    log: silent,
    publisher: operatorPublisher,
    service: 'test',
    stream,
    durable,
    filterSubjects: [filter],
    concurrency: 1,
    handler: take,
  })

beforeAll(async () => {
  natsServer = await startNats({
    users: [
      { user: 'operator', password: 'p' },
      {
        user: 'sender',
        password: 'p',
        permissions: asServerPermissions(permissions.sender),
      },
    ],
  })
  operator = await connectNats({ url: natsUrl('operator'), name: 'operator', log: silent })
  operatorPublisher = createPublisher(operator, { timeoutMs: 2_000 })
  await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 0 })
  collectors = await Promise.all([
    collect(EVENTS, 'test-events', subjects.allEvents, async ({ data }) => {
      const event = decodeEvent(data)
      if (!events.some(({ id }) => id === event.id)) events.push(event)
      return { kind: 'ack' }
    }),
    collect(DEADLETTERS, 'test-dead', 'dlq.>', async ({ subject, data, header }) => {
      deadLetters.push({
        subject,
        code: header('Code'),
        attempts: header('Attempts'),
        body: Buffer.from(data).toString(),
      })
      return { kind: 'ack' }
    }),
  ])
  simulator = buildSimulator({ seed: 1 })
  graphUrl = await simulator.listen({ host: '127.0.0.1', port: 0 })
  sender = await startSender()
})
afterAll(async () => {
  await sender?.stop()
  await Promise.all((collectors ?? []).map((collector) => collector.stop()))
  await simulator?.close()
  await operator?.close()
  await natsServer?.stop()
})

const control = async (method: 'PUT' | 'POST' | 'GET' | 'DELETE', path: string, body?: unknown) => {
  const answer = await fetch(`${graphUrl}/simulate/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  expect(answer.status, path).toBeLessThan(300)
  return answer.json() as Promise<unknown>
}
interface Call {
  outcome: string
  to: string
  callback_data: string | null
  message_id: string | null
}
const callsOf = async (commandId: string): Promise<Call[]> => {
  const found = (await control('GET', `calls?callback_data=${encodeURIComponent(commandId)}`)) as
    | { calls?: Call[] }
    | Call[]
  return (Array.isArray(found) ? found : (found.calls ?? [])).filter(({ callback_data }) => callback_data === commandId)
}

const tenantAtChannel = (company: Company) => ({
  company_id: company.id,
  waba_id: `8197${company.number}`,
  phone_numbers: [{ id: company.number, display_phone_number: '34911234567' }],
  access_token: `${TOKEN}${company.number}`,
  app_secret: 'secret',
  verify_token: 'verify',
  // Nobody listens: its webhooks are not what is tested here.
  webhook_url: 'http://127.0.0.1:9/webhook',
  templates: TEMPLATES,
})

/** A port where nobody listens. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** A message that came in, as the gateway tells of it. */
const publishInbound = (company: Company) => {
  const messageId = `wamid.${randomUUID()}`
  const at = new Date().toISOString()
  const event = newEvent({
    id: randomUUID(),
    source: '/webhook-gateway',
    type: 'message.created',
    subject: messageId,
    time: at,
    companyId: company.id,
    channel: 'whatsapp',
    recordedTime: at,
    data: {
      message_id: messageId,
      direction: 'inbound',
      kind: 'text',
      status: 'received',
      phone_number_id: company.number,
      raw: {},
    },
  })
  return operatorPublisher.publish({
    subject: subjects.event(company.id, 'whatsapp', 'message.created'),
    msgId: event.id,
    data: encodeEvent(event),
  })
}

/** Registers a company here and at the channel, and waits until the sender knows it. */
const configure = async (company: Company, properties: Record<string, unknown> = {}): Promise<Company> => {
  await control('PUT', 'tenants', tenantAtChannel(company))
  const bucket = await openKv(operator, BUCKETS.tenants, silent)
  await bucket.put(
    company.id,
    JSON.stringify({
      company_id: company.id,
      name: 'Solvify',
      custom_properties: {
        WHATSAPP_ACCESS_TOKEN: `${TOKEN}${company.number}`,
        WHATSAPP_PHONE_NUMBER_ID: company.number,
        WHATSAPP_BUSINESS_ID: `8197${company.number}`,
        WHATSAPP_PHONE_NUMBERS: [{ id: company.number, display_phone_number: '+34 911 23 45 67' }],
        WHATSAPP_COVER: COVER,
        RESPONSIBLE_EMAIL: 'sales@example.com',
        CHAT_URL: 'https://crm.example.com/chat/{chat_id}',
        RATE_LIMIT_MAX_CALLS: 1_000,
        ...properties,
      },
      api_keys: [
        { id: 'k-send', name: 'billing', scopes: ['send'], hash: hashApiKey(company.key) },
        { id: 'k-read', name: 'crm', scopes: ['read'], hash: hashApiKey(company.keyThatReads) },
      ],
      updated_at: new Date().toISOString(),
    }),
  )
  await waitFor(async () => {
    const answer = await fetch(`${sender.url}/commands/none`, { headers: { authorization: `Bearer ${company.key}` } })
    expect(answer.status).toBe(404)
  })
  return company
}

interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever came
  body: any
}
const post = async (
  path: string,
  token: string | undefined,
  body: unknown,
  headers: Record<string, string> = {},
  url = sender.url,
): Promise<Answer> => {
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: answer.status, headers: answer.headers, body: await answer.json() }
}
const get = async (path: string, token: string): Promise<Answer> => {
  const answer = await fetch(`${sender.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
  return { status: answer.status, headers: answer.headers, body: await answer.json() }
}

const text = (phone = '608684495', more: Record<string, unknown> = {}) => ({
  phone,
  text: 'Confidential words',
  ...more,
})

/** Publishes a command as any other service would; resolves with the answer on its reply subject. */
const command = async (
  companyId: string | undefined,
  body: (Partial<SendCommandInput> & Record<string, unknown>) | string,
  subject = subjects.sendCommand(companyId ?? '_', 'whatsapp'),
): Promise<SendOutcome & { error?: SendError | undefined }> => {
  const replyTo = operator.newInbox()
  const answer = new Promise<SendOutcome>((resolve) => {
    const stop = operator.subscribe(replyTo, ({ data }) => {
      stop()
      resolve(JSON.parse(Buffer.from(data).toString()))
    })
  })
  await operatorPublisher.publish({
    subject,
    msgId: randomUUID(),
    data: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { [REPLY_TO_HEADER]: replyTo },
  })
  return answer
}
const textCommand = (more: Partial<SendCommandInput> = {}): SendCommandInput => ({
  id: randomUUID(),
  channel: 'whatsapp',
  to: '608684495',
  message: { type: 'text', text: 'Confidential words' },
  ...more,
})

const eventsOf = (commandId: string, type?: string): GatewayEvent[] =>
  events.filter(
    (event) =>
      (event.data as { command_id?: string }).command_id === commandId && (type === undefined || event.type === type),
  )
const untilEvents = (commandId: string, ...types: string[]) =>
  waitFor(
    () =>
      expect(
        eventsOf(commandId)
          .map(({ type }) => type)
          .sort(),
      ).toEqual([...types].sort()),
    {
      timeout: 5_000,
    },
  )

describe('sending over HTTP', () => {
  test('a template goes out with the cover of its company, and the log tells all of it', async () => {
    const company = await configure(newCompany())
    const answer = await post('/send_template_direct', company.key, {
      phone: '608684495',
      template_name: 'agendar_llamada_inicial',
      template_data: { first_name: 'Paco', deal_id: 'b5078967' },
      company_id: company.id,
      phone_number_id: company.number,
      language: 'es_ES',
    })
    expect(answer.body).toEqual({
      status: 'accepted',
      command_id: expect.any(String),
      message_id: expect.stringMatching(/^wamid\./),
    })
    expect(answer.status).toBe(200)
    const id = answer.body.command_id

    await untilEvents(id, 'send.requested', 'send.attempted', 'message.created')
    const [created] = eventsOf(id, 'message.created')
    expect(created).toMatchObject({
      companyid: company.id,
      channel: 'whatsapp',
      source: '/sender',
      subject: answer.body.message_id,
      data: {
        message_id: answer.body.message_id,
        direction: 'outbound',
        status: 'accepted',
        kind: 'template',
        phone_number_id: company.number,
        chat_id: '34608684495',
        sender_phone: '34911234567',
        contact: { phone: '34608684495' },
        template: { name: 'agendar_llamada_inicial', language: 'es_ES', cover: COVER },
        responsible_email: 'sales@example.com',
        chat_url: 'https://crm.example.com/chat/34608684495',
        raw: {
          request: {
            to: '+34608684495',
            biz_opaque_callback_data: id,
            template: {
              components: [
                { type: 'header', parameters: [{ type: 'image', image: { link: COVER } }] },
                {
                  type: 'body',
                  parameters: [
                    { type: 'text', text: 'Paco', parameter_name: 'first_name' },
                    { type: 'text', text: 'b5078967', parameter_name: 'deal_id' },
                  ],
                },
              ],
            },
          },
          response: { messages: [{ id: answer.body.message_id }] },
        },
      },
    })
    expect(JSON.stringify(events)).not.toContain(TOKEN)
    expect((await callsOf(id)).map(({ outcome }) => outcome)).toEqual(['accepted'])

    const standing = await get(`/commands/${id}`, company.key)
    expect(standing.body).toMatchObject({ ...answer.body, company_id: company.id, attempts: 1 })
    expect((await get(`/commands/${id}`, ADMIN_TOKEN)).body).toEqual(standing.body)
    expect((await get(`/commands/${id}?company_id=${company.id}`, ADMIN_TOKEN)).body).toEqual(standing.body)

    const line = logged
      .map((one) => JSON.parse(one))
      .find((one) => one.event === 'send.concluded' && one.command_id === id)
    expect(line).toMatchObject({
      company_id: company.id,
      phone_number_id: company.number,
      template: 'agendar_llamada_inicial',
      cover: COVER,
      message_id: answer.body.message_id,
      outcome: 'accepted',
      duration_ms: expect.any(Number),
    })
  })

  test('text and media go out; metadata of the request is stronger than the company’s', async () => {
    const company = await configure(newCompany())
    const assigned_to_id = randomUUID()
    const sent = await post(
      '/send_text_direct',
      company.key,
      text('+34 608 68 44 95', {
        preview_url: true,
        metadata: { responsible_email: 'me@example.com', assigned_to_id, chat_url: 'https://crm.example.com/x' },
      }),
    )
    expect(sent.status).toBe(200)
    await waitFor(() => expect(eventsOf(sent.body.command_id, 'message.created')).toHaveLength(1))
    expect(eventsOf(sent.body.command_id, 'message.created')[0]?.data).toMatchObject({
      kind: 'text',
      text: 'Confidential words',
      responsible_email: 'me@example.com',
      assigned_to_id,
      chat_url: 'https://crm.example.com/x',
    })
    const link = 'https://media.example.com/rye.jpg'
    const media = await post('/send_media_direct', company.key, {
      phone: 608684495,
      kind: 'image',
      link,
      caption: 'Rye',
    })
    expect(media.status).toBe(200)
    await waitFor(() => expect(eventsOf(media.body.command_id, 'message.created')).toHaveLength(1))
    expect(eventsOf(media.body.command_id, 'message.created')[0]?.data).toMatchObject({
      kind: 'image',
      text: 'Rye',
      media: { link },
    })
  })

  test('a refusal that is final is told at once, in the channel’s code and with what to do', async () => {
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.key, text('34600000002'))
    expect(answer.status).toBe(422)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect(answer.body).toMatchObject({
      code: 131047,
      title: 'Re-engagement message',
      action: expect.stringContaining('template'),
      command_id: expect.any(String),
    })
    await untilEvents(answer.body.command_id, 'send.requested', 'send.attempted', 'send.failed')
    expect(await callsOf(answer.body.command_id)).toHaveLength(1)
    await waitFor(() =>
      expect(deadLetters.filter(({ body }) => body.includes(answer.body.command_id))).toMatchObject([
        { code: '131047' },
      ]),
    )
  })

  test.each([
    ['34600000003', 2],
    ['34600000005', 1],
  ])('a refusal worth repeating is repeated until it is accepted: %s', async (phone, refusals) => {
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.key, text(phone))
    expect(answer.status).toBe(200)
    await waitFor(() => {
      expect(eventsOf(answer.body.command_id, 'send.refused')).toHaveLength(refusals)
      expect(eventsOf(answer.body.command_id, 'send.attempted')).toHaveLength(refusals + 1)
    })
  })

  test.each([
    ['a phone that cannot exist', '/send_text_direct', text('123'), 'INVALID_PHONE'],
    [
      'data that the template lacks',
      '/send_template_direct',
      { phone: '608684495', template_name: 'order_ready', template_data: { '1': 'Nora' }, language: 'en_US' },
      'TEMPLATE_DATA_MISMATCH',
    ],
    ['an expired command', '/send_text_direct', text('608684495', { expires_at: '2020-01-01T00:00:00Z' }), 'EXPIRED'],
  ])('%s is refused before the channel is asked, and stands in the log', async (_, route, body, code) => {
    const company = await configure(newCompany())
    const answer = await post(route, company.key, body)
    expect([answer.status, answer.body.code]).toEqual([422, code])
    await untilEvents(answer.body.command_id, 'send.requested', 'send.failed')
    expect(await callsOf(answer.body.command_id)).toEqual([])
    expect(JSON.stringify(answer.body)).not.toContain('123"')
  })

  test('missing and surplus data of a template are named', async () => {
    const company = await configure(newCompany())
    const { body } = await post('/send_template_direct', company.key, {
      phone: '608684495',
      template_name: 'agendar_llamada_inicial',
      template_data: { first_name: 'Paco', surname: 'Martinez' },
      language: 'es_ES',
    })
    expect(body.detail).toContain('deal_id')
    expect(body.detail).toContain('surname')
    expect(body.detail).not.toContain('Martinez')
  })

  test('a person without a number is addressed by its user id', async () => {
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.key, text('US.7492016538847201'))
    expect(answer.status).toBe(200)
    await waitFor(() => expect(eventsOf(answer.body.command_id, 'message.created')).toHaveLength(1))
    expect(eventsOf(answer.body.command_id, 'message.created')[0]?.data).toMatchObject({
      chat_id: 'US.7492016538847201',
      raw: { request: { recipient: 'US.7492016538847201' } },
    })
  })

  test('whoever does not want to wait is told where to look', async () => {
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.key, text(), { prefer: 'respond-async' })
    expect([answer.status, answer.body.status]).toEqual([202, 'queued'])
    await waitFor(async () =>
      expect((await get(answer.headers.get('location') as string, company.key)).body.status).toBe('accepted'),
    )
  })
})

describe('who may send', () => {
  test('nobody without a key, or with one that nobody has', async () => {
    for (const token of [undefined, 'ck_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', `${ADMIN_TOKEN}x`]) {
      const answer = await post('/send_text_direct', token, text())
      expect([answer.status, answer.body.code]).toEqual([401, 'UNAUTHENTICATED'])
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  })
  test('not with a key that only reads', async () => {
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.keyThatReads, text())
    expect([answer.status, answer.body.code]).toEqual([403, 'SCOPE_MISSING'])
  })
  test('not for another company, nor from its number, nor may its commands be seen', async () => {
    const [mine, other] = [await configure(newCompany()), await configure(newCompany())]
    const forOther = await post('/send_text_direct', mine.key, text('608684495', { company_id: other.id }))
    expect([forOther.status, forOther.body.code]).toEqual([403, 'COMPANY_OF_ANOTHER_KEY'])
    const fromOther = await post('/send_text_direct', mine.key, text('608684495', { phone_number_id: other.number }))
    expect([fromOther.status, fromOther.body.code]).toEqual([403, 'PHONE_NUMBER_OF_ANOTHER_COMPANY'])
    const sent = await post('/send_text_direct', other.key, text())
    expect((await get(`/commands/${sent.body.command_id}`, mine.key)).status).toBe(404)
  })
  test('the operator, for every company; found by its number where it is not named', async () => {
    const company = await configure(newCompany())
    const named = await post('/send_text_direct', ADMIN_TOKEN, text('608684495', { company_id: company.id }))
    expect(named.status).toBe(200)
    const byNumber = await post(
      '/send_text_direct',
      ADMIN_TOKEN,
      text('608684495', { phone_number_id: company.number }),
    )
    expect(byNumber.status).toBe(200)
    await waitFor(() => expect(eventsOf(byNumber.body.command_id)[0]?.companyid).toBe(company.id))
    const unknown = await post('/send_text_direct', ADMIN_TOKEN, text('608684495', { company_id: randomUUID() }))
    expect([unknown.status, unknown.body.code]).toEqual([404, 'UNKNOWN_COMPANY'])
  })
  test('by the recipient’s latest conversation where nothing else tells', async () => {
    const company = await configure(newCompany())
    const stop = operator.respond(subjects.latestConversation, 'projector', async ({ data, respond }) => {
      const { phone } = JSON.parse(Buffer.from(data).toString())
      respond(
        phone === '34608684495' ? JSON.stringify({ company_id: company.id, phone_number_id: company.number }) : '{}',
      )
    })
    try {
      const known = await post('/send_text_direct', ADMIN_TOKEN, text())
      expect(known.status).toBe(200)
      await waitFor(() => expect(eventsOf(known.body.command_id)[0]?.companyid).toBe(company.id))
      const unknown = await post('/send_text_direct', ADMIN_TOKEN, text('600111222'))
      expect([unknown.status, unknown.body.code]).toEqual([422, 'SENDER_NOT_FOUND'])
      expect(await command(undefined, textCommand())).toMatchObject({ status: 'accepted' })
    } finally {
      stop()
    }
  })
  test('when nobody answers about conversations, it is tried later, and HTTP says so', async () => {
    const answer = await post('/send_text_direct', ADMIN_TOKEN, text())
    expect([answer.status, answer.body.code]).toEqual([503, 'CONVERSATIONS_UNAVAILABLE'])
    expect(answer.headers.get('retry-after')).toBeTruthy()
  })
})

describe('a request that is not right', () => {
  test.each([
    ['/send_text_direct', { phone: '608684495' }, 'text'],
    ['/send_text_direct', { phone: '608684495', text: '' }, 'text'],
    ['/send_text_direct', { phone: '608684495', text: 'x'.repeat(4_097) }, 'text'],
    ['/send_text_direct', { text: 'x' }, 'phone'],
    ['/send_text_direct', { phone: '608684495', text: 'x', company_id: 'no uuid' }, 'company_id'],
    ['/send_text_direct', { phone: '608684495', text: 'x', phone_number_id: '12.>' }, 'phone_number_id'],
    ['/send_text_direct', { phone: '608684495', text: 'x', txt: 'y' }, 'txt'],
    ['/send_text_direct', [], 'body'],
    ['/send_template_direct', { phone: '608684495', template_name: 'Bad Name', language: 'es' }, 'template_name'],
    [
      '/send_template_direct',
      { phone: '608684495', template_name: 'a', language: 'es', template_data: { a: null } },
      'template_data.a',
    ],
    ['/send_media_direct', { phone: '608684495', kind: 'image' }, 'link'],
    ['/send_media_direct', { phone: '608684495', kind: 'audio', media_id: '12', caption: 'x' }, 'caption'],
  ])('names what is wrong with %s %j', async (route, body, field) => {
    const company = await configure(newCompany())
    const answer = await post(route, company.key, body)
    expect(answer.status).toBe(422)
    expect(JSON.stringify(answer.body.fields)).toContain(field)
  })
  test('is no JSON, or too large', async () => {
    const company = await configure(newCompany())
    expect((await post('/send_text_direct', company.key, '{"phone":')).status).toBe(400)
    expect(
      (await post('/send_text_direct', company.key, text('608684495', { text: 'x'.repeat(300_000) }))).status,
    ).toBe(413)
  })
})

describe('the same command again', () => {
  test('gets the first outcome, and is not sent again', async () => {
    const company = await configure(newCompany())
    const key = `invoice-${randomUUID()}`
    const first = await post('/send_text_direct', company.key, text(), { 'idempotency-key': key })
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    const again = await post('/send_text_direct', company.key, text(), { 'idempotency-key': key })
    expect(again.body).toEqual(first.body)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    const inBody = await post('/send_text_direct', company.key, text('608684495', { id: key }))
    expect(inBody.body).toEqual(first.body)
    expect(await command(company.id, textCommand({ id: key, priority: 'normal' }))).toEqual(first.body)
    expect(await callsOf(key)).toHaveLength(1)
  })
  test('with another content is another command that wants another name', async () => {
    const company = await configure(newCompany())
    const key = randomUUID()
    await post('/send_text_direct', company.key, text(), { 'idempotency-key': key })
    const other = await post('/send_text_direct', company.key, text('608684495', { text: 'other' }), {
      'idempotency-key': key,
    })
    expect([other.status, other.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    const overNats = await command(company.id, textCommand({ id: key, message: { type: 'text', text: 'third' } }))
    expect(overNats).toMatchObject({ status: 'failed', error: { code: 'IDEMPOTENCY_KEY_REUSED' } })
    expect(await callsOf(key)).toHaveLength(1)
  })
  test('of another company is a command of its own', async () => {
    const [one, two] = [await configure(newCompany()), await configure(newCompany())]
    const key = randomUUID()
    const sent = await Promise.all(
      [one, two].map(({ key: token }) => post('/send_text_direct', token, text(), { 'idempotency-key': key })),
    )
    expect(sent.map(({ status }) => status)).toEqual([200, 200])
    expect(sent[0]?.body.message_id).not.toBe(sent[1]?.body.message_id)
  })
  test('ten times at once is sent once, and all are told the same', async () => {
    const company = await configure(newCompany())
    const key = randomUUID()
    const answers = await Promise.all(
      Array.from({ length: 10 }, () =>
        post('/send_text_direct', company.key, text('34600000003'), { 'idempotency-key': key }),
      ),
    )
    expect(new Set(answers.map(({ body }) => body.message_id)).size).toBe(1)
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')).toHaveLength(9)
    expect((await callsOf(key)).filter(({ outcome }) => outcome === 'accepted')).toHaveLength(1)
  })
  test('gets a failure again as well', async () => {
    const company = await configure(newCompany())
    const key = randomUUID()
    const first = await post('/send_text_direct', company.key, text('34600000002'), { 'idempotency-key': key })
    const again = await post('/send_text_direct', company.key, text('34600000002'), { 'idempotency-key': key })
    expect([again.status, again.body]).toEqual([first.status, first.body])
    expect(again.headers.get('idempotency-replayed')).toBe('true')
  })
  test('a key that could not be a name is refused', async () => {
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.key, text(), { 'idempotency-key': 'with space' })
    expect([answer.status, answer.body.code]).toEqual([422, 'INVALID_REQUEST'])
  })
})

describe('too many calls', () => {
  test('are refused per company and route, with when to come again', async () => {
    const limits = { RATE_LIMIT_MAX_CALLS: 2, RATE_LIMIT_WINDOW_SECONDS: 60 }
    const [company, other] = [await configure(newCompany(), limits), await configure(newCompany(), limits)]
    // Whoever is not let in uses up nobody's calls.
    await post('/send_text_direct', undefined, text('608684495', { company_id: company.id }))
    await post('/send_text_direct', other.key, text('608684495', { company_id: company.id }))
    const answers: Answer[] = []
    for (let i = 0; i < 3; i++) answers.push(await post('/send_text_direct', company.key, text()))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
    expect(answers.map(({ headers }) => headers.get('ratelimit-remaining'))).toEqual(['1', '0', '0'])
    expect(answers[2]?.body.code).toBe('RATE_LIMITED')
    expect(Number(answers[2]?.headers.get('retry-after'))).toBeGreaterThan(50)
    const media = { phone: '608684495', kind: 'image', media_id: '12' }
    expect((await post('/send_media_direct', company.key, media)).status).not.toBe(429)
    expect((await post('/send_text_direct', other.key, text())).status).toBe(200)
  })
})

describe('commands over NATS', () => {
  test('are answered where they say', async () => {
    const company = await configure(newCompany())
    const sent = textCommand()
    expect(await command(company.id, sent)).toEqual({
      status: 'accepted',
      command_id: sent.id,
      message_id: expect.stringMatching(/^wamid\./),
    })
  })
  test('keep the caller’s own callback value beside ours', async () => {
    const company = await configure(newCompany())
    const sent = textCommand({
      message: { type: 'raw', body: { type: 'text', text: { body: 'hi' }, biz_opaque_callback_data: 'order 5521' } },
    })
    expect(await command(company.id, sent)).toMatchObject({ status: 'accepted' })
    expect(await callsOf(`${sent.id} cb=order 5521`)).toHaveLength(1)
  })
  test.each([
    ['no JSON', '{"id":', 'body'],
    ['no object', '[]', 'body'],
    ['too large', JSON.stringify({ id: 'x', filler: 'x'.repeat(300_000) }), 'body'],
    ['a field missing', { id: 'broken-1', channel: 'whatsapp', to: '608684495' }, 'message'],
  ])('with a body that is none (%s) are dead letters, answered, and in the log', async (_, body, field) => {
    const company = await configure(newCompany())
    const answer = await command(company.id, body as string)
    expect(answer).toMatchObject({
      status: 'failed',
      error: { code: 'INVALID_COMMAND', details: expect.stringContaining(field) },
    })
    await waitFor(() => {
      const letters = deadLetters.filter(({ subject }) => subject === subjects.deadLetter('sender', company.id))
      expect(letters).toMatchObject([{ code: 'INVALID_COMMAND' }])
      expect(events.filter(({ companyid, type }) => companyid === company.id && type === 'send.failed')).toHaveLength(1)
    })
  })
  test('of no company, of two, or on a strange subject are refused', async () => {
    const company = await configure(newCompany())
    expect(await command(randomUUID(), textCommand())).toMatchObject({ error: { code: 'UNKNOWN_COMPANY' } })
    expect(await command(company.id, textCommand({ company_id: randomUUID() }))).toMatchObject({
      error: { code: 'INVALID_COMMAND', details: expect.stringContaining('company_id') },
    })
    expect(await command(undefined, textCommand(), 'cmd.send.somebody.whatsapp')).toMatchObject({
      error: { code: 'INVALID_COMMAND' },
    })
    expect(await command(undefined, textCommand(), 'cmd.send.a.b.c')).toMatchObject({
      error: { code: 'INVALID_COMMAND' },
    })
    expect(await command(undefined, textCommand({ phone_number_id: '1' }))).toMatchObject({
      error: { code: 'UNKNOWN_PHONE_NUMBER' },
    })
  })
  test('cannot make the sender publish anywhere but to an inbox', async () => {
    const company = await configure(newCompany())
    const id = randomUUID()
    await operatorPublisher.publish({
      subject: subjects.sendCommand(company.id, 'whatsapp'),
      msgId: id,
      data: JSON.stringify(textCommand({ id })),
      headers: { [REPLY_TO_HEADER]: subjects.event(company.id, 'whatsapp', 'send.failed') },
    })
    await untilEvents(id, 'send.requested', 'send.attempted', 'message.created')
    expect(logged.join()).not.toMatch(/permissions violation/i)
  })
  test('are known to the company that sent them before only', async () => {
    const company = await configure(newCompany())
    const sent = textCommand({ to: '600000003' })
    const [first, second] = await Promise.all([command(company.id, sent), command(company.id, sent)])
    expect(first).toEqual(second)
    expect((await callsOf(sent.id)).filter(({ outcome }) => outcome === 'accepted')).toHaveLength(1)
  })
})

describe('a raw body', () => {
  const raw = (body: Record<string, unknown>): SendCommandInput => textCommand({ message: { type: 'raw', body } })
  const list = (rows: number) =>
    raw({
      type: 'interactive',
      interactive: {
        type: 'list',
        body: { text: 'What would you like?' },
        action: {
          button: 'Choose bread',
          sections: [{ rows: Array.from({ length: rows }, (_, i) => ({ id: `r${i}`, title: `Loaf ${i}` })) }],
        },
      },
    })
  const readsOf = async (company: Company): Promise<string[]> => {
    const { calls } = (await control('GET', `calls?company_id=${company.id}&type=read`)) as { calls: Call[] }
    return calls.map(({ outcome }) => outcome)
  }

  test('of any type goes out, and the log has its words', async () => {
    const company = await configure(newCompany())
    const sent = list(10)
    expect(await command(company.id, sent)).toMatchObject({ status: 'accepted' })
    await untilEvents(sent.id, 'send.requested', 'send.attempted', 'message.created')
    expect(eventsOf(sent.id, 'message.created')).toMatchObject([
      { data: { kind: 'interactive', text: 'What would you like?' } },
    ])
  })
  test('that Meta would refuse is refused with the place, and Meta is not asked', async () => {
    const company = await configure(newCompany())
    const sent = list(11)
    const fields = [
      {
        path: 'message.body.interactive.action.sections',
        message: 'expected at most 10 rows in all sections together, found 11',
      },
    ]
    expect(await command(company.id, sent)).toMatchObject({
      status: 'failed',
      error: { code: 'INVALID_MESSAGE', fields, details: expect.stringContaining('message.body.interactive') },
    })
    await untilEvents(sent.id, 'send.requested', 'send.failed')
    expect(eventsOf(sent.id, 'send.failed')).toMatchObject([{ data: { error: { code: 'INVALID_MESSAGE', fields } } }])
    await waitFor(() =>
      expect(deadLetters.filter(({ body }) => body.includes(sent.id))).toMatchObject([
        { code: 'INVALID_MESSAGE', attempts: '0' },
      ]),
    )
    expect(await callsOf(sent.id)).toEqual([])
  })
  test('that marks a message as read is recorded as a receipt, not as a message', async () => {
    const company = await configure(newCompany())
    const wamid = 'wamid.HBgLMzQ2MDg2ODQ0OTU='
    const sent = raw({ status: 'read', message_id: wamid, typing_indicator: { type: 'text' } })
    expect(await command(company.id, sent)).toEqual({ status: 'accepted', command_id: sent.id, message_id: wamid })
    await untilEvents(sent.id, 'send.requested', 'send.attempted', 'receipt.sent')
    expect(eventsOf(sent.id, 'receipt.sent')).toMatchObject([
      {
        subject: wamid,
        data: {
          message_id: wamid,
          typing: true,
          phone_number_id: company.number,
          chat_id: '34608684495',
          raw: {
            request: {
              messaging_product: 'whatsapp',
              status: 'read',
              message_id: wamid,
              typing_indicator: { type: 'text' },
            },
            response: { success: true },
          },
        },
      },
    ])
    expect(await readsOf(company)).toEqual(['answered'])
  })
  test('that marks a message as read is sent again when nobody knows whether it was, whatever the company says', async () => {
    const company = await configure(newCompany(), { ON_UNCERTAIN: 'park' })
    const sent = raw({ status: 'read', message_id: 'wamid.1' })
    await command(company.id, sent)
    // What a sender leaves behind that dies in the middle of the call.
    const bucket = await openKv(operator, BUCKETS.sendLedger, silent)
    const key = ledgerKey(company.id, sent.id)
    const entry = JSON.parse(Buffer.from((await bucket.get(key))?.value ?? []).toString())
    const at = new Date(Date.now() - 60_000).toISOString()
    await bucket.put(key, JSON.stringify({ ...entry, state: { status: 'attempting', attempts: 1, at } }))
    expect(await command(company.id, sent)).toMatchObject({ status: 'accepted', message_id: 'wamid.1' })
    expect(await readsOf(company)).toEqual(['answered', 'answered'])
  })
})

describe('when the answer never comes', () => {
  test('the message is parked: one call, a dead letter, and a caller who knows that nobody knows', async () => {
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.key, text('34600000004'))
    expect([answer.status, answer.body.code]).toEqual([504, 'SEND_UNCERTAIN'])
    const id = answer.body.command_id
    await untilEvents(id, 'send.requested', 'send.attempted', 'send.uncertain', 'send.parked')
    await waitFor(() =>
      expect(deadLetters.filter(({ body }) => body.includes(id))).toMatchObject([{ code: 'SEND_UNCERTAIN' }]),
    )
    expect(await callsOf(id)).toHaveLength(1)
    expect((await get(`/commands/${id}`, company.key)).body.status).toBe('parked')
  })
  test('the message is sent again after its grace when the company wants that, as often as is allowed', async () => {
    const company = await configure(newCompany(), { ON_UNCERTAIN: 'resend' })
    const sent = textCommand({ to: '34600000004' })
    expect(await command(company.id, sent)).toMatchObject({ status: 'failed', error: { code: 'SEND_UNCERTAIN' } })
    expect(eventsOf(sent.id, 'send.attempted').length).toBe(3)
    expect(await callsOf(sent.id)).toHaveLength(3)
  })
  test('an intent found without an outcome is not taken for permission to send', async () => {
    const company = await configure(newCompany())
    const first = textCommand()
    // What a sender leaves behind that dies in the middle of a call: taken from a real entry, put back in time.
    await command(company.id, first)
    const bucket = await openKv(operator, BUCKETS.sendLedger, silent)
    const key = ledgerKey(company.id, first.id)
    const entry = JSON.parse(Buffer.from((await bucket.get(key))?.value ?? []).toString())
    const at = new Date(Date.now() - 60_000).toISOString()
    await bucket.put(key, JSON.stringify({ ...entry, state: { status: 'attempting', attempts: 1, at } }))
    expect(await command(company.id, first)).toMatchObject({ error: { code: 'SEND_UNCERTAIN' } })
    expect(await callsOf(first.id)).toHaveLength(1)
  })
})

describe('at the end of all attempts', () => {
  test('the command is a dead letter, whole, with the reason and how often it was tried', async () => {
    const company = await configure(newCompany())
    await control('POST', 'faults', { errors_5xx: 1, affects: ['graph'] })
    try {
      const sent = textCommand()
      const answer = await command(company.id, sent)
      expect(answer).toMatchObject({ status: 'failed' })
      await untilEvents(
        sent.id,
        'send.requested',
        ...Array(3).fill('send.attempted'),
        ...Array(2).fill('send.refused'),
        'send.failed',
      )
      await waitFor(() => {
        const [letter] = deadLetters.filter(({ body }) => body.includes(sent.id))
        expect(letter).toMatchObject({ attempts: '3', code: String(answer.error?.code) })
        expect(JSON.parse(letter?.body ?? '')).toMatchObject({ id: sent.id, message: sent.message })
      })
    } finally {
      await control('DELETE', 'faults')
    }
  })
})

describe('waiting', () => {
  test('for the next attempt takes no slot from the others', async () => {
    await sender.stop()
    sender = await startSender({ concurrency: 1, baseMs: 600_000, capMs: 600_000 })
    const company = await configure(newCompany())
    const waiting = textCommand({ to: '34600000005' })
    void command(company.id, waiting)
    await waitFor(() => expect(eventsOf(waiting.id, 'send.refused')).toHaveLength(1))
    expect(await command(company.id, textCommand())).toMatchObject({ status: 'accepted' })

    const standing = await get(`/commands/${waiting.id}`, company.key)
    expect(standing.body).toMatchObject({ status: 'queued', attempts: 1, error: { code: 131000 } })
  })
  test('for an outcome ends with 202 when the service stops, and the command is gone on with afterwards', async () => {
    const company = await configure(newCompany())
    const key = randomUUID()
    const asked = post('/send_text_direct', company.key, text('34600000003'), { 'idempotency-key': key })
    await waitFor(() => expect(eventsOf(key, 'send.refused')).toHaveLength(1))
    await sender.stop()
    const answer = await asked
    expect([answer.status, answer.body]).toMatchObject([
      202,
      { status: 'queued', command_id: key, error: { code: 130429 } },
    ])

    // Its time is far off: moved here, so that the next sender need not wait for it.
    const bucket = await openKv(operator, BUCKETS.sendLedger, silent)
    const stored = await bucket.get(ledgerKey(company.id, key))
    const entry = JSON.parse(Buffer.from(stored?.value ?? []).toString())
    expect(entry.state).toMatchObject({ status: 'refused', attempts: 1 })
    await bucket.put(
      ledgerKey(company.id, key),
      JSON.stringify({ ...entry, state: { ...entry.state, retryAt: new Date().toISOString() } }),
    )
    sender = await startSender()
    await waitFor(
      async () =>
        expect((await get(`/commands/${key}`, company.key)).body).toMatchObject({ status: 'accepted', attempts: 3 }),
      { timeout: 10_000 },
    )
    expect((await callsOf(key)).filter(({ outcome }) => outcome === 'accepted')).toHaveLength(1)
  })
  test('longer than is allowed ends with 202', async () => {
    await sender.stop()
    sender = await startSender({ sendWaitMs: 100, baseMs: 600_000, capMs: 600_000 })
    const company = await configure(newCompany())
    const answer = await post('/send_text_direct', company.key, text('34600000003'))
    expect([answer.status, answer.body.status]).toEqual([202, 'queued'])
    await sender.stop()
    sender = await startSender()
  })
})

describe('a redrive', () => {
  const letterOf = async (commandId: string): Promise<DeadLetter> =>
    waitFor(async () => {
      const { letters } = await openDeadLetters(operator).page({ commandId, order: 'newest', limit: 1 })
      expect(letters).toHaveLength(1)
      return letters[0] as DeadLetter
    })
  const redrive = (letter: DeadLetter, company: Company, body: object = {}) =>
    post(`/dead-letters/${letter.id}/redrive`, company.key, body)

  test('sends what failed once its cause is mended, and the log tells both rounds', async () => {
    const company = await configure(newCompany(), { WHATSAPP_ACCESS_TOKEN: undefined })
    const id = randomUUID()
    expect(await command(company.id, textCommand({ id }))).toMatchObject({ error: { code: 'NO_ACCESS_TOKEN' } })
    const letter = await letterOf(id)
    await configure(company)
    expect(await redrive(letter, company)).toMatchObject({ status: 202, body: { status: 'queued', command_id: id } })
    await untilEvents(id, 'send.requested', 'send.failed', 'send.redriven', 'send.attempted', 'message.created')
    expect(eventsOf(id, 'send.redriven')).toMatchObject([{ data: { dead_letter: letter.id, attempts: 0 } }])
    expect(await callsOf(id)).toHaveLength(1)
    expect((await get(`/commands/${id}`, company.key)).body).toMatchObject({ status: 'accepted', attempts: 1 })
    expect((await openDeadLetters(operator).page({ commandId: id })).letters).toEqual([])
  })
  test('of what the channel refuses again is a dead letter again, with all attempts, and facts of its own', async () => {
    const company = await configure(newCompany())
    const id = randomUUID()
    await command(company.id, textCommand({ id, to: '34600000002' }))
    const first = await letterOf(id)
    expect(first).toMatchObject({ attempts: 1, code: '131047' })
    await redrive(first, company)
    await untilEvents(
      id,
      'send.requested',
      'send.attempted',
      'send.failed',
      'send.redriven',
      'send.attempted',
      'send.failed',
    )
    const second = await letterOf(id)
    expect(second.id).toBeGreaterThan(first.id)
    expect(second).toMatchObject({ attempts: 2, code: '131047' })
    expect(eventsOf(id, 'send.attempted').map(({ data }) => (data as { attempt: number }).attempt)).toEqual([1, 2])
    expect(await callsOf(id)).toHaveLength(2)
  })
  test('that is delivered twice is one', async () => {
    const company = await configure(newCompany())
    const id = randomUUID()
    await command(company.id, textCommand({ id, to: '34600000002' }))
    const letter = await letterOf(id)
    // Two operators at once; the third comes when all is over.
    const publish = () => {
      const { commandId: _, ...publication } = redrivePublication(letter, { force: false, now: Date.now() })
      return operatorPublisher.publish({ ...publication, msgId: randomUUID() })
    }
    await Promise.all([publish(), publish()])
    await waitFor(() => expect(eventsOf(id, 'send.failed')).toHaveLength(2))
    await publish()
    // Behind it, so that it is worked by then.
    await command(company.id, textCommand())
    expect(eventsOf(id, 'send.redriven')).toHaveLength(1)
    expect(await callsOf(id)).toHaveLength(2)
  })
  test('of what was accepted meanwhile sends nothing', async () => {
    const company = await configure(newCompany())
    const id = randomUUID()
    await command(company.id, textCommand({ id }))
    await operatorPublisher.publish({
      subject: subjects.sendCommand(company.id, 'whatsapp'),
      msgId: randomUUID(),
      data: JSON.stringify(textCommand({ id })),
      headers: { [REDRIVE_HEADER]: JSON.stringify({ dead_letter: 1_000_000, attempts: 1, force: true }) },
    })
    await command(company.id, textCommand())
    await untilEvents(id, 'send.requested', 'send.attempted', 'message.created')
    expect(await callsOf(id)).toHaveLength(1)
  })
  test('of what may have been delivered is sent again by force only, and comes back without it', async () => {
    const company = await configure(newCompany())
    const id = randomUUID()
    await command(company.id, textCommand({ id, to: '34600000004' }))
    const letter = await letterOf(id)
    expect(await redrive(letter, company)).toMatchObject({ status: 409, body: { code: 'DEAD_LETTER_UNCERTAIN' } })
    const force = { dead_letter: letter.id, attempts: 1, force: false }
    await operatorPublisher.publish({
      subject: letter.subject,
      msgId: randomUUID(),
      data: letter.body,
      headers: { [REDRIVE_HEADER]: JSON.stringify(force) },
    })
    await waitFor(async () => expect((await letterOf(id)).id).toBeGreaterThan(letter.id))
    expect(await callsOf(id)).toHaveLength(1)
    expect(await redrive(letter, company, { force: true })).toMatchObject({ status: 202 })
    await waitFor(() => expect(eventsOf(id, 'send.parked')).toHaveLength(2), { timeout: 10_000 })
    expect(await callsOf(id)).toHaveLength(2)
  })
})

describe('a number whose account the channel does not accept', () => {
  const numberEvents = (company: Company) =>
    events
      .filter(({ companyid, type }) => companyid === company.id && type.startsWith('number.'))
      .map(({ type, data }) => ({ type, data }))

  test('pauses with an alarm, keeps its commands, and sends them when it has other credentials', async () => {
    await sender.stop()
    sender = await startSender({ sendWaitMs: 60_000 })
    const [company, other] = [await configure(newCompany(), { WHATSAPP_ACCESS_TOKEN: 'EAAwrong' }), newCompany()]
    const answer = await post('/send_text_direct', company.key, text())
    expect([answer.status, answer.body]).toMatchObject([
      202,
      { status: 'queued', error: { code: 190, action: expect.stringContaining('token') } },
    ])
    // At once, and so is whoever comes later.
    expect((await post('/send_text_direct', company.key, text('608684497'))).body).toMatchObject({
      status: 'queued',
      error: { code: 190 },
    })
    const more = Array.from({ length: 20 }, () => textCommand({ to: '608684496' }))
    const outcomes = Promise.all(more.map((sent) => command(company.id, sent)))
    await waitFor(() =>
      expect(numberEvents(company)).toEqual([
        {
          type: 'number.paused',
          data: expect.objectContaining({ phone_number_id: company.number, code: 190, action: expect.any(String) }),
        },
      ]),
    )
    expect(await (await fetch(`${sender.url}/metrics`)).text()).toMatch(/sender_numbers_paused\{[^}]*\} 1/)
    // Whoever sends from elsewhere is not concerned.
    await configure(other)
    expect(await command(other.id, textCommand())).toMatchObject({ status: 'accepted' })
    expect((await get(`/commands/${answer.body.command_id}`, company.key)).body).toMatchObject({ status: 'queued' })
    // One call found out; the others have waited.
    expect(((await control('GET', `calls?phone_number_id=${company.number}`)) as { matched: number }).matched).toBe(1)

    await configure(company)
    expect((await outcomes).filter(({ status }) => status !== 'accepted')).toEqual([])
    await untilEvents(
      answer.body.command_id,
      'send.requested',
      'send.attempted',
      'send.refused',
      'send.attempted',
      'message.created',
    )
    await waitFor(() =>
      expect(numberEvents(company).at(1)).toMatchObject({ type: 'number.resumed', data: { by: 'credentials' } }),
    )
  })

  test('tries from time to time, and goes on when it was mended at the channel; no attempt was lost', async () => {
    await sender.stop()
    sender = await startSender({ pauseProbeMs: 50, maxAttempts: 2 })
    const company = newCompany()
    await configure(company)
    await control('PUT', 'tenants', { ...tenantAtChannel(company), access_token: 'EAAanother' })
    const sent = textCommand()
    const outcome = command(company.id, sent)
    await waitFor(() => expect(eventsOf(sent.id, 'send.refused').length).toBeGreaterThan(3))
    await control('PUT', 'tenants', tenantAtChannel(company))
    expect(await outcome).toMatchObject({ status: 'accepted' })
    await waitFor(() =>
      expect(numberEvents(company)).toMatchObject([
        { type: 'number.paused' },
        { type: 'number.resumed', data: { by: 'probe', code: 190 } },
      ]),
    )
  })

  test('lets a command go that has expired meanwhile', async () => {
    const company = await configure(newCompany(), { WHATSAPP_ACCESS_TOKEN: 'EAAwrong' })
    const sent = textCommand({ expires_at: new Date(Date.now() + 500).toISOString() })
    expect(await command(company.id, sent)).toMatchObject({ status: 'failed', error: { code: 'EXPIRED' } })
  })
})

describe('a channel that cannot be reached', () => {
  test('uses up no attempt, however long it takes: the command waits', async () => {
    await sender.stop()
    const port = await freePort()
    sender = await startSender({ graphUrl: `http://127.0.0.1:${port}`, maxAttempts: 2 })
    const company = await configure(newCompany())
    const sent = textCommand()
    const outcome = command(company.id, sent)
    await waitFor(() => expect(eventsOf(sent.id, 'send.refused').length).toBeGreaterThan(4))
    await waitFor(() => expect(logged.join()).toContain('number.circuit_opened'))
    const late = buildSimulator({ tenants: [tenantAtChannel(company)] })
    await late.listen({ host: '127.0.0.1', port })
    try {
      expect(await outcome).toMatchObject({ status: 'accepted' })
      await waitFor(() => expect(logged.join()).toContain('number.circuit_closed'))
    } finally {
      await sender.stop()
      await late.close()
      sender = await startSender()
    }
  })
})

describe('the pace of a number', () => {
  test('never makes the channel refuse for too much, whatever comes at once, and whoever writes meanwhile', async () => {
    const [rate, count] = [80, 300]
    const company = newCompany()
    await configure(company, { WHATSAPP_PHONE_NUMBERS: [{ id: company.number, messages_per_second: rate }] })
    await control('DELETE', 'calls')
    const sent = Array.from({ length: count }, (_, n) => textCommand({ to: `6001${String(20_100 + n)}` }))
    const outcomes = Promise.all(sent.map((one) => command(company.id, one)))
    // Some of what comes in is heard of late, as in life: there is room for that.
    await control('POST', 'inbound', { phone_number_id: company.number, from: '34611111111', text: 'hi', count: 20 })
    await Promise.all(Array.from({ length: 20 }, () => publishInbound(company)))
    expect((await outcomes).filter(({ status }) => status !== 'accepted')).toEqual([])
    const { accepted, codes } = (await control('GET', 'stats')) as { accepted: number; codes: object }
    expect([accepted, codes]).toEqual([count, {}])
    const { calls } = (await control('GET', `calls?phone_number_id=${company.number}&limit=${count}`)) as {
      calls: { at: string }[]
    }
    const times = calls.map(({ at }) => Date.parse(at)).sort((a, b) => a - b)
    for (const [n, at] of times.entries()) expect(n - times.findIndex((one) => one > at - 900)).toBeLessThan(rate)
    expect((times.at(-1) as number) - (times[0] as number)).toBeGreaterThan((count / rate - 0.5) * 1_000)
  }, 60_000)

  test('to one person is 45 at once; another person waits for none of the rest', async () => {
    const company = await configure(newCompany())
    const many = Array.from({ length: 46 }, () => textCommand({ to: '600120001' }))
    const outcomes = many.map((one) => command(company.id, one))
    expect(await command(company.id, textCommand({ to: '600120009' }))).toMatchObject({ status: 'accepted' })
    await waitFor(() => expect(many.filter(({ id }) => eventsOf(id, 'message.created').length > 0)).toHaveLength(45))
    expect((await Promise.all(outcomes)).filter(({ status }) => status !== 'accepted')).toEqual([])
    const calls = (await control('GET', `calls?phone_number_id=${company.number}`)) as { calls: Call[] }
    expect(calls.calls.filter(({ outcome }) => outcome !== 'accepted')).toEqual([])
  }, 30_000)
})

describe('when NATS goes away', () => {
  test('nothing is accepted over HTTP, and it says so at once; afterwards all goes on', async () => {
    const company = await configure(newCompany())
    await natsServer.kill()
    await waitFor(async () => expect((await fetch(`${sender.url}/readyz`)).status).toBe(503))
    const answer = await post('/send_text_direct', company.key, text())
    expect([answer.status, answer.body.code]).toEqual([503, 'COMMAND_NOT_ACCEPTED'])
    expect(answer.headers.get('retry-after')).toBeTruthy()
    await natsServer.restart()
    await waitFor(() => expect(operator.isConnected()).toBe(true))
    await waitFor(async () => expect((await post('/send_text_direct', company.key, text())).status).toBe(200), {
      timeout: 20_000,
    })
  })

  test('in the middle of many commands, each is sent once and ends as a message', async () => {
    await sender.stop()
    // Slow is not away: on a busy machine the short time-out of the other tests would be up before the answer.
    sender = await startSender({ graphTimeoutMs: 10_000 })
    const company = await configure(newCompany())
    await control('POST', 'faults', { delay: 1, delay_ms: 100, affects: ['graph'] })
    const ids = Array.from({ length: 150 }, () => randomUUID())
    await Promise.all(
      ids.map((id) =>
        operatorPublisher.publish({
          subject: subjects.sendCommand(company.id, 'whatsapp'),
          msgId: id,
          data: JSON.stringify(textCommand({ id, to: `6081${String(1_000 + ids.indexOf(id)).padStart(5, '0')}` })),
        }),
      ),
    )
    await waitFor(
      () => expect(ids.filter((id) => eventsOf(id, 'message.created').length > 0).length).toBeGreaterThan(20),
      {
        timeout: 20_000,
      },
    )
    await natsServer.kill()
    await natsServer.restart()
    await control('DELETE', 'faults')
    const settled = (id: string) => eventsOf(id, 'message.created').length + eventsOf(id, 'send.uncertain').length
    await waitFor(() => expect(ids.filter((id) => settled(id) === 0)).toEqual([]), {
      timeout: 60_000,
      interval: 200,
    })
    const calls = await Promise.all(ids.map(callsOf))
    expect(calls.map((of) => of.filter(({ outcome }) => outcome === 'accepted').length).filter((n) => n !== 1)).toEqual(
      [],
    )
    // The sender lived: it waited with what it knew, and nothing became uncertain.
    expect(ids.filter((id) => eventsOf(id, 'send.uncertain').length > 0)).toEqual([])
  }, 120_000)
})

describe('many commands of one number', () => {
  test('keep neither its urgent ones waiting, nor another company', async () => {
    const [busy, other] = [await configure(newCompany()), await configure(newCompany())]
    await Promise.all(
      Array.from({ length: 1_200 }, (_, n) =>
        operatorPublisher.publish({
          subject: subjects.sendCommand(busy.id, 'whatsapp'),
          msgId: randomUUID(),
          data: JSON.stringify(textCommand({ to: `6082${String(10_000 + n)}` })),
        }),
      ),
    )
    const [urgent, single] = await Promise.all([
      command(busy.id, textCommand({ priority: 'high' })),
      command(other.id, textCommand()),
    ])
    expect([urgent.status, single.status]).toEqual(['accepted', 'accepted'])
    const left = [...(await storedUnder(operator, COMMANDS, 'cmd.>'))].filter(
      ([subject]) => subject.includes(busy.id) || subject.includes(busy.number),
    )
    expect(left.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(600)
    // The others need not wait for the rest.
    const manager = await operator.raw.jetstreamManager()
    await manager.streams.purge(COMMANDS, { filter: subjects.sendCommand(busy.id, 'whatsapp') })
    await manager.streams.purge(COMMANDS, { filter: subjects.laneCommands(busy.number) })
  })
})

test('no text, phone number, token or key was ever logged', () => {
  const all = logged.join('')
  expect(all.length).toBeGreaterThan(1_000)
  for (const secret of ['Confidential words', 'Paco', '608684495', TOKEN, ADMIN_TOKEN, 'ck_'])
    expect(all).not.toContain(secret)
  expect(all).not.toMatch(/permissions violation/i)
})
