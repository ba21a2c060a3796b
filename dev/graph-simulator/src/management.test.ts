import { createHash } from 'node:crypto'
import { FormData, request } from 'undici'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fixture, PHONE, type Rig, shapeOf, startRig, tenantA, WABA } from './simulator.rig.ts'

let rig: Rig
let now = Date.parse('2026-11-24T08:00:00Z')
beforeEach(async () => {
  rig = await startRig({ clock: () => now })
})
afterEach(() => rig.close())

describe('templates', () => {
  const list = (query = '') => rig.call('GET', `/v22.0/${WABA}/message_templates${query}`)
  test('are listed in Meta’s form', async () => {
    const { body } = await list()
    expect(body.data).toHaveLength(5)
    const { quality_score: _, ...known } = fixture('graph/templates.list').data[0]
    expect(Object.keys(body.data[0]).sort()).toEqual(Object.keys(known).sort())
    expect(body.data[0]).toMatchObject({ name: 'order_ready', status: 'APPROVED', category: 'UTILITY' })
  })
  test('can be asked for by name, and for some of their fields', async () => {
    const { body } = await list('?name=order_ready&fields=name,language')
    expect(body.data).toEqual([{ name: 'order_ready', language: 'en_US', id: expect.stringMatching(/^\d+$/) }])
  })
  test('come in pages, each leading to the next until the last', async () => {
    const names: string[] = []
    let url: string | undefined = `${rig.url}/v22.0/${WABA}/message_templates?limit=2&status=APPROVED`
    for (let pages = 0; url && pages < 5; pages += 1) {
      const answer = await request(url, { headers: { authorization: 'Bearer token-a' } })
      const page = (await answer.body.json()) as { data: { name: string }[]; paging?: { next?: string } }
      names.push(...page.data.map(({ name }) => name))
      url = page.paging?.next
    }
    expect(names).toEqual(['order_ready', 'order_ready_named', 'offer_image', 'track_order'])
  })
  test('with a cursor that is none are refused', async () => {
    expect((await list('?after=nonsense')).body.error.code).toBe(131059)
  })
  test('of another account are not shown', async () => {
    const { status, body } = await rig.call('GET', `/v22.0/${WABA}/message_templates`, undefined, {
      authorization: 'Bearer token-b',
    })
    expect([status, body.error.code, body.error.error_subcode]).toEqual([400, 100, 33])
  })
})

test('a number is described as Meta describes it', async () => {
  const { body, headers } = await rig.call('GET', `/v22.0/${PHONE}`)
  expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/phone-number.get')))
  const usage = JSON.parse(String(headers['x-business-use-case-usage']))
  expect(shapeOf(usage)).toEqual(shapeOf(fixture('graph/headers.business-use-case-usage')))
  const some = await rig.call('GET', `/v22.0/${PHONE}?fields=quality_rating,health_status`)
  expect(Object.keys(some.body).sort()).toEqual(['health_status', 'id', 'quality_rating'])
})

test('more management calls than an hour allows are refused with 80007, sending is not', async () => {
  await rig.call('PUT', '/simulate/limits', { management_calls_per_hour: 1 })
  expect((await rig.call('GET', `/v22.0/${PHONE}`)).status).toBe(200)
  expect((await rig.call('GET', `/v22.0/${PHONE}`)).body.error.code).toBe(80007)
  expect((await rig.send(fixture('outbound/text'))).status).toBe(200)
  now += 3_600_000
  expect((await rig.call('GET', `/v22.0/${PHONE}`)).status).toBe(200)
})

test('a token tells what it opens', async () => {
  const debug = (token: string) => rig.call('GET', `/v22.0/debug_token?input_token=${token}`)
  expect((await debug('token-a')).body.data).toMatchObject({
    is_valid: true,
    granular_scopes: [{ target_ids: [WABA] }, {}],
  })
  expect((await debug('nobody')).body.data).toMatchObject({ is_valid: false, error: { code: 190 } })
})

describe('media', () => {
  const png = Buffer.from('89504e470d0a1a0a00', 'hex')
  const upload = async (parts: Record<string, string>, type = 'image/png', bytes = png) => {
    const form = new FormData()
    for (const [name, value] of Object.entries(parts)) form.set(name, value)
    form.set('file', new Blob([bytes], { type }), 'cover.png')
    const headers = { authorization: 'Bearer token-a' }
    const answer = await request(`${rig.url}/v22.0/${PHONE}/media`, { method: 'POST', headers, body: form })
    return { status: answer.statusCode, body: (await answer.body.json()) as { id: string; error: { code: number } } }
  }
  const uploaded = async () => (await upload({ messaging_product: 'whatsapp', type: 'image/png' })).body.id
  const lookUp = async (id: string) => (await rig.call('GET', `/v22.0/${id}`)).body
  const download = async (url: string, token = 'token-a') => {
    const { statusCode, headers, body } = await request(url, { headers: { authorization: `Bearer ${token}` } })
    return { status: statusCode, type: headers['content-type'], bytes: Buffer.from(await body.arrayBuffer()) }
  }

  test('uploaded can be looked up and downloaded, byte for byte', async () => {
    const media = await lookUp(await uploaded())
    expect(shapeOf(media)).toEqual(shapeOf(fixture('graph/media.get-numeric-size')))
    expect(media).toMatchObject({ mime_type: 'image/png', file_size: png.length })
    expect(await download(media.url)).toEqual({ status: 200, type: 'image/png', bytes: png })
  })
  test('can be uploaded as the bare file', async () => {
    const headers = { authorization: 'Bearer token-a', 'content-type': 'application/pdf' }
    const answer = await request(`${rig.url}/v22.0/${PHONE}/media`, { method: 'POST', headers, body: '%PDF-1.7' })
    const { id } = (await answer.body.json()) as { id: string }
    expect(await lookUp(id)).toMatchObject({ mime_type: 'application/pdf', file_size: 8 })
  })
  test('links end after five minutes', async () => {
    const { url } = await lookUp(await uploaded())
    now += 299_000
    expect((await download(url)).status).toBe(200)
    now += 2_000
    expect((await download(url)).status).toBe(404)
  })
  test('links open with the owner’s token only', async () => {
    const { url } = await lookUp(await uploaded())
    expect((await download(url, 'nobody')).status).toBe(401)
    expect((await download(url, 'token-b')).status).toBe(404)
    expect((await download(url.replace(/hash=./, 'hash=_'))).status).toBe(404)
  })
  test('deleted is gone', async () => {
    const id = await uploaded()
    expect((await rig.call('DELETE', `/v22.0/${id}`)).body).toEqual({ success: true })
    expect(await lookUp(id)).toMatchObject({ error: { code: 100, error_subcode: 33 } })
  })
  test.each([
    ['without messaging_product', {}, 'image/png', png],
    ['of a type Meta does not take', { messaging_product: 'whatsapp' }, 'image/tiff', png],
    ['larger than its kind may be', { messaging_product: 'whatsapp' }, 'image/png', Buffer.alloc(5 * 1024 * 1024 + 1)],
  ])('%s is refused', async (_name, parts, type, bytes) => {
    const { status, body } = await upload(parts as Record<string, string>, type, bytes)
    expect([status, body.error.code]).toEqual([400, 100])
  })
})

describe('templates', () => {
  const company_id = tenantA('').company_id
  const put = (...templates: object[]) => rig.call('PUT', '/simulate/templates', { company_id, templates })
  const welcome = (language: string, more: object = {}) => ({
    name: 'welcome',
    language,
    components: [{ type: 'BODY', text: 'Hello {{1}}' }],
    ...more,
  })
  const listed = async (query: string) =>
    (await rig.call('GET', `/v22.0/${WABA}/message_templates?${query}`)).body.data.map(
      ({ language, status }: { language: string; status: string }) => `${language} ${status}`,
    )
  const sent = async (language: string, ...texts: string[]) => {
    const parameters = texts.map((text) => ({ type: 'text', text }))
    const template = { name: 'welcome', language: { code: language }, components: [{ type: 'body', parameters }] }
    const { body } = await rig.send({ messaging_product: 'whatsapp', to: '+34608684495', type: 'template', template })
    return body.error?.code ?? 'accepted'
  }

  test('are added and replaced by name and language, and sent as they stand', async () => {
    expect((await put(welcome('es'), welcome('de'))).body).toEqual({ put: 2, total: 7 })
    expect((await put(welcome('de', { status: 'PAUSED' }))).body).toEqual({ put: 1, total: 7 })
    expect(await listed('name=welcome')).toEqual(['es APPROVED', 'de PAUSED'])
    expect(await sent('es', 'Nora')).toBe('accepted')
    expect(await sent('es')).toBe(132000)
    expect(await sent('de', 'Nora')).toBe(132015)
    expect(await sent('fr', 'Nora')).toBe(132001)
  })
  test('are taken away in one language, or in all', async () => {
    await put(welcome('es'), welcome('de'), welcome('fr'))
    const path = `/simulate/templates?company_id=${company_id}&name=welcome`
    expect((await rig.call('DELETE', `${path}&language=de`)).body).toEqual({ removed: 1, total: 7 })
    expect(await sent('de', 'Nora')).toBe(132001)
    expect((await rig.call('DELETE', path)).body).toEqual({ removed: 2, total: 5 })
    expect((await rig.call('DELETE', path)).status).toBe(404)
  })
})

describe('registering tenants', () => {
  test('adds, replaces and removes them while the simulator runs', async () => {
    const third = {
      ...tenantA(rig.receiver.url),
      company_id: 'third',
      access_token: 'token-c',
      phone_numbers: [{ id: '3', display_phone_number: '1' }],
    }
    expect((await rig.call('PUT', '/simulate/tenants', [third])).body).toEqual({ registered: 1, total: 3 })
    expect((await rig.call('GET', '/v22.0/3', undefined, { authorization: 'Bearer token-c' })).status).toBe(200)
    expect((await rig.call('DELETE', '/simulate/tenants/third')).body.total).toBe(2)
    expect((await rig.call('GET', '/v22.0/3', undefined, { authorization: 'Bearer token-c' })).status).toBe(401)
  })
  test('shows no secrets', async () => {
    const { body } = await rig.call('GET', '/simulate/tenants')
    expect(body.tenants).toHaveLength(2)
    expect(JSON.stringify(body)).not.toMatch(/token-a|test_app_secret|verify-a/)
  })
  test('refuses two owners of one number, and registers neither', async () => {
    const thief = { ...tenantA(rig.receiver.url), company_id: 'thief' }
    const { status, body } = await rig.call('PUT', '/simulate/tenants', [thief])
    expect(status).toBe(400)
    expect(body.error.message).toContain(PHONE)
    expect((await rig.call('GET', '/simulate/tenants')).body.tenants).toHaveLength(2)
  })
  test('names what is wrong with a tenant and none of its values', async () => {
    const { status, body } = await rig.call('PUT', '/simulate/tenants', [{ ...tenantA('no url'), app_secret: 7 }])
    expect(status).toBe(400)
    expect(body.error.message).toMatch(/0\.app_secret.*0\.webhook_url/)
    expect(body.error.message).not.toContain('no url')
  })
})

describe('files that people send', () => {
  const text = Buffer.from('%PDF-1.7 and so on, as long as it has a middle')
  const download = async (url: string) => {
    const { statusCode, body } = await request(url, { headers: { authorization: 'Bearer token-a' } })
    return { status: statusCode, bytes: Buffer.from(await body.arrayBuffer()) }
  }
  /** A message with a file, as the webhook tells of it. */
  const sent = async () => {
    const media = { kind: 'document', mime_type: 'application/pdf', base64: text.toString('base64'), filename: 'a.pdf' }
    const { body } = await rig.call('POST', '/simulate/inbound', { phone_number_id: PHONE, from: '34608684495', media })
    const messages = rig.receiver.received.flatMap((webhook) => webhook.body.entry[0].changes[0].value.messages ?? [])
    return messages.find(({ id }) => id === body.message_id)
  }
  const lookUp = async (id: string) => rig.call('GET', `/v22.0/${id}`)
  const faults = (body: object) => rig.call('POST', '/simulate/media-faults', body)
  afterEach(() => rig.call('DELETE', '/simulate/media-faults'))

  test('come with an id that the Graph API knows, and a hash in base64', async () => {
    const { type, document } = await sent()
    const sha256 = createHash('sha256').update(text).digest('base64')
    expect([type, document]).toEqual([
      'document',
      { mime_type: 'application/pdf', sha256, id: expect.any(String), filename: 'a.pdf' },
    ])
    expect((await download((await lookUp(document.id)).body.url)).bytes).toEqual(text)
  })
  test.each([
    ['lookup_missing', 400],
    ['lookup_5xx', 500],
  ])('%s meets as many look-ups as ordered', async (fault, status) => {
    const { id } = (await sent()).document
    await faults({ [fault]: 1 })
    expect((await lookUp(id)).status).toBe(status)
    expect((await lookUp(id)).status).toBe(200)
  })
  test.each([
    ['expired_urls', 404],
    ['download_missing', 404],
    ['download_5xx', 503],
  ])('%s meets as many downloads as ordered', async (fault, status) => {
    const { id } = (await sent()).document
    await faults({ [fault]: 1 })
    expect((await download((await lookUp(id)).body.url)).status).toBe(status)
    expect((await download((await lookUp(id)).body.url)).status).toBe(200)
  })
  test('break off in the middle, come slowly, and have another hash when ordered', async () => {
    const { id } = (await sent()).document
    await faults({ cut_off: 1, wrong_sha256: 1, bytes_per_second: 200, sha256_form: 'base64' })
    const { url, sha256 } = (await lookUp(id)).body
    expect(sha256).not.toBe(createHash('sha256').update(text).digest('base64'))
    await expect(download(url)).rejects.toThrow()
    const startedAt = performance.now()
    expect((await download(url)).bytes).toEqual(text)
    expect(performance.now() - startedAt).toBeGreaterThan(100)
    expect((await lookUp(id)).body.sha256).toBe(createHash('sha256').update(text).digest('base64'))
  })
  test('have the faults of one company only, when it is named', async () => {
    const { id } = (await sent()).document
    await faults({ company_id: 'b1111111-4f5d-494c-8a74-45f8cee150e6', lookup_5xx: 5 })
    expect((await lookUp(id)).status).toBe(200)
    expect((await faults({ nonsense: 1 })).status).toBe(400)
  })
})
