import { decodeEvent, encodeEvent, eventId, newEvent, type StoredEvent, subjects } from '@cloudapi2/contracts'
import { startNats, startPostgres, type TestServer } from '@cloudapi2/embedded'
import {
  applyTopology,
  asServerPermissions,
  BUCKETS,
  connectNats,
  createPublisher,
  EVENTS,
  type KvBucket,
  type Nats,
  openKv,
  type Publisher,
  permissions,
  trimmableLog,
} from '@cloudapi2/nats'
import { createRetentionStore, FOLDED_TYPES, migrate, openDatabase } from '@cloudapi2/read-model'
import { createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import { encodeCompanyRecord } from '@cloudapi2/tenants'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { tenantsWithoutSecrets } from '../access/tenants.client.ts'
import { startService } from '../service.app.ts'
import { applyRetention } from './apply-retention.handler.ts'
import { retentionMetrics } from './retention-metrics.ts'
import { trimLog } from './trim-log.handler.ts'

const DAY_MS = 86_400_000
const log = createLog({ service: 'projector', level: 'silent' })
let natsServer: TestServer
let postgres: TestServer
let operator: Nats
let publisher: Publisher
let tenantsBucket: KvBucket
let db: pg.Pool

const until = async (isSo: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> => {
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
      { user: 'projector', password: 'projector', permissions: asServerPermissions(permissions.projector) },
    ],
  })
  postgres = await startPostgres()
  operator = await connectNats({ url: natsServer.url.replace('//', '//operator:operator@'), name: 'operator', log })
  await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(operator, { timeoutMs: 5_000 })
  tenantsBucket = await openKv(operator, BUCKETS.tenants, log)
  await migrate(postgres.url)
  db = new pg.Pool({ connectionString: postgres.url, max: 4 })
})
afterAll(async () => {
  await db?.end()
  publisher?.close()
  await operator?.close()
  await natsServer?.stop()
  await postgres?.stop()
})
const running: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of running.splice(0)) await stop()
})

const connectAsProjector = async () => {
  const nats = await connectNats({
    url: natsServer.url.replace('//', '//projector:projector@'),
    name: 'projector',
    log,
  })
  const own = createPublisher(nats, { timeoutMs: 5_000 })
  const tenants = await tenantsWithoutSecrets(await openKv(nats, BUCKETS.tenants, log), log)
  const close = async () => {
    tenants.stop()
    own.close()
    await nats.close()
  }
  return { nats, publisher: own, tenants, close }
}

const startProjector = async (config: { retentionIntervalMs?: number; retentionBatch?: number } = {}) => {
  const { nats, publisher: own, tenants, close } = await connectAsProjector()
  const readiness = createReadiness()
  const metrics = createMetrics('projector')
  const service = startService({
    config: {
      adminToken: undefined,
      batchSize: 100,
      databaseUrl: postgres.url,
      poolSize: 4,
      retentionIntervalMs: 200,
      retentionBatch: 100,
      ...config,
    },
    log,
    metrics,
    readiness,
    nats,
    publisher: own,
    tenants,
  })
  running.push(async () => {
    await service.stop()
    await close()
  })
  await until(() => readiness.report().ready)
  return metrics
}

let companies = 0
const newCompany = async (retentionDays?: number): Promise<string> => {
  const id = `a9242a58-4f5d-494c-8a74-${String(++companies).padStart(12, '0')}`
  await keeps(id, retentionDays)
  return id
}
const keeps = (id: string, retentionDays?: number) =>
  tenantsBucket.put(
    id,
    encodeCompanyRecord({
      company_id: id,
      name: 'Bakery',
      custom_properties: retentionDays === undefined ? {} : { RETENTION_DAYS: retentionDays },
      api_keys: [],
      updated_at: '',
    }),
  )

const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString()
const received = async (company: string, messageId: string, time: string): Promise<void> => {
  const event = newEvent({
    id: eventId(company, 'message.created', messageId),
    source: '/webhook-gateway',
    type: 'message.created',
    subject: messageId,
    time,
    companyId: company,
    channel: 'whatsapp',
    recordedTime: new Date().toISOString(),
    data: {
      message_id: messageId,
      direction: 'inbound',
      kind: 'image',
      status: 'received',
      media: { id: `file-${messageId}` },
      chat_id: '34608684495',
      raw: {},
    },
  }) as StoredEvent
  await publisher.publish({
    subject: subjects.event(company, 'whatsapp', event.type),
    msgId: event.id,
    data: encodeEvent(event),
  })
}
const idsOf = async (company: string): Promise<string[]> =>
  (
    await db.query('select last_message_uid as id from public.external_messages where company_id = $1 order by 1', [
      company,
    ])
  ).rows.map(({ id }) => id)
const watermarkOf = async (company: string): Promise<string | undefined> =>
  (
    await db.query('select before from gateway.retention where company_id = $1', [company])
  ).rows[0]?.before.toISOString()

/** What the log was told of a company's retention. */
const toldOf = async (company: string) => {
  const manager = await operator.raw.jetstreamManager()
  const told = []
  for (let seq = 1; ; ) {
    const query = { seq, next_by_subj: subjects.event(company, 'system', 'retention.applied') } as never
    const found = await manager.streams.getMessage(EVENTS, query).catch((error: { api_error?: { code: number } }) => {
      if (error.api_error?.code === 404) return undefined
      throw error
    })
    if (found === undefined) return told
    const event = decodeEvent(found.data)
    if (event.type === 'retention.applied') told.push(event)
    seq = found.seq + 1
  }
}

describe('retention', () => {
  test('removes what is older than the company keeps it, and tells the log once', async () => {
    const company = await newCompany(14)
    const keeper = await newCompany()
    await received(company, 'wamid.old', daysAgo(15))
    await received(company, 'wamid.young', daysAgo(13))
    await received(keeper, 'wamid.old', daysAgo(3_000))
    await startProjector()
    await until(async () => (await toldOf(company)).length === 1)
    expect(await idsOf(company)).toEqual(['wamid.young'])
    const [event] = await toldOf(company)
    expect(event).toMatchObject({
      channel: 'system',
      subject: company,
      source: '/projector',
      data: { retention_days: 14, removed: { messages: 1, sends: 0, media: 1 } },
    })
    const before = event?.data.before ?? ''
    expect(event?.id).toBe(eventId(company, 'retention.applied', company, before))
    await until(async () => (await watermarkOf(company)) === before)

    // What comes late goes again; the next run shows that the one before is over.
    await received(company, 'wamid.late', daysAgo(20))
    await until(async () => (await timelineOf(company)).includes('wamid.late'))
    await until(async () => !(await timelineOf(company)).includes('wamid.late'))
    expect(await toldOf(company)).toHaveLength(1)
    expect(await idsOf(company)).toEqual(['wamid.young'])
    expect(await idsOf(keeper)).toEqual(['wamid.old'])
  })

  const timelineOf = async (company: string): Promise<string[]> =>
    (await db.query('select message_id as id from gateway.message_timeline where company_id = $1', [company])).rows.map(
      ({ id }) => id,
    )

  test('follows the days of a company when they change', async () => {
    const company = await newCompany()
    await received(company, 'wamid.1', daysAgo(10))
    await startProjector()
    await until(async () => (await idsOf(company)).length === 1)
    await keeps(company, 9)
    await until(async () => (await idsOf(company)).length === 0)
  })

  test('that cannot tell the log tells it the next time, of both', async () => {
    const company = await newCompany(14)
    await db.query(
      `insert into public.external_messages (last_message_uid, from_me, created_at, updated_at, company_id)
        select 'wamid.' || i, false, now() - interval '15 days', now(), $1 from generate_series(1, 3) i`,
      [company],
    )
    const { publisher: own, tenants, close } = await connectAsProjector()
    running.push(close)
    await until(() => tenants.isLoaded())
    const pool = openDatabase({ databaseUrl: postgres.url, poolSize: 2, applicationName: 'test', log })
    running.push(() => pool.end())
    let isAway = true
    const run = (nowMs: number) =>
      applyRetention({
        store: createRetentionStore(pool),
        tenants: { all: () => [...tenants.all()].filter(({ companyId }) => companyId === company) },
        publisher: {
          publish: (publication) => (isAway ? Promise.reject(new Error('no log')) : own.publish(publication)),
        },
        batchSize: 1,
        metrics: retentionMetrics(createMetrics('projector')),
        log,
        now: () => nowMs,
        stopping: new AbortController().signal,
      })()
    const now = Date.now()
    await expect(run(now)).rejects.toThrow('no log')
    expect(await idsOf(company)).toEqual([])
    expect(await toldOf(company)).toEqual([])
    isAway = false
    expect(await run(now + 3_600_000)).toBe(true)
    expect(await toldOf(company)).toMatchObject([{ data: { removed: { messages: 3 } } }])
    await run(now + 2 * 3_600_000)
    expect(await toldOf(company)).toHaveLength(1)
  })

  test('is done by one of several projectors', async () => {
    const company = await newCompany(14)
    const [one, two] = [await startProjector(), await startProjector()]
    for (let i = 0; i < 50; i++) await received(company, `wamid.${i}`, daysAgo(15))
    await until(async () => (await toldOf(company)).length > 0 && (await idsOf(company)).length === 0)
    for (const metrics of [one, two])
      expect(await metrics.registry.metrics()).not.toMatch(/retention_runs_total\{outcome="failed"/)
  })

  test('never holds up what comes in, however much there is to remove', async () => {
    const [large, other] = [await newCompany(), await newCompany()]
    await db.query(
      `insert into gateway.message_states (company_id, message_id, created_at, latest_at, status_rank)
        select $1, 'wamid.' || i, now() - interval '30 days' - i * interval '1 second', now(), 0 from generate_series(1, 30000) i`,
      [large],
    )
    await db.query(
      `insert into public.external_messages (id, last_message_uid, from_me, created_at, updated_at, company_id)
        select gen_random_uuid(), message_id, false, created_at, latest_at, company_id from gateway.message_states where company_id = $1`,
      [large],
    )
    const left = async () =>
      (await db.query('select count(*)::int as n from public.external_messages where company_id = $1', [large])).rows[0]
        .n
    await keeps(large, 14)
    await startProjector({ retentionBatch: 50 })
    await until(async () => (await left()) < 30_000)
    for (let i = 0; i < 300; i++) await received(other, `wamid.${i}`, new Date().toISOString())
    await until(async () => (await idsOf(other)).length === 300)
    // They were in while most of the old ones were still there.
    expect(await left()).toBeGreaterThan(1_000)
    await keeps(large)
  })
})

test('a consumer that an earlier version made is given the new type, and goes on where it is', async () => {
  const manager = await operator.raw.jetstreamManager()
  const company = await newCompany()
  await manager.consumers.delete(EVENTS, 'projector').catch(() => {}) // no projector was started yet
  await manager.consumers.add(EVENTS, {
    durable_name: 'projector',
    ack_policy: 'explicit' as never,
    deliver_policy: 'new' as never,
    max_ack_pending: 8_000,
    filter_subjects: FOLDED_TYPES.filter((type) => type !== 'retention.applied').map(subjects.eventsOfType),
  })
  await received(company, 'wamid.since', daysAgo(0))
  const { num_pending } = await manager.consumers.info(EVENTS, 'projector')
  expect(num_pending).toBe(1)
  await startProjector()
  await until(async () => (await idsOf(company)).length === 1)
  const { config, delivered } = await manager.consumers.info(EVENTS, 'projector')
  expect(config.filter_subjects).toContain('evt.*.*.retention.applied')
  expect(delivered.consumer_seq).toBeLessThan(5)
})

describe('the log', () => {
  test('is trimmed by age up to where the archive is, and no further', async () => {
    const company = await newCompany()
    await startProjector({ retentionIntervalMs: DAY_MS })
    await received(company, 'wamid.1', daysAgo(0))
    await until(async () => (await idsOf(company)).length === 1)
    const { first, last } = await trimmableLog(operator, EVENTS)
    const { nats, close } = await connectAsProjector()
    running.push(close)
    // An hour later everything is a minute old and more.
    const trim = trimLog({ nats, log, now: () => Date.now() + 3_600_000 })
    await trim()
    expect((await trimmableLog(operator, EVENTS)).first).toBe(first) // no age, nothing goes

    let position = last
    const stop = operator.respond(subjects.archivePosition, 'archiver', async ({ respond }) =>
      respond(JSON.stringify({ position, enabled: true, caught_up: true, anchored: position })),
    )
    running.push(async () => stop())
    await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 60_000 })
    position = first + 1
    await trim()
    expect((await trimmableLog(operator, EVENTS)).first).toBe(first + 2)
    stop()
    await trim()
    expect((await trimmableLog(operator, EVENTS)).first).toBe(first + 2)
  })
})
