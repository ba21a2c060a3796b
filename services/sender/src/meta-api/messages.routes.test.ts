import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ADMIN_TOKEN, type Company, type Rig, startRig, TOKEN } from './sender.rig.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

/** Longer than an unknown outcome takes to be given up here: the time-out of a call, and the grace after it. */
const META_WAIT_MS = 4_000

let rig: Rig
let company: Company
let other: Company
beforeAll(async () => {
  rig = await startRig({ metaWaitMs: META_WAIT_MS })
  company = await rig.newCompany()
  other = await rig.newCompany()
})
afterAll(() => rig?.stop())

const text = (more: Record<string, unknown> = {}) => ({
  messaging_product: 'whatsapp',
  to: '+34608684495',
  type: 'text',
  text: { body: 'Confidential words' },
  ...more,
})
const post = async (
  body: unknown,
  {
    number = company.number,
    token = company.key,
    version = 'v22.0',
    headers = {},
  }: { number?: string; token?: string; version?: string; headers?: Record<string, string> } = {},
) => {
  const answer = await fetch(`${rig.url}/${version}/${number}/messages`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever came
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as any }
}
const sentTo = async (to: string) => (await rig.callsOf(company)).filter((call) => call.to === to)

describe('a message', () => {
  test.each(['v1.0', 'v19.0', 'v26.0'])('is taken under %s and answered as by Meta', async (version) => {
    const { status, body } = await post(text(), { version })
    expect(status).toBe(200)
    expect(body).toEqual({
      messaging_product: 'whatsapp',
      contacts: [{ input: '+34608684495', wa_id: '34608684495' }],
      messages: [{ id: expect.stringMatching(/^wamid\./) }],
    })
  })
  test('keeps the recipient as the caller wrote it in the answer, and goes to the number it means', async () => {
    const { body } = await post(text({ to: '611 22 33 44' }))
    expect(body.contacts).toEqual([{ input: '611 22 33 44', wa_id: '34611223344' }])
    expect(await sentTo('+34611223344')).toMatchObject([{ outcome: 'accepted' }])
  })
  test('is sent by the operator for whichever company has the number', async () => {
    expect((await post(text(), { token: ADMIN_TOKEN, number: other.number })).status).toBe(200)
  })
  test('is not counted against the calls that the company may make', async () => {
    const few = await rig.newCompany({ RATE_LIMIT_MAX_CALLS: 1 })
    for (let i = 0; i < 3; i++) expect((await post(text(), { number: few.number, token: few.key })).status).toBe(200)
  })
})

describe('a key in Idempotency-Key', () => {
  test('makes a repeat the same message', async () => {
    const headers = { 'idempotency-key': `invoice-${randomUUID()}` }
    const first = await post(text({ to: '+34611000001' }), { headers })
    const second = await post(text({ to: '+34611000001' }), { headers })
    expect(second.body).toEqual(first.body)
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    expect(await sentTo('+34611000001')).toHaveLength(1)
  })
  test('with another content is refused', async () => {
    const headers = { 'idempotency-key': `invoice-${randomUUID()}` }
    await post(text(), { headers })
    const { status, body } = await post(text({ text: { body: 'Other words' } }), { headers })
    expect([status, body.error.code, body.error.error_data.gateway_code]).toEqual([400, 100, 'IDEMPOTENCY_KEY_REUSED'])
  })
  test('that is none is refused', async () => {
    const { status, body } = await post(text(), { headers: { 'idempotency-key': 'two words' } })
    expect([status, body.error.code]).toEqual([400, 131009])
    expect(body.error.error_data.details).toContain('Idempotency-Key')
  })
})

describe('refused in Meta’s words', () => {
  const invalid = { to: '+34608684495', messaging_product: 'whatsapp' }
  test.each<[string, unknown, Parameters<typeof post>[1], number, number, number | undefined]>([
    ['no key', text(), { token: '' }, 401, 190, undefined],
    ['a key of nobody', text(), { token: 'ck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }, 401, 190, undefined],
    ['a number nobody has', text(), { number: '999' }, 400, 100, 33],
    ['JSON that is cut off', '{"messaging_product":', {}, 400, 100, undefined],
    ['no body', '', {}, 400, 100, undefined],
    ['a list', [text()], {}, 400, 100, undefined],
    ['a body of 10 MB', text({ text: { body: 'x'.repeat(10_000_000) } }), {}, 413, 100, undefined],
    ['another content type', text(), { headers: { 'content-type': 'text/plain' } }, 400, 100, undefined],
    ['no recipient', { ...invalid, to: undefined }, {}, 400, 131008, undefined],
    ['a recipient that cannot exist', text({ to: '+3412' }), {}, 400, 131009, undefined],
  ])('%s', async (_, body, options, status, code, subcode) => {
    const answer = await post(body, options)
    expect(answer.status).toBe(status)
    expect(answer.body).toEqual({
      error: expect.objectContaining({
        code,
        message: expect.any(String),
        type: expect.any(String),
        fbtrace_id: expect.any(String),
      }),
    })
    expect(answer.body.error.error_subcode).toBe(subcode)
  })
  test('a key without the scope', async () => {
    const { status, body } = await post(text(), { token: company.keyThatReads })
    expect([status, body.error.code]).toEqual([403, 10])
  })
  test('a number of another company, as one that nobody has', async () => {
    const [anothers, nobodys] = [await post(text(), { number: other.number }), await post(text(), { number: '999' })]
    const shape = ({ body }: typeof anothers, number: string) =>
      JSON.stringify({ ...body.error, fbtrace_id: '' }).replaceAll(number, 'N')
    expect(anothers.status).toBe(nobodys.status)
    expect(shape(anothers, other.number)).toBe(shape(nobodys, '999'))
  })
  test('a company without a token', async () => {
    const bare = await rig.newCompany({ WHATSAPP_ACCESS_TOKEN: undefined })
    const { status, body } = await post(text(), { number: bare.number, token: bare.key })
    expect([status, body.error.code, body.error.error_data.gateway_code]).toEqual([403, 131005, 'NO_ACCESS_TOKEN'])
  })
})

describe('what cannot be answered as Meta answers', () => {
  test('a message that may have been sent is refused so that no client repeats it by itself', async () => {
    const { status, body } = await post(text({ to: '+34600000004' }))
    expect(status).toBe(400)
    expect(body.error).toMatchObject({
      code: 131000,
      is_transient: false,
      error_data: { gateway_code: 'SEND_UNCERTAIN', command_id: expect.any(String) },
    })
    expect(await sentTo('+34600000004')).toHaveLength(1)
  })
  test('a message that is not settled in time is a success with the command’s id, and where to ask for it', async () => {
    const waiting = await rig.newCompany()
    // Meta does not know the token any more: the number is paused, and its commands wait.
    await rig.forgetToken(waiting)
    const { status, headers, body } = await post(text(), { number: waiting.number, token: waiting.key })
    expect(status).toBe(202)
    const [, id] = /^command:(.+)$/.exec(body.messages[0].id) as unknown as [string, string]
    expect(body).toEqual({
      messaging_product: 'whatsapp',
      contacts: [{ input: '+34608684495', wa_id: '34608684495' }],
      messages: [{ id: `command:${id}` }],
    })
    expect(headers.get('location')).toBe(`/commands/${id}`)
    const standing = await fetch(`${rig.url}/commands/${id}`, { headers: { authorization: `Bearer ${waiting.key}` } })
    expect(await standing.json()).toMatchObject({ status: 'queued', command_id: id })
  })
})

test('each request leaves one line without words, phones, keys and tokens', async () => {
  rig.logged.length = 0
  const { body } = await post(text({ to: '+34655667788' }))
  await waitFor(() => expect(rig.logged.some((line) => line.includes('http.meta'))).toBe(true))
  const lines = rig.logged.filter((line) => line.includes('http.meta')).map((line) => JSON.parse(line))
  expect(lines).toEqual([
    expect.objectContaining({
      event: 'http.meta',
      company_id: company.id,
      phone_number_id: company.number,
      status: 200,
      outcome: 'accepted',
      message_id: body.messages[0].id,
      command_id: expect.any(String),
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      duration_ms: expect.any(Number),
    }),
  ])
  for (const secret of ['Confidential', '34655667788', company.key, TOKEN])
    expect(rig.logged.join()).not.toContain(secret)
})
