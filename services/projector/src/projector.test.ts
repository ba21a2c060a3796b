import { encodeEvent, eventId, type GatewayEvent, newEvent, type StoredEvent, subjects } from '@cloudapi2/contracts'
import { startNats, startPostgres, type TestServer } from '@cloudapi2/embedded'
import {
  applyTopology,
  asServerPermissions,
  BUCKETS,
  connectNats,
  createPublisher,
  type KvBucket,
  type Nats,
  openKv,
  type Publisher,
  permissions,
} from '@cloudapi2/nats'
import { createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import { encodeCompanyRecord, newApiKey } from '@cloudapi2/tenants'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { tenantsWithoutSecrets } from './access/tenants.client.ts'
import { type Service, startService } from './service.app.ts'

const SOLVIFY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b1f0a0de-0000-4000-8000-00000000000b'
const PACO = '34608684495'
const ADMIN_TOKEN = 'an-admin-token-for-tests'
const TOPOLOGY = { replicas: 1, eventsMaxAgeMs: 0 }

let natsServer: TestServer
let postgres: TestServer
let operator: Nats
let publisher: Publisher
let db: pg.Pool
const log = createLog({ service: 'projector', level: 'silent' })

const until = async (isSo: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> => {
  const deadline = performance.now() + timeoutMs
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('it did not come about in time')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

beforeAll(async () => {
  natsServer = await startNats({
    users: [
      { user: 'operator', password: 'operator' },
      {
        user: 'projector',
        password: 'projector',
        permissions: asServerPermissions(permissions.projector),
      },
    ],
  })
  postgres = await startPostgres()
  operator = await connectNats({ url: natsServer.url.replace('//', '//operator:operator@'), name: 'operator', log })
  await applyTopology(operator, TOPOLOGY)
  publisher = createPublisher(operator, { timeoutMs: 5_000 })
  db = new pg.Pool({ connectionString: postgres.url, max: 2 })
  db.on('error', () => {}) // it is killed in a test
})
afterAll(async () => {
  await db?.end()
  publisher?.close()
  await operator?.close()
  await natsServer?.stop()
  await postgres?.stop()
})

/** One projector as main.ts puts it together, with the permissions of its own NATS user. */
const startProjector = async (config: { databaseUrl?: string; batchSize?: number } = {}) => {
  const lines: Record<string, unknown>[] = []
  const ownLog = createLog(
    { service: 'projector', level: 'info' },
    { write: (line) => void lines.push(JSON.parse(line)) },
  )
  const nats = await connectNats({
    url: natsServer.url.replace('//', '//projector:projector@'),
    name: 'projector',
    log: ownLog,
  })
  const own = createPublisher(nats, { timeoutMs: 5_000 })
  const tenants = await tenantsWithoutSecrets(await openKv(nats, BUCKETS.tenants, ownLog), ownLog)
  const readiness = createReadiness()
  const metrics = createMetrics('projector')
  const service: Service = startService({
    config: {
      adminToken: ADMIN_TOKEN,
      batchSize: 100,
      databaseUrl: postgres.url,
      poolSize: 4,
      retentionIntervalMs: 3_600_000,
      retentionBatch: 100,
      ...config,
    },
    log: ownLog,
    metrics,
    readiness,
    nats,
    publisher: own,
    tenants,
  })
  const stop = async () => {
    await service.stop()
    tenants.stop()
    own.close()
    await nats.close()
  }
  running.push(stop)
  return { app: service.app, readiness, metrics, lines, isReady: () => readiness.report().ready }
}
const running: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of running.splice(0)) await stop()
})

type MessageType = 'message.created' | 'status.updated'
const event = (type: MessageType, messageId: string, data: object, distinct = '', company = SOLVIFY): GatewayEvent =>
  newEvent({
    id: eventId(company, type, messageId, distinct),
    source: '/webhook-gateway',
    type,
    subject: messageId,
    time: '2026-11-24T08:15:30.000Z',
    companyId: company,
    channel: 'whatsapp',
    recordedTime: new Date().toISOString(),
    data: { message_id: messageId, phone_number_id: '674372385752523', chat_id: PACO, raw: {}, ...data } as never,
  }) as GatewayEvent
const received = (messageId: string, text = 'Hola', company = SOLVIFY) =>
  event(
    'message.created',
    messageId,
    { direction: 'inbound', kind: 'text', text, status: 'received', contact: { phone: PACO } },
    '',
    company,
  )
const sent = (messageId: string) =>
  event('message.created', messageId, { direction: 'outbound', kind: 'text', text: 'Hola', status: 'accepted' })
const status = (messageId: string, value: string) => event('status.updated', messageId, { status: value }, value)

const store = (events: readonly GatewayEvent[]) =>
  Promise.all(
    events.map((e) =>
      publisher.publish({
        subject: subjects.event(e.companyid, e.channel, e.type),
        msgId: e.id,
        data: encodeEvent(e as StoredEvent),
      }),
    ),
  )
const count = async (table: string, where = 'true'): Promise<number> =>
  (await db.query(`select count(*)::int as n from ${table} where ${where}`)).rows[0].n
const uniquely = (name: string) => `wamid.${name}.${Math.random().toString(36).slice(2)}`
const deadLetters = async () => {
  const { subjects: found } = (
    await (await operator.raw.jetstreamManager()).streams.info('DEADLETTERS', { subjects_filter: '>' })
  ).state
  return found ?? {}
}
const statusOf = async (messageId: string) =>
  (await db.query('select status from public.external_messages where last_message_uid = $1', [messageId])).rows[0]
    ?.status

describe('the projection', () => {
  test('becomes ready by itself and turns events into rows', async () => {
    const { isReady, metrics } = await startProjector()
    const id = uniquely('first')
    await store([status(id, 'read'), sent(id), status(id, 'sent')])
    await until(isReady)
    await until(async () => (await count('gateway.message_timeline', `message_id = '${id}'`)) === 3)
    expect(await statusOf(id)).toBe('read')
    // Counted after the commit that made the row visible.
    await until(async () =>
      /projector_events_total\{type="status.updated".*\} 2/.test(await metrics.registry.metrics()),
    )
    expect(await metrics.registry.metrics()).toMatch(/projector_lag_seconds_count.* 3/)
  })

  test('a poison event among good ones is a dead letter, and only it', async () => {
    await startProjector()
    const ids = Array.from({ length: 40 }, (_, i) => uniquely(`good${i}`))
    await until(async () => (await count('pg_tables', "tablename = 'message_details'")) === 1)
    await db.query("alter table public.external_messages add constraint refusal check (message <> 'poison')")
    const poison = received(uniquely('poison'), 'poison')
    const unreadable = received(uniquely('unreadable'))
    const good = ids.map((id) => received(id))
    const broken = { ...unreadable, data: { ...unreadable.data, kind: 7 } } as never as GatewayEvent
    const tooLong = received('x'.repeat(900))
    await store([...good.slice(0, 20), poison, broken, tooLong, ...good.slice(20)])
    await publisher.publish({
      subject: subjects.event(OTHER, 'whatsapp', 'message.created'),
      msgId: 'no json',
      data: '{"a":',
    })
    await until(async () => (await count('public.external_messages', "last_message_uid like 'wamid.good%'")) === 40)
    await until(async () => (await deadLetters())[`dlq.projector.${SOLVIFY}`] === 3)
    await until(async () => (await deadLetters())[`dlq.projector.${OTHER}`] === 1)
    const manager = await operator.raw.jetstreamManager()
    const codes: string[] = []
    for (let seq = 1; seq <= 4; seq++) {
      const letter = await manager.streams.getMessage('DEADLETTERS', { seq })
      codes.push(letter.header.get('Code'))
      expect(letter.header.get('Reason')).not.toContain('poison')
    }
    expect(codes.sort()).toEqual(['ROW_REFUSED', 'UNFOLDABLE_EVENT', 'UNREADABLE_EVENT', 'UNREADABLE_EVENT'])
    await db.query('alter table public.external_messages drop constraint refusal')
  })

  test('events of no company leave no trace', async () => {
    await startProjector()
    const nobody = received(uniquely('nobody'), 'Hola', '_')
    const last = received(uniquely('last'))
    await store([nobody])
    await store([last])
    await until(async () => (await count('public.external_messages', `last_message_uid = '${last.subject}'`)) === 1)
    expect(await count('gateway.message_timeline', `message_id = '${nobody.subject}'`)).toBe(0)
    await until(async () => (await pending()) === 0)
  })

  const pending = async () => {
    const { num_pending, num_ack_pending } = await (await operator.raw.jetstreamManager()).consumers.info(
      'EVENTS',
      'projector',
    )
    return num_pending + num_ack_pending
  }

  test('two projectors share the work, whatever their batches, and each row is right', async () => {
    const before = await count('public.external_messages')
    const [one, two] = [await startProjector({ batchSize: 20 }), await startProjector({ batchSize: 35 })]
    await until(() => one.isReady() && two.isReady())
    const ids = Array.from({ length: 400 }, (_, i) => uniquely(`shared${i}`))
    await store(ids.flatMap((id) => [status(id, 'read'), sent(id), status(id, 'delivered'), status(id, 'sent')]))
    await until(async () => (await pending()) === 0)
    expect(await count('public.external_messages')).toBe(before + 400)
    expect(await count('public.external_messages', "last_message_uid like 'wamid.shared%' and status = 'read'")).toBe(
      400,
    )
    for (const { metrics } of [one, two])
      expect(await metrics.registry.metrics()).toMatch(/projector_events_total\{type="status.updated"/)
  })

  test('nothing is lost when PostgreSQL is killed in the middle, and the service comes back by itself', async () => {
    const projector = await startProjector({ batchSize: 50 })
    await until(projector.isReady)
    const ids = Array.from({ length: 3_000 }, (_, i) => uniquely(`killed${i}`))
    const stored = store(ids.flatMap((id) => [sent(id), status(id, 'delivered')]))
    await until(async () => (await count('public.external_messages', "last_message_uid like 'wamid.killed%'")) > 200)
    await postgres.kill()
    await until(() => !projector.isReady())
    expect(projector.readiness.report().checks.postgres).toMatchObject({ ok: false })
    await postgres.restart()
    await stored
    await until(projector.isReady)
    await until(async () => (await pending()) === 0)
    expect(
      await count('public.external_messages', "last_message_uid like 'wamid.killed%' and status = 'delivered'"),
    ).toBe(3_000)
    expect(await count('gateway.message_timeline', "message_id like 'wamid.killed%'")).toBe(6_000)
    expect((await deadLetters())[`dlq.projector.${SOLVIFY}`] ?? 0).toBeLessThanOrEqual(3)
  })

  test('a database that is away at the start is waited for, and the reason told', async () => {
    const { readiness, isReady, app } = await startProjector({ databaseUrl: 'postgres://u:secreto@127.0.0.1:1/none' })
    await until(() => readiness.report().checks.migrations?.reason !== 'not run yet')
    expect(isReady()).toBe(false)
    const { statusCode, body } = await app.inject('/readyz')
    expect(statusCode).toBe(503)
    expect(body).toContain('ECONNREFUSED')
    expect(body).not.toContain('secreto')
    expect((await app.inject('/healthz')).statusCode).toBe(200)
  })
})

describe('the read API', () => {
  const reader = newApiKey()
  const sender = newApiKey()
  const stranger = newApiKey()
  let kv: KvBucket

  beforeAll(async () => {
    kv = await openKv(operator, BUCKETS.tenants, log)
    const company = (company_id: string, keys: [ReturnType<typeof newApiKey>, string][]) =>
      kv.put(
        company_id,
        encodeCompanyRecord({
          company_id,
          name: 'Solvify',
          custom_properties: { WHATSAPP_ACCESS_TOKEN: `sealed:v1:k1:${'A'.repeat(50)}` },
          api_keys: keys.map(([{ hash }, scope], i) => ({ id: String(i), name: '', scopes: [scope], hash })),
          updated_at: '',
        }),
      )
    await company(SOLVIFY, [
      [reader, 'read'],
      [sender, 'send'],
    ])
    await company(OTHER, [[stranger, 'read']])
  })

  const get = async (app: Service['app'], path: string, token?: string) => {
    const answer = await app.inject({
      url: path,
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    })
    return { status: answer.statusCode, type: answer.headers['content-type'], body: answer.json() }
  }

  test('is for the keys of the company with the scope read, and for the operator', async () => {
    const { app, isReady, lines } = await startProjector()
    await until(isReady)
    const path = `/companies/${SOLVIFY}/messages?limit=1`
    expect(await get(app, path)).toMatchObject({
      status: 401,
      body: { code: 'UNAUTHENTICATED' },
      type: 'application/problem+json; charset=utf-8',
    })
    expect(await get(app, path, 'ck_unknownunknownunknownunknown')).toMatchObject({ status: 401 })
    expect(await get(app, path, stranger.key)).toMatchObject({ status: 403, body: { code: 'COMPANY_OF_ANOTHER_KEY' } })
    expect(await get(app, path, sender.key)).toMatchObject({ status: 403, body: { code: 'SCOPE_MISSING' } })
    expect(await get(app, path, reader.key)).toMatchObject({ status: 200 })
    expect(await get(app, path, ADMIN_TOKEN)).toMatchObject({ status: 200 })
    expect(await get(app, '/companies/ACME/messages', ADMIN_TOKEN)).toMatchObject({
      status: 400,
      body: { fields: [{ path: 'company_id' }] },
    })
    // Its secrets stay sealed, and that is no error here.
    expect(lines.filter(({ event: name }) => String(name).startsWith('tenants.'))).toEqual([
      expect.objectContaining({ event: 'tenants.loaded', count: 2 }),
    ])
  })

  test('lists messages by page, and one with its timeline by the id of the channel', async () => {
    const { app, isReady } = await startProjector()
    const ids = [1, 2, 3].map((i) => `wamid.HB/gL=+${uniquely(`api${i}`)}`)
    const [first] = ids as [string]
    await store([...ids.map((id) => received(id, 'Hola', OTHER))])
    await until(isReady)
    await until(async () => (await count('public.external_messages', `company_id = '${OTHER}'`)) === 3)
    const seen: string[] = []
    let cursor = ''
    do {
      const { body } = await get(
        app,
        `/companies/${OTHER}/messages?limit=2&chat_id=${PACO}&from_me=false${cursor}`,
        stranger.key,
      )
      seen.push(...body.messages.map(({ message_id }: { message_id: string }) => message_id))
      cursor = body.next_cursor === null ? '' : `&cursor=${body.next_cursor}`
    } while (cursor !== '')
    expect(seen.sort()).toEqual(ids.sort())
    const one = await get(app, `/companies/${OTHER}/messages/${encodeURIComponent(first)}`, stranger.key)
    expect(one).toMatchObject({
      status: 200,
      body: { message: 'Hola', timeline: [{ type: 'message.created' }], statuses: [] },
    })
    expect(await get(app, `/companies/${OTHER}/messages/${one.body.id}`, stranger.key)).toEqual(one)
    expect(await get(app, `/companies/${SOLVIFY}/messages/${encodeURIComponent(first)}`, reader.key)).toMatchObject({
      status: 404,
      body: { code: 'UNKNOWN_MESSAGE' },
    })
  })

  test('lists the commands of a company, the refused ones too', async () => {
    const { app, isReady } = await startProjector()
    const commandId = uniquely('command')
    await store([
      newEvent({
        id: eventId(OTHER, 'send.failed', commandId),
        source: '/sender',
        type: 'send.failed',
        subject: commandId,
        time: '2026-11-24T08:15:31.000Z',
        companyId: OTHER,
        channel: 'whatsapp',
        recordedTime: '2026-11-24T08:15:31.000Z',
        data: { command_id: commandId, attempts: 1, error: { code: 131047, title: 'Re-engagement message' } },
      }) as GatewayEvent,
    ])
    await until(isReady)
    await until(async () => (await count('gateway.sends', `command_id = '${commandId}'`)) === 1)
    expect(await get(app, `/companies/${OTHER}/sends?status=failed`, stranger.key)).toMatchObject({
      status: 200,
      body: { sends: [{ command_id: commandId, error: { code: 131047 } }], next_cursor: null },
    })
    expect(await get(app, `/companies/${OTHER}/sends?status=lost`, stranger.key)).toMatchObject({
      status: 400,
      body: { fields: [{ path: 'status' }] },
    })
    expect(await get(app, `/companies/${OTHER}/sends`, reader.key)).toMatchObject({ status: 403 })
  })

  test('names the parameters that are wrong, and none of their values', async () => {
    const { app, isReady } = await startProjector()
    await until(isReady)
    const query =
      'limit=201&since=yesterday&direction=up&from_me=1&cursor=secreto&chat_id=%00&status=a&status=b&colour=red'
    const { status: code, body } = await get(app, `/companies/${SOLVIFY}/messages?${query}`, reader.key)
    expect(code).toBe(400)
    expect(body.fields.map(({ path }: { path: string }) => path).sort()).toEqual(
      ['chat_id', 'colour', 'cursor', 'direction', 'from_me', 'limit', 'since', 'status'].sort(),
    )
    expect(JSON.stringify(body)).not.toContain('secreto')
  })

  test('says so when the database is away', async () => {
    const { app, readiness } = await startProjector({ databaseUrl: 'postgres://u:p@127.0.0.1:1/none' })
    await until(() => readiness.report().checks.tenants?.ok === true)
    expect(await get(app, `/companies/${SOLVIFY}/messages`, reader.key)).toMatchObject({
      status: 503,
      body: { code: 'DATABASE_UNAVAILABLE' },
    })
  })
})

describe('the latest conversation', () => {
  test('is told to whoever asks over NATS', async () => {
    const { isReady } = await startProjector()
    await until(isReady)
    const ask = async (question: unknown) =>
      JSON.parse(
        new TextDecoder().decode(await operator.request(subjects.latestConversation, JSON.stringify(question), 5_000)),
      )
    const id = uniquely('conversation')
    await store([
      event('message.created', id, {
        direction: 'inbound',
        kind: 'text',
        status: 'received',
        chat_id: '34611111111',
        contact: { phone: '34611111111' },
      }),
    ])
    await until(async () => (await count('public.external_messages', `last_message_uid = '${id}'`)) === 1)
    expect(await ask({ phone: '+34 611 111 111' })).toEqual({ company_id: SOLVIFY, phone_number_id: '674372385752523' })
    expect(await ask({ phone: '34999999999' })).toEqual({})
    expect(await ask({})).toEqual({})
    expect(await ask(null)).toEqual({})
  })
})
