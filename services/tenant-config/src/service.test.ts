import { randomBytes, randomUUID } from 'node:crypto'
import { decodeEvent, type GatewayEvent } from '@cloudapi2/contracts'
import { type NatsUser, startNats, startPostgres, type TestServer } from '@cloudapi2/embedded'
import {
  applyTopology,
  asServerPermissions,
  BUCKETS,
  connectNats,
  createPublisher,
  type KvBucket,
  type Nats,
  openKv,
  permissions,
  requireTopology,
} from '@cloudapi2/nats'
import { createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import {
  type ConfiguredCompany,
  createTenantDirectory,
  parseSecretsKeys,
  sealProperties,
  type TenantDirectory,
} from '@cloudapi2/tenants'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startService } from './service.app.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

/** In every secret planted below, and nowhere else: it must not be found anywhere but here. */
const PLANTED = 'Zq9Zq9'
const planted = (name: string) => `${PLANTED}-${name}-${randomBytes(6).toString('hex')}`

const ADMIN_TOKEN = 'an-admin-token-for-tests'
const OLD_KEY = `old:${randomBytes(32).toString('base64')}`
const NEW_KEY = `new:${randomBytes(32).toString('base64')}`
const secretsKeys = parseSecretsKeys(`${NEW_KEY},${OLD_KEY}`)
const topology = { replicas: 1, eventsMaxAgeMs: 0 }
const WITHIN = { timeout: 15_000, interval: 20 }
const NEVER_MS = 3_600_000

const users: NatsUser[] = [
  { user: 'admin', password: 'admin-password' },
  {
    user: 'tenant-config',
    password: 'service-password',
    permissions: asServerPermissions(permissions['tenant-config']),
  },
]

let natsServer: TestServer
let postgres: TestServer
let admin: Nats
let kv: KvBucket
let sql: pg.Pool
let directory: TenantDirectory
/** Everything the services under test logged, and every body they answered with. */
const output: string[] = []
const stops = new Set<() => Promise<void>>()

const natsUrl = (user: string, password: string) => natsServer.url.replace('nats://', `nats://${user}:${password}@`)
const quiet = createLog({ service: 'test', level: 'fatal' })

type Service = Awaited<ReturnType<typeof start>>

const start = async ({ compareIntervalMs = NEVER_MS, keys = secretsKeys, databaseUrl = postgres.url } = {}) => {
  const log = createLog({ service: 'tenant-config', level: 'trace' }, { write: (line) => void output.push(line) })
  const nats = await connectNats({ url: natsUrl('tenant-config', 'service-password'), name: 'tenant-config', log })
  await requireTopology(nats, topology)
  const publisher = createPublisher(nats, { timeoutMs: 2_000 })
  const readiness = createReadiness()
  const service = startService({
    config: { databaseUrl, poolSize: 5, adminToken: ADMIN_TOKEN, secretsKeys: keys, compareIntervalMs },
    log,
    nats,
    publisher,
    kv: await openKv(nats, BUCKETS.tenants, log),
    metrics: createMetrics('tenant-config'),
    readiness,
  })
  const stop = async () => {
    stops.delete(stop)
    await service.stop()
    publisher.close()
    await nats.close()
  }
  stops.add(stop)
  const call = async (
    method: 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE',
    url: string,
    body?: unknown,
    headers = {},
  ) => {
    const response = await service.app.inject({
      method,
      url,
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...headers },
      ...(body === undefined ? {} : { payload: body as object }),
    })
    output.push(response.body)
    return {
      status: response.statusCode,
      headers: response.headers,
      text: response.body,
      body: (response.body === '' ? undefined : JSON.parse(response.body)) as Record<string, unknown>,
    }
  }
  const isReady = () => readiness.report().ready
  return { call, stop, isReady, readiness, app: service.app }
}

const ready = async (service: Service) => {
  await waitFor(() => expect(service.readiness.report()).toMatchObject({ ready: true }), WITHIN)
  return service
}

const company = (rest: object = {}) => ({
  name: 'Solvify',
  custom_properties: {
    WHATSAPP_ACCESS_TOKEN: planted('token'),
    WHATSAPP_APP_SECRET: planted('app'),
    WHATSAPP_VERIFY_TOKEN: planted('verify'),
    WHATSAPP_PHONE_NUMBER_ID: String(Math.floor(Math.random() * 1e15)),
    ...rest,
  },
})

const tenantOf = (companyId: string) => directory.get(companyId)

/** What is stored of one stream, from the first message to the last. */
const stored = async (stream: string): Promise<Uint8Array[]> => {
  const manager = await admin.raw.jetstreamManager()
  const { state } = await manager.streams.info(stream)
  const bodies: Uint8Array[] = []
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(stream, { seq }).catch(() => undefined) // gone from the history
    if (message !== undefined) bodies.push(message.data)
  }
  return bodies
}

const eventsOf = async (companyId: string): Promise<GatewayEvent[]> =>
  (await stored('EVENTS')).map((body) => decodeEvent(body)).filter(({ companyid }) => companyid === companyId)

const rowOf = async (companyId: string) =>
  (await sql.query('select name, custom_properties from public.companies where id = $1', [companyId])).rows[0] as
    | { name: string; custom_properties: Record<string, unknown> }
    | undefined

const insert = (companyId: string, { name, custom_properties }: ReturnType<typeof company>) =>
  sql.query('insert into public.companies (id, name, custom_properties) values ($1, $2, $3)', [
    companyId,
    name,
    JSON.stringify(custom_properties),
  ])

const record = async (companyId: string) => {
  const entry = await kv.get(companyId)
  return entry && (JSON.parse(new TextDecoder().decode(entry.value)) as ConfiguredCompany & { removed?: true })
}

beforeAll(async () => {
  ;[natsServer, postgres] = await Promise.all([startNats({ users }), startPostgres({ durable: true })])
  admin = await connectNats({ url: natsUrl('admin', 'admin-password'), name: 'test', log: quiet })
  await applyTopology(admin, topology)
  kv = await openKv(admin, BUCKETS.tenants, quiet)
  sql = new pg.Pool({ connectionString: postgres.url, max: 3 })
  sql.on('error', () => {}) // the server is killed on purpose below
  directory = await createTenantDirectory({ source: kv, keys: secretsKeys, log: quiet })
})

afterAll(async () => {
  for (const stop of stops) await stop()
  directory?.stop()
  await sql?.end()
  await admin?.close()
  await Promise.all([natsServer?.stop(), postgres?.stop()])
})

describe('the admin API', () => {
  let service: Service
  let id: string
  let body: ReturnType<typeof company>

  beforeAll(async () => {
    // As another program would have made it, before this service ever ran: without defaults, and with more columns.
    await sql.query('create table public.companies (id uuid primary key, name text not null, tax_id text)')
    service = await ready(await start())
    id = randomUUID()
    body = company()
  })
  afterAll(() => service.stop())

  test.each([
    ['no token', {}],
    ['a wrong token', { authorization: 'Bearer an-admin-token-for-testz' }],
    ['another scheme', { authorization: `Basic ${ADMIN_TOKEN}` }],
  ])('refuses %s, and says what it wants', async (_, headers) => {
    for (const [method, url] of [
      ['GET', '/companies'],
      ['PUT', `/companies/${id}`],
      ['DELETE', `/companies/${id}`],
      ['POST', `/companies/${id}/api-keys`],
    ] as const) {
      const response = await service.app.inject({ method, url, headers })
      expect(response.statusCode).toBe(401)
      expect(response.headers['www-authenticate']).toMatch(/^Bearer/)
      expect(response.headers['content-type']).toContain('application/problem+json')
    }
    expect(await rowOf(id)).toBeUndefined()
  })

  test('creates a company, and answers when the services can see it', async () => {
    const { status, body: answer, headers } = await service.call('PUT', `/companies/${id.toUpperCase()}`, body)
    expect(status).toBe(201)
    expect(await record(id)).toMatchObject({ company_id: id, name: 'Solvify' })
    expect(headers['cache-control']).toBe('no-store')
    expect(answer).toMatchObject({
      id,
      name: 'Solvify',
      custom_properties: {
        WHATSAPP_ACCESS_TOKEN: { set: true, last4: body.custom_properties.WHATSAPP_ACCESS_TOKEN.slice(-4) },
        WHATSAPP_PHONE_NUMBER_ID: body.custom_properties.WHATSAPP_PHONE_NUMBER_ID,
      },
    })
    await waitFor(
      () =>
        expect(tenantOf(id)).toMatchObject({
          accessToken: body.custom_properties.WHATSAPP_ACCESS_TOKEN,
          appSecrets: [body.custom_properties.WHATSAPP_APP_SECRET],
          verifyToken: body.custom_properties.WHATSAPP_VERIFY_TOKEN,
        }),
      WITHIN,
    )
  })

  test('tells of it in one event, which an equal PUT does not repeat', async () => {
    const again = await service.call('PUT', `/companies/${id}`, body)
    expect(again.status).toBe(200)
    const roundTrip = await service.call('PUT', `/companies/${id}`, again.body)
    expect(roundTrip.status).toBe(200)
    expect(roundTrip.body).toEqual(again.body)
    const events = await eventsOf(id)
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({
      type: 'tenant.configured',
      data: { name: 'Solvify', custom_properties: { WHATSAPP_APP_SECRET: { set: true } } },
    })
  })

  test('shows companies, one or all', async () => {
    const one = await service.call('GET', `/companies/${id}`)
    const all = await service.call('GET', '/companies')
    expect(one.status).toBe(200)
    expect((all.body.companies as unknown[]).filter((c) => (c as { id: string }).id === id)).toEqual([one.body])
    const missing = await service.call('GET', `/companies/${randomUUID()}`)
    expect(missing).toMatchObject({ status: 404, body: { code: 'COMPANY_NOT_FOUND' } })
  })

  test('shows all companies in pages', async () => {
    const others = [randomUUID(), randomUUID()]
    for (const other of others) await service.call('PUT', `/companies/${other}`, { name: 'Other' })
    const seen: string[] = []
    let after = ''
    do {
      const page = await service.call('GET', `/companies?limit=1${after && `&after=${after}`}`)
      seen.push(...(page.body.companies as { id: string }[]).map((c) => c.id))
      after = (page.body.next_after as string | undefined) ?? ''
    } while (after !== '')
    expect(seen).toEqual([...seen].sort())
    expect(seen).toEqual(expect.arrayContaining([id, ...others]))
    for (const other of others) await service.call('DELETE', `/companies/${other}`)
  })

  test('merges a change, and names in the event what changed', async () => {
    const { status, body: answer } = await service.call(
      'PATCH',
      `/companies/${id}`,
      { custom_properties: { RETENTION_DAYS: '30', WHATSAPP_VERIFY_TOKEN: null, crm: { id: 7 } } },
      { 'content-type': 'application/merge-patch+json' },
    )
    expect(status).toBe(200)
    expect(answer.custom_properties).toMatchObject({ RETENTION_DAYS: '30', crm: { id: 7 } })
    expect(answer.custom_properties).not.toHaveProperty('WHATSAPP_VERIFY_TOKEN')
    expect((await eventsOf(id)).at(-1)?.data).toMatchObject({
      changed: ['RETENTION_DAYS', 'WHATSAPP_VERIFY_TOKEN', 'crm'],
    })
    await waitFor(() => expect(tenantOf(id)).toMatchObject({ retentionDays: 30 }), WITHIN)
    expect(tenantOf(id)?.accessToken).toBe(body.custom_properties.WHATSAPP_ACCESS_TOKEN)
    expect(await service.call('PATCH', `/companies/${randomUUID()}`, { name: 'x' })).toMatchObject({ status: 404 })
  })

  test.each([
    ['PUT', { name: 'x', custom_properties: { WHATSAPP_COVER: `ftp://${PLANTED}` } }, 'WHATSAPP_COVER'],
    [
      'PUT',
      { name: 'x', custom_properties: { WHATSAPP_PHONE_NUMBERS: [{ id: PLANTED }] } },
      'WHATSAPP_PHONE_NUMBERS.0.id',
    ],
    ['PATCH', { custom_properties: { RATE_LIMIT_MAX_CALLS: PLANTED } }, 'RATE_LIMIT_MAX_CALLS'],
    ['PATCH', { custom_properties: { note: `${PLANTED}\u0000` } }, 'note'],
    ['PUT', { custom_properties: {} }, 'name'],
    ['PUT', { name: '', custom_properties: {} }, 'name'],
    ['PUT', { name: 'x', custom_properties: [PLANTED] }, 'custom_properties'],
    ['PUT', { name: 'x', custom_propertes: { [PLANTED]: PLANTED } }, 'body'],
    ['PUT', [PLANTED], 'body'],
    ['PATCH', { name: 7 }, 'name'],
  ] as const)('%s refuses what is not valid (%#), naming the field and not the value', async (method, bad, field) => {
    const before = await rowOf(id)
    const response = await service.call(method, `/companies/${id}`, bad)
    expect(response.status).toBe(400)
    expect(response.body.fields).toEqual([expect.objectContaining({ path: field })])
    expect(response.text).not.toContain(PLANTED)
    expect(await rowOf(id)).toEqual(before)
  })

  test.each(['nonsense', '*', '..%2f', `${randomUUID()}x`, 'evt.%3E', "'%20or%201=1"])(
    'refuses the company id %s',
    async (bad) => {
      const response = await service.call('PUT', `/companies/${bad}`, { name: 'x' })
      expect(response).toMatchObject({ status: 400, body: { fields: [{ path: 'company_id' }] } })
    },
  )

  test('refuses a body that is not JSON', async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' }
    const response = await service.app.inject({ method: 'PUT', url: `/companies/${id}`, headers, payload: '{"name"' })
    expect(response.statusCode).toBe(400)
  })

  test('makes an API key that is shown once and works from memory, and revokes it', async () => {
    const made = await service.call('POST', `/companies/${id}/api-keys`, { name: 'billing', scopes: ['send', 'read'] })
    expect(made.status).toBe(201)
    const { id: keyId, key } = made.body as { id: string; key: string }
    expect(key).toMatch(/^ck_/)
    await waitFor(
      () => expect(directory.keyOf(key)).toEqual({ companyId: id, keyId, scopes: ['read', 'send'] }),
      WITHIN,
    )

    const listed = await service.call('GET', `/companies/${id}/api-keys`)
    expect(listed.body).toEqual({
      api_keys: [{ id: keyId, name: 'billing', scopes: ['read', 'send'], created_at: expect.any(String) }],
    })
    const everywhere = Buffer.concat([...(await stored('EVENTS')), ...(await stored('KV_tenants'))]).toString()
    expect(everywhere).not.toContain(key)

    expect((await service.call('DELETE', `/companies/${id}/api-keys/${keyId}`)).status).toBe(204)
    await waitFor(() => expect(directory.keyOf(key)).toBeUndefined(), WITHIN)
    expect((await service.call('GET', `/companies/${id}/api-keys`)).body).toEqual({ api_keys: [] })
    expect((await service.call('DELETE', `/companies/${id}/api-keys/${keyId}`)).status).toBe(404)
    expect((await eventsOf(id)).slice(-2).map(({ data }) => (data as { changed: string[] }).changed)).toEqual([
      ['api_keys'],
      ['api_keys'],
    ])
  })

  test.each([
    [{ name: 'x', scopes: [] }, 'scopes'],
    [{ name: 'x', scopes: ['admin'] }, 'scopes.0'],
    [{ scopes: ['send'] }, 'name'],
  ])('refuses an API key that is not valid (%#)', async (bad, field) => {
    const response = await service.call('POST', `/companies/${id}/api-keys`, bad)
    expect(response).toMatchObject({ status: 400, body: { fields: [{ path: field }] } })
    const elsewhere = await service.call('POST', `/companies/${randomUUID()}/api-keys`, { name: 'x', scopes: ['send'] })
    expect(elsewhere.status).toBe(404)
  })

  test('removes a company: the services know it no more, and its keys end', async () => {
    const { body: made } = await service.call('POST', `/companies/${id}/api-keys`, { name: 'x', scopes: ['send'] })
    expect((await service.call('DELETE', `/companies/${id}`)).status).toBe(204)
    expect(await record(id)).toMatchObject({ company_id: id, removed: true })
    await waitFor(() => expect(tenantOf(id)).toBeUndefined(), WITHIN)
    expect(directory.keyOf(made.key as string)).toBeUndefined()
    expect((await eventsOf(id)).at(-1)).toMatchObject({ type: 'tenant.removed', data: { name: 'Solvify' } })
    expect((await service.call('DELETE', `/companies/${id}`)).status).toBe(404)
    expect((await service.call('GET', `/companies/${id}`)).status).toBe(404)

    expect((await service.call('PUT', `/companies/${id}`, company())).status).toBe(201)
    await waitFor(() => expect(tenantOf(id)).toBeDefined(), WITHIN)
    expect(directory.keyOf(made.key as string)).toBeUndefined()
  })

  test('of many changes at once, the services and the table end with the same', async () => {
    const busy = randomUUID()
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, turn) => service.call('PUT', `/companies/${busy}`, company({ turn }))),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201])
    expect((await record(busy))?.custom_properties).toEqual((await rowOf(busy))?.custom_properties)
  })
})

describe('rows that other programs write', () => {
  let service: Service
  beforeAll(async () => {
    service = await ready(await start())
  })
  afterAll(() => service.stop())

  test('are sealed in the table and told to the services', async () => {
    const id = randomUUID()
    const body = company({ other: 12345678901234567890n.toString() })
    await insert(id, body)
    await waitFor(
      () => expect(tenantOf(id)).toMatchObject({ accessToken: body.custom_properties.WHATSAPP_ACCESS_TOKEN }),
      WITHIN,
    )
    expect(JSON.stringify(await rowOf(id))).not.toContain(PLANTED)
    expect((await eventsOf(id)).map(({ type }) => type)).toEqual(['tenant.configured'])
  })

  test('keep what only they understand to the digit when a secret of theirs is sealed', async () => {
    const id = randomUUID()
    await sql.query(
      `insert into public.companies (id, name, custom_properties) values ($1, 'x',
       '{"account": 12345678901234567890, "WHATSAPP_ACCESS_TOKEN": "${planted('token')}"}')`,
      [id],
    )
    await waitFor(() => expect(tenantOf(id)?.accessToken).toContain(PLANTED), WITHIN)
    const { rows } = await sql.query(`select custom_properties->>'account' as account from companies where id = $1`, [
      id,
    ])
    expect(rows).toEqual([{ account: '12345678901234567890' }])
  })

  test('are followed when they change and when they go', async () => {
    const id = randomUUID()
    await insert(id, company())
    await waitFor(() => expect(tenantOf(id)).toBeDefined(), WITHIN)
    const token = planted('second')
    await sql.query(
      `update public.companies set name = 'Renamed',
       custom_properties = custom_properties || jsonb_build_object('WHATSAPP_ACCESS_TOKEN', $2::text) where id = $1`,
      [id, token],
    )
    await waitFor(() => expect(tenantOf(id)).toMatchObject({ name: 'Renamed', accessToken: token }), WITHIN)
    await sql.query('delete from public.companies where id = $1', [id])
    await waitFor(() => expect(tenantOf(id)).toBeUndefined(), WITHIN)
    expect((await eventsOf(id)).map(({ type, data }) => [type, (data as { changed?: string[] }).changed])).toEqual([
      ['tenant.configured', expect.any(Array)],
      ['tenant.configured', ['name', 'WHATSAPP_ACCESS_TOKEN']],
      ['tenant.removed', undefined],
    ])
  })

  test('with faults change nothing, are named without values, and can be mended', async () => {
    const id = randomUUID()
    await service.call('PUT', `/companies/${id}`, company({ RETENTION_DAYS: 30 }))
    const { body: apiKey } = await service.call('POST', `/companies/${id}/api-keys`, { name: 'x', scopes: ['send'] })
    await sql.query(
      `update public.companies set custom_properties = custom_properties ||
       '{"RETENTION_DAYS": "half a year", "WHATSAPP_ACCESS_TOKEN": "${planted('token')}"}' where id = $1`,
      [id],
    )
    await waitFor(
      () => expect(output.find((line) => line.includes('company.has_problems') && line.includes(id))).toBeDefined(),
      WITHIN,
    )
    expect((await record(id))?.custom_properties.RETENTION_DAYS).toBe(30)
    const { rows } = await sql.query('select custom_properties::text from companies where id = $1', [id])
    expect(rows[0].custom_properties).not.toContain(`${PLANTED}-token`)

    const shown = await service.call('GET', `/companies/${id}`)
    expect(shown.body.problems).toEqual([expect.objectContaining({ path: 'RETENTION_DAYS' })])
    expect(output.filter((line) => line.includes('has_problems')).join()).not.toContain('half a year')

    // A key can be revoked all the same.
    await waitFor(() => expect(directory.keyOf(apiKey.key as string)).toBeDefined(), WITHIN)
    expect((await service.call('DELETE', `/companies/${id}/api-keys/${apiKey.id}`)).status).toBe(204)
    await waitFor(() => expect(directory.keyOf(apiKey.key as string)).toBeUndefined(), WITHIN)
    expect(tenantOf(id)).toMatchObject({ retentionDays: 30 })

    const mended = await service.call('PATCH', `/companies/${id}`, { custom_properties: { RETENTION_DAYS: 60 } })
    expect(mended.status).toBe(200)
    expect(mended.body).not.toHaveProperty('problems')
    await waitFor(() => expect(tenantOf(id)).toMatchObject({ retentionDays: 60 }), WITHIN)
  })

  test('with faults from the start are not told, and get no API key', async () => {
    const id = randomUUID()
    await sql.query(`insert into public.companies (id, name, custom_properties) values ($1, 'x', '["a list"]')`, [id])
    await waitFor(
      () => expect(output.some((line) => line.includes('has_problems') && line.includes(id))).toBe(true),
      WITHIN,
    )
    expect(await record(id)).toBeUndefined()
    const refused = await service.call('POST', `/companies/${id}/api-keys`, { name: 'x', scopes: ['send'] })
    expect(refused).toMatchObject({ status: 409, body: { code: 'COMPANY_UNUSABLE' } })
    expect((await service.call('GET', `/companies/${id}/api-keys`)).body).toEqual({ api_keys: [] })
    expect((await service.call('PUT', `/companies/${id}`, { name: 'x' })).status).toBe(200)
    expect(await record(id)).toBeDefined()
  })

  test('deleted and inserted again in one go keep their API keys', async () => {
    const id = randomUUID()
    await service.call('PUT', `/companies/${id}`, { name: 'before' })
    const { body: apiKey } = await service.call('POST', `/companies/${id}/api-keys`, { name: 'x', scopes: ['send'] })
    await sql.query(
      `with gone as (delete from public.companies where id = '${id}') select;
       insert into public.companies (id, name) values ('${id}', 'after')`,
    )
    await waitFor(() => expect(tenantOf(id)).toMatchObject({ name: 'after' }), WITHIN)
    expect(directory.keyOf(apiKey.key as string)).toBeDefined()
  })

  test('are noticed by comparing when nobody told of them', async () => {
    const id = randomUUID()
    const removed = randomUUID()
    await service.call('PUT', `/companies/${removed}`, { name: 'to be removed' })
    await service.stop()
    await sql.query('alter table public.companies disable trigger user')
    await sql.query('delete from public.companies where id = $1', [removed])
    service = await ready(await start({ compareIntervalMs: 100 }))
    await waitFor(() => expect(tenantOf(removed)).toBeUndefined(), WITHIN)
    await insert(id, company())
    await waitFor(() => expect(tenantOf(id)?.accessToken).toContain(PLANTED), WITHIN)
    await sql.query('delete from public.companies where id = $1', [id])
    await waitFor(() => expect(tenantOf(id)).toBeUndefined(), WITHIN)
    await sql.query('alter table public.companies enable trigger user')
  })

  test('all go when the table is emptied', async () => {
    const { rows } = await sql.query('select * from public.companies where id = $1', [randomUUID()])
    expect(rows).toEqual([])
    const id = randomUUID()
    await service.call('PUT', `/companies/${id}`, { name: 'x' })
    await sql.query('truncate public.companies')
    await waitFor(() => expect([...directory.all()]).toEqual([]), WITHIN)
  })
})

test('a table that is empty at the start removes nobody: it is more likely the wrong one', async () => {
  const ids = [randomUUID(), randomUUID()]
  const before = await ready(await start())
  for (const id of ids) await before.call('PUT', `/companies/${id}`, { name: 'x' })
  await before.stop()
  await sql.query('create table public.elsewhere as select * from public.companies')
  await sql.query('alter table public.companies disable trigger user')
  await sql.query('delete from public.companies')
  await sql.query('alter table public.companies enable trigger user')
  const service = await start()
  await waitFor(() => expect(output.join('')).toContain('COMPANIES_TABLE_EMPTY'), WITHIN)
  for (const id of ids) expect(tenantOf(id)).toBeDefined()
  await sql.query('insert into public.companies select * from public.elsewhere')
  await ready(service)
  await service.stop()
})

describe('keys of the secrets', () => {
  test('are changed by putting a new one first: all is sealed again, without an event', async () => {
    const id = randomUUID()
    const before = await ready(await start({ keys: parseSecretsKeys(OLD_KEY) }))
    const body = company()
    await before.call('PUT', `/companies/${id}`, body)
    await before.stop()
    const after = await ready(await start())
    const text = JSON.stringify([await record(id), await rowOf(id)])
    expect(text).toContain('sealed:v1:new:')
    expect(text).not.toContain('sealed:v1:old:')
    expect(await eventsOf(id)).toHaveLength(1)
    await after.stop()

    const newOnly = await ready(await start({ keys: parseSecretsKeys(NEW_KEY) }))
    expect((await newOnly.call('GET', `/companies/${id}`)).body).not.toHaveProperty('problems')
    await newOnly.stop()
  })

  test('that are missing leave the company known, and the problem shown', async () => {
    const id = randomUUID()
    const retired = parseSecretsKeys(`retired:${randomBytes(32).toString('base64')}`)
    const { properties } = sealProperties(retired, id, {
      WHATSAPP_ACCESS_TOKEN: planted('lost'),
      DEFAULT_COUNTRY: 'PT',
    })
    const service = await ready(await start())
    await sql.query('insert into public.companies (id, name, custom_properties) values ($1, $2, $3)', [
      id,
      'x',
      properties,
    ])
    await waitFor(() => expect(tenantOf(id)).toMatchObject({ defaultCountry: 'PT' }), WITHIN)
    expect((await service.call('GET', `/companies/${id}`)).body).toMatchObject({
      custom_properties: { WHATSAPP_ACCESS_TOKEN: { set: true } },
      problems: [{ path: 'WHATSAPP_ACCESS_TOKEN', message: expect.stringContaining('retired') }],
    })
    await service.call('DELETE', `/companies/${id}`)
    await service.stop()
  })
})

describe('two processes', () => {
  test('tell of each change once, and end with the same', async () => {
    const services = await Promise.all([start(), start()])
    await Promise.all(services.map(ready))
    const [one, two] = services as [Service, Service]
    const id = randomUUID()
    await Promise.all(
      Array.from({ length: 10 }, (_, turn) =>
        (turn % 2 === 0 ? one : two).call('PUT', `/companies/${id}`, { name: 'x', custom_properties: { turn } }),
      ),
    )
    expect((await record(id))?.custom_properties).toEqual((await rowOf(id))?.custom_properties)
    const inserted = randomUUID()
    await insert(inserted, company())
    await waitFor(() => expect(tenantOf(inserted)).toBeDefined(), WITHIN)
    await two.call('PUT', `/companies/${id}`, { name: 'last' })
    await Promise.all(services.map(({ stop }) => stop()))
    expect(await eventsOf(inserted)).toHaveLength(1)
    const ids = (await eventsOf(id)).map((event) => event.id)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

describe('faults', () => {
  test('NATS away: a change is stored, answered 503, and told once NATS is back', async () => {
    const service = await ready(await start())
    const id = randomUUID()
    const removed = randomUUID()
    await service.call('PUT', `/companies/${removed}`, { name: 'x' })
    await natsServer.kill()
    await waitFor(() => expect(service.isReady()).toBe(false), WITHIN)

    const body = company()
    const answer = await service.call('PUT', `/companies/${id}`, body)
    expect(answer).toMatchObject({ status: 503, body: { code: 'BROADCAST_FAILED' } })
    expect(answer.headers['retry-after']).toBeDefined()
    expect(await rowOf(id)).toBeDefined()
    expect((await service.call('DELETE', `/companies/${removed}`)).status).toBe(503)
    const key = await service.call('POST', `/companies/${id}/api-keys`, { name: 'x', scopes: ['send'] })
    expect(key).toMatchObject({ status: 503, body: { detail: expect.stringContaining('No key was made') } })
    expect((await service.call('GET', `/companies/${id}`)).status).toBe(200)

    await natsServer.restart()
    await waitFor(
      () => expect(tenantOf(id)).toMatchObject({ accessToken: body.custom_properties.WHATSAPP_ACCESS_TOKEN }),
      WITHIN,
    )
    await waitFor(() => expect(tenantOf(removed)).toBeUndefined(), WITHIN)
    await ready(service)
    expect((await service.call('GET', `/companies/${id}/api-keys`)).body).toEqual({ api_keys: [] })
    expect((await service.call('PUT', `/companies/${id}`, body)).status).toBe(200)
    await service.stop()
  })

  test('PostgreSQL away: 503, no crash, and back by itself, with what changed meanwhile', async () => {
    const service = await ready(await start())
    const id = randomUUID()
    await service.call('PUT', `/companies/${id}`, { name: 'before' })
    await postgres.kill()
    await waitFor(() => expect(service.isReady()).toBe(false), WITHIN)
    for (const [method, url] of [
      ['GET', '/companies'],
      ['GET', `/companies/${id}`],
      ['PUT', `/companies/${id}`],
      ['DELETE', `/companies/${id}`],
      ['GET', `/companies/${id}/api-keys`],
    ] as const) {
      const response = await service.call(method, url, method === 'PUT' ? { name: 'x' } : undefined)
      expect(response).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } })
    }
    expect(tenantOf(id)).toMatchObject({ name: 'before' })
    expect((await service.app.inject('/healthz')).statusCode).toBe(200)
    expect((await service.app.inject('/readyz')).statusCode).toBe(503)

    await postgres.restart()
    await ready(service)
    await sql.query(`update public.companies set name = 'after' where id = $1`, [id])
    await waitFor(() => expect(tenantOf(id)).toMatchObject({ name: 'after' }), WITHIN)
    expect((await service.call('GET', `/companies/${id}`)).body).toMatchObject({ name: 'after' })
    await service.stop()
  })

  test('PostgreSQL not there yet at the start: it waits for it, and answers 503 till then', async () => {
    await postgres.kill()
    const service = await start()
    expect(await service.call('GET', '/companies')).toMatchObject({ status: 503 })
    await postgres.restart()
    await ready(service)
    expect((await service.call('GET', '/companies')).status).toBe(200)
    await service.stop()
  })
})

test('no secret was in a log line, an answer, an event, or a record', async () => {
  const everything = [
    ...output,
    ...[...(await stored('EVENTS')), ...(await stored('KV_tenants'))].map((bytes) => Buffer.from(bytes).toString()),
  ]
  expect(everything.length).toBeGreaterThan(100)
  expect(everything.filter((text) => text.includes(PLANTED))).toEqual([])
  const { rows } = await sql.query('select c::text as text from public.companies c')
  expect(rows.length).toBeGreaterThan(0)
  expect(rows.filter(({ text }) => text.includes(PLANTED))).toEqual([])
})
