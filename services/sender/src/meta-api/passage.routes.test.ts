import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHttp, createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import type { Tenant } from '@cloudapi2/tenants'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { admission } from '../access/access.routes.ts'
import { createPassage, type Passage, PassageFailed } from './graph-passage.client.ts'
import { metaApiRoutes } from './meta-api.routes.ts'

const company = (companyId: string, numbers: string[], businessId: string, accessToken: string): Tenant => ({
  companyId,
  name: companyId,
  accessToken,
  businessId,
  appSecrets: [],
  phoneNumbers: numbers.map((id) => ({ id, messagesPerSecond: 80 })),
  defaultPhoneNumberId: numbers[0] as string,
  defaultCountry: 'ES',
  rateLimit: { maxCalls: 20, windowSeconds: 60 },
  onUncertain: 'park',
  apiKeys: [],
})
const ONE = '11111111-4f5d-494c-8a74-45f8cee150e6'
const TWO = '22222222-4f5d-494c-8a74-45f8cee150e6'
// The two share a token, as the clients of one agency may.
const companies = [company(ONE, ['11', '12'], '101', 'EAAshared'), company(TWO, ['21'], '102', 'EAAshared')]
const KEYS: Record<string, string> = { 'key-one': ONE, 'key-two': TWO }

let graph: Server
let graphUrl: string
let passage: Passage
let app: FastifyInstance
let url: string
/** What Graph was asked, and how it answers now. */
let asked: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[]
let answer: (request: IncomingMessage, response: ServerResponse) => void

const json = (response: ServerResponse, body: unknown, status = 200) =>
  response
    .writeHead(status, {
      'content-type': 'application/json',
      'set-cookie': 'a=b',
      'www-authenticate': 'OAuth "Facebook Platform"',
      'x-fb-trace-id': 'Ab1',
    })
    .end(JSON.stringify(body))
const notThere = {
  error: { message: 'Unsupported get request', type: 'GraphMethodException', code: 100, error_subcode: 33 },
}
const media = (id: string, address = `${graphUrl}/file/${id}`) => ({
  messaging_product: 'whatsapp',
  url: address,
  mime_type: 'image/png',
  sha256: 'ab',
  file_size: 6,
  id,
})

beforeAll(async () => {
  graph = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      asked.push({ method, url: path, headers, body: Buffer.concat(chunks).toString() })
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => graph.listen(0, '127.0.0.1', resolve))
  graphUrl = `http://127.0.0.1:${(graph.address() as AddressInfo).port}`
  passage = createPassage({ baseUrl: graphUrl, timeoutMs: 1_000 })
  const log = createLog({ service: 'sender', level: 'silent' })
  const tenants = {
    get: (id: string) => companies.find(({ companyId }) => companyId === id),
    byPhoneNumberId: (id: string) => companies.find(({ phoneNumbers }) => phoneNumbers.some((n) => n.id === id)),
    byBusinessId: (id: string) => companies.find(({ businessId }) => businessId === id),
    isLoaded: () => true,
    keyOf: (token: string) => {
      const companyId = KEYS[token]
      return companyId === undefined ? undefined : { companyId, keyId: 'k', scopes: ['send'] }
    },
  }
  app = createHttp({ log, metrics: createMetrics('sender'), readiness: createReadiness() })
  metaApiRoutes(app, {
    admit: admission({ adminToken: 'the-admin-token-of-the-test', tenants }),
    tenants,
    passage,
    graphBaseUrl: graphUrl,
    submit: () => Promise.reject(new Error('nothing is sent here')),
    ledger: { find: async () => undefined },
    isConnected: () => true,
    metaWaitMs: 1_000,
    log,
    now: Date.now,
  })
  url = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await app?.close()
  await passage?.close()
  graph?.closeAllConnections()
  graph?.close()
})
beforeEach(() => {
  asked = []
  answer = (_request, response) => json(response, { success: true })
})

const ask = async (
  method: string,
  path: string,
  headers: Record<string, string> = { authorization: 'Bearer key-one' },
) => {
  const response = await fetch(`${url}${path}`, { method, headers })
  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever came
  return { status: response.status, headers: response.headers, body: (await response.json()) as any }
}
/** Looks a file up as its owner and returns the path of the link. */
const linkOf = async (id: string, address?: string): Promise<string> => {
  answer = (_request, response) => json(response, media(id, address))
  const { body } = await ask('GET', `/v22.0/${id}`)
  return String(body.url).slice(url.length)
}

test('a file goes up with the company’s token, as it comes, and Graph’s answer comes back', async () => {
  answer = (_request, response) => json(response, { id: '901' })
  const form = new FormData()
  form.set('messaging_product', 'whatsapp')
  form.set('file', new File(['the bytes'], 'rye.png', { type: 'image/png' }))
  const response = await fetch(`${url}/v19.0/11/media?method=delete&access_token=x`, {
    method: 'POST',
    headers: { authorization: 'Bearer key-one', cookie: 'session=1', 'x-api-key': 'key-one' },
    body: form,
  })
  expect(await response.json()).toEqual({ id: '901' })
  const [call] = asked
  expect(call).toMatchObject({ method: 'POST', url: '/v19.0/11/media', body: expect.stringContaining('the bytes') })
  expect(call?.headers).toMatchObject({
    authorization: 'Bearer EAAshared',
    'content-type': expect.stringContaining('boundary'),
  })
  expect(call?.headers.cookie).toBeUndefined()
  expect(JSON.stringify(call)).not.toContain('key-one')
})
test('of Graph’s headers the caller sees what speaks of the answer', async () => {
  answer = (_request, response) => json(response, notThere, 400)
  const { status, headers, body } = await ask('GET', '/v22.0/901?phone_number_id=11')
  expect([status, body]).toEqual([400, notThere])
  expect(headers.get('x-fb-trace-id')).toBe('Ab1')
  expect(headers.get('set-cookie')).toBeNull()
  expect(headers.get('www-authenticate')).toBeNull()
})
test('an upload that is too large is refused before Graph is asked', async () => {
  const status = await new Promise((resolve, reject) => {
    const upload = httpRequest(`${url}/v22.0/11/media`, {
      method: 'POST',
      headers: {
        authorization: 'Bearer key-one',
        'content-type': 'multipart/form-data; boundary=x',
        'content-length': String(200 * 1024 * 1024),
      },
    })
    upload.on('response', (response) => {
      resolve(response.statusCode)
      upload.destroy()
    })
    upload.on('error', reject)
    upload.flushHeaders()
  })
  expect(status).toBe(413)
  expect(asked).toEqual([])
})
test('a number of another company takes no file, and its account lists no template', async () => {
  const form = new FormData()
  form.set('file', new File(['x'], 'x.png', { type: 'image/png' }))
  const headers = { authorization: 'Bearer key-one' }
  const upload = await fetch(`${url}/v22.0/21/media`, { method: 'POST', headers, body: form })
  expect([upload.status, await upload.json()]).toMatchObject([400, { error: { code: 100, error_subcode: 33 } }])
  expect(await ask('GET', '/v22.0/102/message_templates')).toMatchObject({
    status: 400,
    body: { error: { code: 100, error_subcode: 33 } },
  })
  expect(asked).toEqual([])
})
test('a file is looked up for the company’s numbers only, one after the other', async () => {
  answer = (request, response) =>
    request.url?.endsWith('=12') ? json(response, media('901')) : json(response, notThere, 400)
  expect((await ask('GET', '/v22.0/901')).body).toMatchObject({
    id: '901',
    url: expect.stringContaining(`${url}/v22.0/901/`),
  })
  expect(asked.map((call) => call.url)).toEqual(['/v22.0/901?phone_number_id=11', '/v22.0/901?phone_number_id=12'])
})
test('a file is not looked up for a number of another company, although the two share a token', async () => {
  expect(await ask('GET', '/v22.0/901?phone_number_id=21')).toMatchObject({
    status: 400,
    body: { error: { code: 100, error_subcode: 33 } },
  })
  expect(asked).toEqual([])
})
test('the operator says by the number whose file it is', async () => {
  const headers = { authorization: 'Bearer the-admin-token-of-the-test' }
  expect(await ask('GET', '/v22.0/901', headers)).toMatchObject({ status: 400, body: { error: { code: 131008 } } })
  answer = (_request, response) => json(response, media('901'))
  expect((await ask('GET', '/v22.0/901?phone_number_id=21', headers)).body.url).toContain(TWO)
})
test('only files are looked up and deleted, whatever else the token opens', async () => {
  answer = (_request, response) => json(response, { id: '555', name: 'A page', access_token: 'EAAofThePage' })
  for (const method of ['GET', 'DELETE'])
    for (const id of ['555', '11', '101', 'me', '555%2Ffeed'])
      expect(await ask(method, `/v22.0/${id}`), `${method} ${id}`).toMatchObject({
        status: 400,
        body: { error: { code: 100, error_subcode: 33 } },
      })
  expect(asked.filter(({ method }) => method === 'DELETE')).toEqual([])
})
test('a file is deleted', async () => {
  answer = (request, response) => json(response, request.method === 'DELETE' ? { success: true } : media('901'))
  expect(await ask('DELETE', '/v22.0/901')).toMatchObject({ status: 200, body: { success: true } })
  expect(asked.map(({ method, url: path }) => `${method} ${path}`)).toEqual([
    'GET /v22.0/901?phone_number_id=11',
    'DELETE /v22.0/901?phone_number_id=11',
  ])
})
test('a download streams: its beginning arrives while Graph still has the rest', async () => {
  const link = await linkOf('901')
  let finish = () => {}
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': '6' })
    response.write('abc')
    finish = () => response.end('def')
  }
  const response = await fetch(`${url}${link}`, { headers: { authorization: 'Bearer key-one' } })
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  expect(Buffer.from((await reader.read()).value as Uint8Array).toString()).toBe('abc')
  finish()
  expect(Buffer.from((await reader.read()).value as Uint8Array).toString()).toBe('def')
  expect(response.headers.get('content-type')).toBe('image/png')
  expect(asked.at(-1)?.headers.authorization).toBe('Bearer EAAshared')
})
test('a caller who goes in the middle of a download lets Graph go as well', async () => {
  const link = await linkOf('901')
  const graphIsLeft = new Promise<void>((resolve) => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'image/png' })
      response.write('abc')
      response.once('close', resolve)
    }
  })
  const caller = new AbortController()
  const response = await fetch(`${url}${link}`, { signal: caller.signal })
  await (response.body as ReadableStream<Uint8Array>).getReader().read()
  caller.abort()
  await graphIsLeft
  answer = (_request, reply) => json(reply, media('901'))
  expect((await ask('GET', '/v22.0/901')).status).toBe(200)
})
test('a part of a file is asked for as a part', async () => {
  const link = await linkOf('901')
  answer = (_request, response) =>
    void response.writeHead(206, { 'content-type': 'image/png', 'content-range': 'bytes 1-2/6' }).end('bc')
  const response = await fetch(`${url}${link}`, { headers: { range: 'bytes=1-2' } })
  expect([response.status, response.headers.get('content-range'), await response.text()]).toEqual([
    206,
    'bytes 1-2/6',
    'bc',
  ])
  expect(asked.at(-1)?.headers.range).toBe('bytes=1-2')
})
test('a link opens without a key, as some SDKs send none, but not with a wrong one', async () => {
  const link = await linkOf('901')
  answer = (_request, response) => void response.end('abcdef')
  expect(await (await fetch(`${url}${link}`)).text()).toBe('abcdef')
  expect((await fetch(`${url}${link}`, { headers: { authorization: 'Bearer nobody' } })).status).toBe(401)
  const others = await fetch(`${url}${link}`, { headers: { authorization: 'Bearer key-two' } })
  expect([others.status, await others.json()]).toMatchObject([400, { error: { code: 100, error_subcode: 33 } }])
})
test('an altered link asks nobody', async () => {
  const link = await linkOf('901')
  asked = []
  const target = Buffer.from(`${graphUrl}/v22.0/me?fields=access_token`).toString('base64url')
  const altered = link.replace(/target=[^&]+/, `target=${target}`)
  expect((await ask('GET', altered)).status).toBe(400)
  expect((await ask('GET', link.replace('/901/', '/902/'))).status).toBe(400)
  expect(asked).toEqual([])
})
test('an address that is not Meta’s gets no token', async () => {
  answer = (_request, response) => json(response, media('901', 'https://files.evil.example/901'))
  expect(await ask('GET', '/v22.0/901')).toMatchObject({ status: 503, body: { error: { code: 2 } } })
})
test('a redirect is not followed with the token', async () => {
  const link = await linkOf('901')
  answer = (_request, response) => void response.writeHead(302, { location: `${graphUrl}/elsewhere` }).end()
  asked = []
  expect((await ask('GET', link)).status).toBe(503)
  expect(asked).toHaveLength(1)
})
test('the link leads to where the caller asked, through whatever stood in between', async () => {
  answer = (_request, response) => json(response, media('901'))
  const headers = {
    authorization: 'Bearer key-one',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'wa.example.com',
  }
  expect((await ask('GET', '/v22.0/901', headers)).body.url).toMatch(
    /^https:\/\/wa\.example\.com\/v22\.0\/901\/content\?/,
  )
})
test('Graph that does not answer is said to be away, and it may be tried again', async () => {
  answer = (request) => void request.socket.destroy()
  expect(await ask('GET', '/v22.0/901')).toMatchObject({
    status: 503,
    body: { error: { code: 2, is_transient: true } },
  })
  await expect(
    createPassage({ baseUrl: 'http://127.0.0.1:1', timeoutMs: 500 }).call({
      method: 'GET',
      path: 'v22.0/1',
      query: new URLSearchParams(),
      token: 'EAA',
      signal: AbortSignal.timeout(5_000),
    }),
  ).rejects.toThrow(PassageFailed)
})
test('a path that is not offered is answered as Meta answers an unknown one', async () => {
  for (const [method, path] of [
    ['POST', '/v22.0/11/register'],
    ['POST', '/v22.0/101/message_templates'],
    ['GET', '/v22.0/11/nothing/at/all'],
  ] as const)
    expect(await ask(method, path)).toMatchObject({
      status: 400,
      body: { error: { code: 2500, fbtrace_id: expect.any(String) } },
    })
  expect(asked).toEqual([])
})
