import { createHash, randomBytes, randomUUID } from 'node:crypto'
import {
  decodeEvent,
  encodeEvent,
  eventId,
  type GatewayEvent,
  newEvent,
  type StoredEvent,
  subjects,
} from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { buildSimulator } from '@cloudapi2/graph-simulator'
import {
  ack,
  applyTopology,
  asServerPermissions,
  BUCKETS,
  type Consumer,
  connectNats,
  consumeEach,
  createPublisher,
  EVENTS,
  type KvBucket,
  MEDIA_BUCKET,
  type Nats,
  ObjectStoreUnavailable,
  openKv,
  openObjectBucket,
  type Publisher,
  permissions,
} from '@cloudapi2/nats'
import { createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import { createTenantDirectory, encodeCompanyRecord, hashApiKey, newApiKey, parseSecretsKeys } from '@cloudapi2/tenants'
import { createMediaClient } from '@cloudapi2/whatsapp'
import type { FastifyInstance } from 'fastify'
import { request } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MANY } from './fetching/attempt.ts'
import { mediaIndex } from './index/media-index.store.ts'
import { type Service, startService } from './service.app.ts'
import type { MediaStore } from './store/media-store.ts'
import { natsObjectStore } from './store/nats-objects.store.ts'

const ADMIN_TOKEN = 'an-admin-token-for-tests'
const TOPOLOGY = { replicas: 1, eventsMaxAgeMs: 0 }
/** As far as anybody looks into it, a picture. */
const PNG = Buffer.concat([
  Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890003000049444154', 'hex'),
  randomBytes(200_000),
])
const DAY_MS = 86_400_000
const silent = createLog({ service: 'media', level: 'silent' })

let natsServer: Awaited<ReturnType<typeof startNats>>
let simulator: FastifyInstance
let graphUrl: string
let operator: Nats
let publisher: Publisher
let tenantsBucket: KvBucket
let collector: Consumer
const events: GatewayEvent[] = []

const until = async <T>(fact: () => T | Promise<T>): Promise<NonNullable<T>> => {
  for (;;) {
    const value = await fact()
    if (value) return value as NonNullable<T>
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

beforeAll(async () => {
  natsServer = await startNats({
    users: [
      { user: 'operator', password: 'p' },
      { user: 'media', password: 'p', permissions: asServerPermissions(permissions.media) },
    ],
  })
  operator = await connectNats({ url: natsUrl('operator'), name: 'operator', log: silent })
  await applyTopology(operator, TOPOLOGY)
  publisher = createPublisher(operator, { timeoutMs: 5_000 })
  tenantsBucket = await openKv(operator, BUCKETS.tenants, silent)
  simulator = buildSimulator({ seed: 7 })
  graphUrl = await simulator.listen({ host: '127.0.0.1', port: 0 })
  collector = await consumeEach({
    nats: operator,
    log: silent,
    publisher,
    service: 'test',
    stream: EVENTS,
    durable: 'test',
    filterSubjects: ['evt.*.*.media.*'],
    concurrency: 1,
    handler: async ({ data }) => {
      events.push(decodeEvent(data))
      return ack
    },
  })
})
afterAll(async () => {
  await collector?.stop()
  publisher?.close()
  await operator?.close()
  await simulator?.close()
  await natsServer?.stop()
})
const natsUrl = (user: string) => `nats://${user}:p@127.0.0.1:${natsServer.port}`

const simulate = async (method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => {
  const { statusCode, body: answer } = await request(`${graphUrl}/simulate/${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const json = (await answer.json()) as Record<string, unknown>
  if (statusCode >= 300) throw new Error(`${path}: ${statusCode} ${JSON.stringify(json)}`)
  return json
}
const callsOf = async (type: string, companyId: string): Promise<number> => {
  const { body } = await request(`${graphUrl}/simulate/calls?type=${type}&company_id=${companyId}`)
  return ((await body.json()) as { calls: unknown[] }).calls.length
}

interface Company {
  id: string
  number: string
  token: string
  key: string
  keyThatSends: string
}
let companies = 0
/** A company that gateway, Meta and this service know. */
const newCompany = async (): Promise<Company> => {
  const n = ++companies
  const company = {
    id: randomUUID(),
    number: `67437238575${String(n).padStart(4, '0')}`,
    token: `EAAtoken${n}`,
    key: newApiKey().key,
    keyThatSends: newApiKey().key,
  }
  await configure(company)
  await simulate('PUT', 'tenants', {
    company_id: company.id,
    waba_id: `9${company.number}`,
    phone_numbers: [{ id: company.number, display_phone_number: '34910000000' }],
    access_token: company.token,
    app_secret: 's',
    verify_token: 'v',
    webhook_url: 'http://127.0.0.1:9/webhook',
  })
  return company
}
const configure = ({ id, number, key, keyThatSends }: Company, token?: string) =>
  tenantsBucket.put(
    id,
    encodeCompanyRecord({
      company_id: id,
      name: 'Bakery',
      custom_properties: {
        WHATSAPP_PHONE_NUMBER_ID: number,
        ...(token === '' ? {} : { WHATSAPP_ACCESS_TOKEN: token ?? `EAAtoken${companies}` }),
      },
      api_keys: [
        {
          id: randomUUID(),
          name: 'reader',
          hash: hashApiKey(key),
          scopes: ['read'],
          created_at: '2026-01-01T00:00:00Z',
        },
        {
          id: randomUUID(),
          name: 'sender',
          hash: hashApiKey(keyThatSends),
          scopes: ['send'],
          created_at: '2026-01-01T00:00:00Z',
        },
      ],
    } as never),
  )

/** Puts a file at Meta, as an inbound message would, and gives its id. */
const uploaded = async (company: Company, bytes: Buffer, mimeType: string): Promise<string> => {
  const { body } = await request(`${graphUrl}/v22.0/${company.number}/media`, {
    method: 'POST',
    headers: { authorization: `Bearer ${company.token}`, 'content-type': mimeType },
    body: bytes,
  })
  return ((await body.json()) as { id: string }).id
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

interface Sent {
  messageId: string
  mediaId: string
}
let messages = 0
/** Tells the log of a message with a file. */
const received = async (
  company: Company,
  mediaId: string,
  more: { kind?: string; media?: object; direction?: string; at?: number } = {},
): Promise<Sent> => {
  const messageId = `wamid.${++messages}`
  const event = newEvent({
    id: eventId(company.id, 'message.created', messageId),
    source: '/webhook-gateway',
    type: 'message.created',
    subject: messageId,
    time: new Date(more.at ?? Date.now()).toISOString(),
    companyId: company.id,
    channel: 'whatsapp',
    recordedTime: new Date().toISOString(),
    data: {
      message_id: messageId,
      direction: (more.direction ?? 'inbound') as 'inbound',
      phone_number_id: company.number,
      kind: more.kind ?? 'image',
      status: 'received',
      media: { id: mediaId, ...more.media },
      raw: {},
    },
  }) as StoredEvent
  await publisher.publish({
    subject: subjects.event(company.id, 'whatsapp', 'message.created'),
    msgId: event.id,
    data: encodeEvent(event),
  })
  return { messageId, mediaId }
}
/** A message with a file that Meta has. */
const receivedFile = async (
  company: Company,
  bytes: Buffer,
  mimeType = 'image/png',
  more: Parameters<typeof received>[2] = {},
): Promise<Sent> => {
  const media = { mime_type: mimeType, sha256: sha256(bytes).toString('base64'), ...more.media }
  return received(company, await uploaded(company, bytes, mimeType), { ...more, media })
}

const fact = (type: 'media.stored' | 'media.failed', { messageId }: Sent) =>
  until(
    () =>
      events.find((event) => event.type === type && event.subject === messageId)?.data as never as Record<
        string,
        unknown
      >,
  )
const stored = (sent: Sent) => fact('media.stored', sent)
const failed = (sent: Sent) => fact('media.failed', sent)

const running: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of running.splice(0)) await stop()
  await simulate('DELETE', 'media-faults')
})

/** One media service as main.ts puts it together, with the permissions of its own NATS user. */
const startMedia = async (
  change: { store?: (real: MediaStore) => MediaStore; maxInFlight?: number; pauseMs?: number } = {},
) => {
  const lines: Record<string, unknown>[] = []
  const log = createLog({ service: 'media', level: 'info' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const nats = await connectNats({ url: natsUrl('media'), name: 'media', log })
  const own = createPublisher(nats, { timeoutMs: 5_000 })
  const tenants = await createTenantDirectory({
    source: await openKv(nats, BUCKETS.tenants, log),
    keys: parseSecretsKeys(`k1:${Buffer.alloc(32).toString('base64')}`),
    log,
  })
  const channel = createMediaClient({ baseUrl: graphUrl, version: 'v22.0', timeoutMs: 2_000 })
  const realStore = natsObjectStore(openObjectBucket(nats, MEDIA_BUCKET, { timeoutMs: 5_000 }))
  const store = change.store?.(realStore) ?? realStore
  const indexBucket = await openKv(nats, BUCKETS.mediaIndex, log)
  const readiness = createReadiness()
  const metrics = createMetrics('media')
  const service: Service = startService({
    config: {
      adminToken: ADMIN_TOKEN,
      downloadTimeoutMs: 60_000,
      maxInFlight: change.maxInFlight ?? 16,
      pauseMs: change.pauseMs ?? 200,
      retries: { baseMs: 20, capMs: 100 },
    },
    log,
    metrics,
    readiness,
    nats,
    publisher: own,
    tenants,
    store,
    indexBucket,
    channel,
  })
  let isStopped = false
  const stop = async () => {
    if (isStopped) return
    isStopped = true
    await service.stop()
    await channel.close()
    tenants.stop()
    own.close()
    await nats.close()
  }
  running.push(stop)
  await until(() => readiness.report().ready)
  const get = async (
    company: Company,
    mediaId: string,
    headers: Record<string, string> = {},
    method: 'GET' | 'HEAD' = 'GET',
  ) => {
    const answer = await service.app.inject({
      method,
      url: `/companies/${company.id}/media/${mediaId}`,
      headers: { authorization: `Bearer ${company.key}`, ...headers },
    })
    return { status: answer.statusCode, headers: answer.headers, bytes: answer.rawPayload, json: () => answer.json() }
  }
  return { app: service.app, stop, lines, metrics, index: mediaIndex(indexBucket), store: realStore, get }
}

/** Once the index has followed. */
const served = (media: Awaited<ReturnType<typeof startMedia>>, company: Company, sent: Sent) =>
  until(async () => {
    const answer = await media.get(company, sent.mediaId)
    return answer.status === 200 ? answer : undefined
  })

describe('a file that a message carries', () => {
  test('is stored, told to the log, and served to the company byte for byte', async () => {
    const company = await newCompany()
    const media = await startMedia()
    const sent = await receivedFile(company, PNG, 'image/png', { media: { filename: 'café.png' } })
    expect(await stored(sent)).toEqual({
      message_id: sent.messageId,
      media_id: sent.mediaId,
      kind: 'image',
      phone_number_id: company.number,
      message_at: expect.stringMatching(/Z$/),
      filename: 'café.png',
      sha256: sha256(PNG).toString('hex'),
      size_bytes: PNG.length,
      mime_type: 'image/png',
    })
    const answer = await served(media, company, sent)
    expect(answer.bytes.equals(PNG)).toBe(true)
    expect(answer.headers).toMatchObject({
      'content-type': 'image/png',
      'content-length': String(PNG.length),
      'cache-control': 'private, no-cache',
      'x-content-type-options': 'nosniff',
      'content-disposition': `inline; filename="caf_.png"; filename*=UTF-8''caf%C3%A9.png`,
      etag: `"${sha256(PNG).toString('hex')}"`,
    })
    const line = media.lines.find(({ event, media_id }) => event === 'media.fetched' && media_id === sent.mediaId)
    expect(line).toMatchObject({ outcome: 'stored', company_id: company.id, size_bytes: PNG.length, attempts: 1 })
    expect(JSON.stringify(media.lines)).not.toContain(company.token)
  })

  test('sent from the business’s own phone is fetched; what this gateway sent is not', async () => {
    const company = await newCompany()
    await startMedia()
    const outbound = await receivedFile(company, randomBytes(1_000), 'image/png', { direction: 'outbound' })
    const echo = await receivedFile(company, PNG, 'image/png', { direction: 'echo' })
    await stored(echo)
    expect(events.some(({ subject }) => subject === outbound.messageId)).toBe(false)
    expect(await callsOf('media', company.id)).toBe(1)
  })

  test('that the company got before is not downloaded again', async () => {
    const company = await newCompany()
    await startMedia()
    await stored(await receivedFile(company, PNG))
    const again = await receivedFile(company, PNG)
    expect(await stored(again)).toMatchObject({ sha256: sha256(PNG).toString('hex'), mime_type: 'image/png' })
    expect(await callsOf('media.download', company.id)).toBe(1)
  })

  test('goes with its message when that is removed by age, unless a younger message carries it', async () => {
    const company = await newCompany()
    const media = await startMedia()
    const [old, forwarded, young] = [
      await receivedFile(company, randomBytes(1_000), 'image/png', { at: Date.now() - 3 * DAY_MS }),
      await receivedFile(company, PNG, 'image/png', { at: Date.now() - 3 * DAY_MS }),
      await receivedFile(company, PNG),
    ]
    for (const sent of [old, forwarded, young]) await served(media, company, sent)
    const before = new Date(Date.now() - DAY_MS).toISOString()
    const event = newEvent({
      id: eventId(company.id, 'retention.applied', company.id, before),
      source: '/projector',
      type: 'retention.applied',
      subject: company.id,
      time: before,
      companyId: company.id,
      channel: 'system',
      recordedTime: before,
      data: { before, retention_days: 1, removed: { messages: 2, sends: 0, media: 2 } },
    }) as StoredEvent
    await publisher.publish({
      subject: subjects.event(company.id, 'system', event.type),
      msgId: event.id,
      data: encodeEvent(event),
    })
    await until(async () => (await media.get(company, forwarded.mediaId)).status === 404)
    expect((await media.get(company, old.mediaId)).status).toBe(404)
    expect((await media.get(company, young.mediaId)).status).toBe(200)
    const { sha256: hash } = (await stored(old)) as { sha256: string }
    expect(await media.store.head(`${company.id}/${hash}`)).toBeUndefined()
  })

  test('is not fetched for a message that is older than the company keeps it', async () => {
    const company = await newCompany()
    await tenantsBucket.put(
      company.id,
      encodeCompanyRecord({
        company_id: company.id,
        name: 'Bakery',
        custom_properties: { WHATSAPP_ACCESS_TOKEN: company.token, RETENTION_DAYS: 1 },
        api_keys: [],
        updated_at: '',
      }),
    )
    await startMedia()
    const old = await receivedFile(company, randomBytes(1_000), 'image/png', { at: Date.now() - 2 * DAY_MS })
    const young = await receivedFile(company, PNG)
    await stored(young)
    expect(events.some(({ subject }) => subject === old.messageId)).toBe(false)
    expect(await callsOf('media', company.id)).toBe(1)
  })

  test('that another company has as well is that company’s own', async () => {
    const first = await newCompany()
    const media = await startMedia()
    const sent = await receivedFile(first, PNG)
    await stored(sent)
    const second = await newCompany()
    const others = await receivedFile(second, PNG)
    await stored(others)
    await media.store.delete(`${first.id}/${sha256(PNG).toString('hex')}`)
    expect((await served(media, second, others)).bytes.equals(PNG)).toBe(true)
    expect((await media.get(first, sent.mediaId)).json()).toMatchObject({ code: 'MEDIA_GONE', reason: 'removed' })
    // By its id through the other's door: unknown there.
    expect((await media.get(second, sent.mediaId)).status).toBe(404)
  })

  test.each(['base64', 'absent'])('is found sound when Meta’s hash is %s', async (form) => {
    const company = await newCompany()
    await simulate('POST', 'media-faults', { company_id: company.id, sha256_form: form })
    const media = await startMedia()
    const bytes = Buffer.concat([PNG, randomBytes(8)])
    const id = await uploaded(company, bytes, 'image/png')
    const sent = await received(company, id)
    expect(await stored(sent)).toMatchObject({ sha256: sha256(bytes).toString('hex'), size_bytes: bytes.length })
    expect((await served(media, company, sent)).bytes.equals(bytes)).toBe(true)
    expect(await media.store.head(`${company.id}/provisional-${id}`)).toBeUndefined()
  })
})

describe('what goes wrong at Meta', () => {
  test('an expired address is asked for again at once', async () => {
    const company = await newCompany()
    await simulate('POST', 'media-faults', { company_id: company.id, expired_urls: 1 })
    const media = await startMedia()
    const sent = await receivedFile(company, PNG)
    await stored(sent)
    expect(await callsOf('media', company.id)).toBe(2)
    const lines = media.lines.filter(({ event, media_id }) => event === 'media.fetched' && media_id === sent.mediaId)
    expect(lines).toMatchObject([{ outcome: 'stored', attempts: 1 }])
  })

  test.each([
    ['a look-up that answers 500', { lookup_5xx: 2 }],
    ['a look-up that does not find it yet', { lookup_missing: 2 }],
    ['a download that answers 503', { download_5xx: 2 }],
    ['a download that breaks off', { cut_off: 2 }],
    ['a hash that differs', { wrong_sha256: 2 }],
  ])('%s is tried again until it works, and nothing half remains', async (_, faults) => {
    const company = await newCompany()
    await simulate('POST', 'media-faults', { company_id: company.id, ...faults })
    const media = await startMedia()
    const bytes = Buffer.concat([PNG, randomBytes(8)])
    const sent = await receivedFile(company, bytes)
    expect(await stored(sent)).toMatchObject({ sha256: sha256(bytes).toString('hex') })
    expect(media.lines.filter(({ outcome, media_id }) => outcome === 'again' && media_id === sent.mediaId).length).toBe(
      2,
    )
    expect((await served(media, company, sent)).bytes.equals(bytes)).toBe(true)
    expect(await media.store.sweep(0)).toBe(0)
  })

  test('404 at a fresh address is final', async () => {
    const company = await newCompany()
    await simulate('POST', 'media-faults', { company_id: company.id, download_missing: 2 })
    const media = await startMedia()
    const sent = await receivedFile(company, randomBytes(1_000))
    expect(await failed(sent)).toMatchObject({ reason: 'not_found', media_id: sent.mediaId })
    const answer = await until(async () => {
      const { status, json } = await media.get(company, sent.mediaId)
      return status === 410 ? json() : undefined
    })
    expect(answer).toMatchObject({ code: 'MEDIA_GONE', reason: 'not_found' })
  })

  test.each([
    ['a hash that always differs', { wrong_sha256: 100 }, 'sha256_mismatch'],
    ['a file that is never found', { lookup_missing: 100 }, 'not_found'],
  ])('%s is given up after many attempts', async (_, faults, reason) => {
    const company = await newCompany()
    await simulate('POST', 'media-faults', { company_id: company.id, ...faults })
    const media = await startMedia()
    const bytes = randomBytes(1_000)
    const sent = await receivedFile(company, bytes)
    expect(await failed(sent)).toMatchObject({ reason })
    // The line follows the event.
    const attempts = await until(() =>
      media.lines.find(({ outcome, media_id }) => outcome === 'failed' && media_id === sent.mediaId),
    )
    expect(attempts).toMatchObject({ attempts: MANY })
    expect(await media.store.head(`${company.id}/${sha256(bytes).toString('hex')}`)).toBeUndefined()
  })

  test('a file larger than its kind may be is refused before it is downloaded', async () => {
    const company = await newCompany()
    await startMedia()
    const sent = await receivedFile(company, Buffer.alloc(6 * 1_048_576, 1), 'application/pdf', { kind: 'image' })
    expect(await failed(sent)).toMatchObject({ reason: 'too_large' })
    expect(await callsOf('media.download', company.id)).toBe(0)
  })

  test('after seven days nothing is asked for any more', async () => {
    const company = await newCompany()
    await startMedia()
    const sent = await receivedFile(company, randomBytes(1_000), 'image/png', { at: Date.now() - 7 * DAY_MS })
    expect(await failed(sent)).toMatchObject({ reason: 'expired' })
    expect(await callsOf('media', company.id)).toBe(0)
  })

  test('a file that cannot be had is given up at the deadline, by the message’s own time', async () => {
    const company = await newCompany()
    await simulate('POST', 'media-faults', { company_id: company.id, lookup_5xx: 1_000 })
    await startMedia()
    const sent = await receivedFile(company, randomBytes(1_000), 'image/png', { at: Date.now() - 7 * DAY_MS + 1_500 })
    expect(await failed(sent)).toMatchObject({ reason: 'expired' })
    expect(await callsOf('media', company.id)).toBeGreaterThan(0)
  })
})

describe('a company', () => {
  test('whose token is refused waits for another one, and nothing of it is lost', async () => {
    const company = await newCompany()
    await configure(company, 'EAArevoked')
    const media = await startMedia({ pauseMs: 300 })
    const sent = await Promise.all(Array.from({ length: 20 }, () => receivedFile(company, randomBytes(500))))
    await until(() => media.lines.some(({ outcome, company_id }) => outcome === 'paused' && company_id === company.id))
    expect((await media.get(company, (sent[0] as Sent).mediaId)).json()).toMatchObject({ code: 'MEDIA_NOT_STORED_YET' })
    expect(await (await media.metrics.registry.getSingleMetric('media_companies_paused'))?.get()).toMatchObject({
      values: [{ value: 1 }],
    })
    // One that works is not behind them.
    const other = await newCompany()
    await stored(await receivedFile(other, PNG))
    await configure(company, company.token)
    for (const one of sent) await stored(one)
    expect(events.some(({ type, companyid }) => type === 'media.failed' && companyid === company.id)).toBe(false)
  })

  test('without a token waits for one', async () => {
    const company = await newCompany()
    await configure(company, '')
    const media = await startMedia()
    const sent = await receivedFile(company, randomBytes(500))
    await until(async () => (await media.index.get(company.id, sent.mediaId))?.state === 'waiting')
    await configure(company, company.token)
    await stored(sent)
  })

  test('whose files come slowly has no place but its own', async () => {
    const slow = await newCompany()
    await simulate('POST', 'media-faults', { company_id: slow.id, bytes_per_second: 2_000 })
    const media = await startMedia({ maxInFlight: 16 })
    const sent = await Promise.all(Array.from({ length: 40 }, () => receivedFile(slow, randomBytes(20_000))))
    await until(() => callsOf('media', slow.id))
    const quick = await newCompany()
    for (const one of await Promise.all(Array.from({ length: 10 }, () => receivedFile(quick, randomBytes(20_000)))))
      await stored(one)
    // Each of the slow ones takes ten seconds: at most the first of them are through.
    expect(events.filter(({ companyid }) => companyid === slow.id).length).toBeLessThan(4)
    await simulate('POST', 'media-faults', { company_id: slow.id, bytes_per_second: null })
    await media.stop()
    await startMedia()
    for (const one of sent) await stored(one)
  })
})

describe('a service that stops', () => {
  test('halfway leaves nothing half, and the next one begins again', async () => {
    const company = await newCompany()
    await simulate('POST', 'media-faults', { company_id: company.id, bytes_per_second: 200_000 })
    const media = await startMedia()
    const bytes = Buffer.concat([PNG, randomBytes(800_000)])
    const sent = await receivedFile(company, bytes)
    await until(() => callsOf('media.download', company.id))
    await media.stop()
    expect(events.some(({ subject }) => subject === sent.messageId)).toBe(false)
    // Looked at before the next one starts, whose own upload is half for a moment too.
    expect(await openObjectBucket(operator, MEDIA_BUCKET, { timeoutMs: 5_000 }).sweep(0)).toBe(0)
    await simulate('DELETE', 'media-faults')
    const next = await startMedia()
    await stored(sent)
    expect((await served(next, company, sent)).bytes.equals(bytes)).toBe(true)
  })

  test('between storing and telling tells the same fact when it comes again', async () => {
    const company = await newCompany()
    const sentBefore = events.length
    // The first put works and its confirmation is lost, as when the process is killed right after.
    let isFirst = true
    const media = await startMedia({
      store: (real) => ({
        ...real,
        put: async (...args) => {
          const content = await real.put(...args)
          if (!isFirst) return content
          isFirst = false
          throw new ObjectStoreUnavailable('media', 'lost')
        },
      }),
    })
    const bytes = randomBytes(1_000)
    const sent = await receivedFile(company, bytes)
    await stored(sent)
    expect((await served(media, company, sent)).bytes.equals(bytes)).toBe(true)
    expect(events.slice(sentBefore).filter(({ subject }) => subject === sent.messageId).length).toBe(1)
    expect(await callsOf('media.download', company.id)).toBe(1)
  })
})

describe('the index', () => {
  test('can be made anew from the log', async () => {
    const company = await newCompany()
    const media = await startMedia()
    const sent = await receivedFile(company, PNG)
    await served(media, company, await stored(sent).then(() => sent))
    await media.stop()
    const bucket = await openKv(operator, BUCKETS.mediaIndex, silent)
    await bucket.delete(`${company.id}.${sent.mediaId}`)
    await (await operator.raw.jetstreamManager()).consumers.delete(EVENTS, 'media-index')
    const next = await startMedia()
    expect((await served(next, company, sent)).bytes.equals(PNG)).toBe(true)
  })
})

describe('serving', () => {
  test('asks for a key of the company with the scope read', async () => {
    const company = await newCompany()
    const other = await newCompany()
    const media = await startMedia()
    const sent = await receivedFile(company, PNG)
    await served(media, company, await stored(sent).then(() => sent))
    const as = async (token: string) =>
      (await media.get(company, sent.mediaId, { authorization: `Bearer ${token}` })).status
    expect(await Promise.all([as(company.key), as(ADMIN_TOKEN)])).toEqual([200, 200])
    expect(await Promise.all([as('nobody'), as(other.key), as(company.keyThatSends)])).toEqual([401, 403, 403])
    expect((await media.get(company, '123')).json()).toMatchObject({ status: 404, code: 'UNKNOWN_MEDIA' })
  })

  test('gives parts, headers alone, and nothing to who has it', async () => {
    const company = await newCompany()
    const media = await startMedia()
    const sent = await receivedFile(company, PNG)
    await served(media, company, await stored(sent).then(() => sent))
    const get = (headers: Record<string, string>, method?: 'HEAD') => media.get(company, sent.mediaId, headers, method)

    const part = await get({ range: 'bytes=131000-131999' })
    expect([part.status, part.headers['content-range']]).toEqual([206, `bytes 131000-131999/${PNG.length}`])
    expect(part.bytes.equals(PNG.subarray(131_000, 132_000))).toBe(true)
    const end = await get({ range: 'bytes=-10' })
    expect(end.bytes.equals(PNG.subarray(-10))).toBe(true)
    const beyond = await get({ range: `bytes=${PNG.length}-` })
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, `bytes */${PNG.length}`])

    const tag = `"${sha256(PNG).toString('hex')}"`
    const known = await get({ 'if-none-match': `"other", W/${tag}` })
    expect([known.status, known.bytes.length]).toEqual([304, 0])
    expect((await get({ range: 'bytes=0-0', 'if-range': '"other"' })).bytes.length).toBe(PNG.length)

    const head = await get({}, 'HEAD')
    expect([head.status, head.headers['content-length'], head.bytes.length]).toEqual([200, String(PNG.length), 0])
  })

  test.each([
    ['a page that calls itself a picture', 'image/png', 'image', '<html><script>alert(1)</script>'],
    ['a page', 'text/html', 'document', '<html><script>alert(1)</script>'],
    [
      'a drawing with a script',
      'image/svg+xml',
      'document',
      '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    ],
  ])('%s is nothing that a browser runs', async (_, mimeType, kind, text) => {
    const company = await newCompany()
    const media = await startMedia()
    const body = {
      company_id: company.id,
      from: '34608684495',
      media: { kind, mime_type: mimeType, base64: Buffer.from(text).toString('base64') },
    }
    // Meta's own door for uploads takes no such types; what people send may be anything.
    await simulate('POST', 'inbound', body)
    const id = await until(async () => lastMediaId())
    const sent = await received(company, id, { kind, media: { mime_type: mimeType } })
    const fact = await stored(sent)
    const { headers } = await served(media, company, sent)
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-disposition': `attachment; filename="${id}"`,
    })
    if (mimeType === 'image/png') expect(fact).toMatchObject({ claimed_mime_type: 'image/png' })
  })
})

/** Of what `/simulate/inbound` put at Meta last: ids are consecutive. */
const lastMediaId = async (): Promise<string> =>
  String(Number(await uploaded(await newCompany(), PNG, 'image/png')) - 1)
