import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { request } from 'undici'
import { buildSimulator, type SimulatorOptions } from './app.ts'
import type { JsonObject } from './json.ts'
import type { TenantInput } from './tenants.ts'

/** A body of Meta's, from the folder beside `src`. */
export const fixture = (path: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/${path}.json`, import.meta.url), 'utf8'))

/** What a value is made of: names and types without the values, so that an answer can be compared with Meta's. */
export const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)]))
}

interface Received {
  bytes: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: webhooks of every shape are looked into.
  body: any
  isSigned: boolean
  headers: IncomingMessage['headers']
}

/** The tenant's end of the webhooks: knows only the app secret, and checks the signature over the bytes it received. */
export const startReceiver = async (appSecret: string) => {
  const received: Received[] = []
  const waiting = new Set<() => void>()
  let respond: (webhook: Received, response: ServerResponse, nth: number) => void = (_, response) => response.end('{}')
  const server = createServer((message, response) => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      if (message.method === 'GET') {
        const query = new URL(message.url ?? '', 'http://tenant').searchParams
        response.statusCode = query.get('hub.verify_token') === 'verify-a' ? 200 : 403
        response.end(query.get('hub.challenge'))
        return
      }
      const bytes = Buffer.concat(chunks)
      const expected = `sha256=${createHmac('sha256', appSecret).update(bytes).digest('hex')}`
      const webhook = {
        bytes,
        body: JSON.parse(bytes.toString()),
        isSigned: message.headers['x-hub-signature-256'] === expected,
        headers: message.headers,
      }
      received.push(webhook)
      respond(webhook, response, received.length)
      for (const look of [...waiting]) look()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`,
    received,
    /** The statuses so far, in order of arrival. */
    statuses: () => received.flatMap(({ body }) => body.entry?.[0]?.changes?.[0]?.value?.statuses ?? []),
    respondWith: (next: typeof respond) => {
      respond = next
    },
    /** Resolves once the condition holds. */
    until: (condition: () => boolean): Promise<void> =>
      new Promise((resolve) => {
        const look = () => {
          if (!condition()) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
export type Receiver = Awaited<ReturnType<typeof startReceiver>>

export const PHONE = '284610037551902'
export const WABA = '315204778120945'
export const SECRET = 'test_app_secret'

export const tenantA = (webhook_url: string): TenantInput => ({
  company_id: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
  waba_id: WABA,
  phone_numbers: [{ id: PHONE, display_phone_number: '+1 555-014-2760', verified_name: 'Corner Bakery' }],
  access_token: 'token-a',
  app_secret: SECRET,
  verify_token: 'verify-a',
  webhook_url,
  templates: [
    {
      name: 'order_ready',
      language: 'en_US',
      components: [{ type: 'BODY', text: 'Hello {{1}}, your order {{2}} is ready to collect.' }],
    },
    {
      name: 'order_ready_named',
      language: 'en_US',
      parameter_format: 'NAMED',
      components: [{ type: 'BODY', text: 'Hello {{first_name}}, your order {{order_number}} is ready.' }],
    },
    {
      name: 'offer_image',
      language: 'en_US',
      category: 'MARKETING',
      components: [
        { type: 'HEADER', format: 'IMAGE' },
        { type: 'BODY', text: 'Hello {{1}}' },
      ],
    },
    {
      name: 'track_order',
      language: 'en_US',
      components: [
        { type: 'BODY', text: 'Order {{1}}' },
        { type: 'BUTTONS', buttons: [{ type: 'URL', text: 'Track', url: 'https://example.com/t/{{1}}' }] },
      ],
    },
    { name: 'resting', language: 'en_US', status: 'PAUSED', components: [] },
  ],
})

export const tenantB = (webhook_url: string): TenantInput => ({
  company_id: 'b1111111-4f5d-494c-8a74-45f8cee150e6',
  waba_id: '409113582067731',
  phone_numbers: [{ id: '271938440165038', display_phone_number: '+44 20 7123 4560' }],
  access_token: 'token-b',
  app_secret: 'another-secret',
  verify_token: 'verify-b',
  webhook_url,
})

/** Fast enough for a test to wait for, in the order of the defaults. */
const FAST = { sent_ms: 1, delivered_ms: 40, read_ms: 80, retry_first_ms: 5, retry_longest_ms: 20, hold_ms: 100 }

/** A simulator on a real port with tenant A (and B), and the receiver of A's webhooks. */
export const startRig = async (options: SimulatorOptions = {}) => {
  const receiver = await startReceiver(SECRET)
  const app = buildSimulator({ tenants: [tenantA(receiver.url), tenantB(receiver.url)], seed: 1, ...options })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })

  const call = async (
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
    headers: Record<string, string> = { authorization: 'Bearer token-a' },
  ) => {
    const answer = await request(`${url}${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await answer.body.text()
    return { status: answer.statusCode, headers: answer.headers, body: text === '' ? undefined : JSON.parse(text) }
  }
  await call('PUT', '/simulate/timing', FAST)
  return {
    url,
    receiver,
    call,
    send: (message: JsonObject, token = 'token-a', phone = PHONE) =>
      call('POST', `/v22.0/${phone}/messages`, message, { authorization: `Bearer ${token}` }),
    calls: async (query: string) => (await call('GET', `/simulate/calls?${query}`)).body.calls,
    close: async () => {
      await app.close()
      await receiver.close()
    },
  }
}
export type Rig = Awaited<ReturnType<typeof startRig>>

/** A text to the recipient, with our own id for it when one is given. */
export const text = (to: string, callbackData?: string): JsonObject => ({
  messaging_product: 'whatsapp',
  to,
  type: 'text',
  text: { body: 'Your order is ready.' },
  ...(callbackData === undefined ? {} : { biz_opaque_callback_data: callbackData }),
})
