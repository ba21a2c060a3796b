import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createSocketServer, type Server } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { createGraphClient, type GraphClient } from './graph.client.ts'
import { errorInfo } from './graph-error.ts'

const FOLDER = new URL('../../fixtures/graph/', import.meta.url)
const read = (file: string): string => readFileSync(new URL(file, FOLDER), 'utf8')
const TOKEN = 'EAAG-secret-token'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

const listen = async (server: Server): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const clientOf = (baseUrl: string, timeoutMs = 10_000): GraphClient => {
  const client = createGraphClient({ baseUrl, version: 'v22.0', timeoutMs })
  closing.push(() => client.close())
  return client
}

/** A Graph API of our own, and a client of it. */
const graph = async (handler: Handler, timeoutMs?: number): Promise<GraphClient> => {
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => handler(request, response, body))
  })
  const url = await listen(server)
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return clientOf(url, timeoutMs)
}

const answering = (status: number, body: string, headers: Record<string, string> = {}): Handler => {
  return (_, response) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
}

const send = (client: GraphClient) =>
  client.sendMessage({ phoneNumberId: '284610037551902', token: TOKEN, body: { type: 'text', text: { body: 'ä' } } })

describe('sending', () => {
  test('asks as Meta documents it', async () => {
    const seen: unknown[] = []
    const client = await graph((request, response, body) => {
      seen.push([request.method, request.url, request.headers.authorization, request.headers['content-type'], body])
      answering(200, read('messages.ok.json'))(request, response, body)
    })
    await send(client)
    expect(seen).toEqual([
      [
        'POST',
        '/v22.0/284610037551902/messages',
        `Bearer ${TOKEN}`,
        'application/json',
        '{"type":"text","text":{"body":"ä"}}',
      ],
    ])
  })

  const WAMID = 'wamid.HRoLMTYyODU1NTAxMzcVAgARGBIyMzUyREE3MjgwRjFERUNDM0EA'
  const nora = { input: '+16285550137', wa_id: '16285550137' }
  test.each([
    ['messages.ok.json', { messageId: WAMID, contact: nora }],
    ['messages.ok-template-accepted.json', { messageId: WAMID, contact: nora, messageStatus: 'accepted' }],
    [
      'messages.ok-template-held.json',
      { messageId: WAMID, contact: nora, messageStatus: 'held_for_quality_assessment' },
    ],
    ['messages.ok-template-paused.json', { messageId: WAMID, contact: nora, messageStatus: 'paused' }],
    [
      'messages.ok-to-bsuid.json',
      {
        messageId: 'wamid.HRoLMTYyODU1NTAxMzcVAgARGBIxQjI1MDFBMjBGRTFCQ0Q4MkIA',
        contact: { input: 'GB.20561934877402915563', user_id: 'GB.20561934877402915563' },
      },
    ],
    [
      'messages.ok-to-group.json',
      {
        messageId: 'wamid.HRoLMTYyODU1NTAxMzcVAgARGBI3MTE0MzBGNjE2NEU5MzgwM0QA',
        contact: { input: 'Y2FwaV9ncm91cDoxNTU1MDE0Mjc2MDoxMjAzNjM0MjE3ODgwMDQ1NTIZD' },
      },
    ],
    [
      'messages.ok-wa-id-differs-from-input.json',
      {
        messageId: 'wamid.HRoMNTI1NTUwMTg4MDAxFQIAERgSRDdGODkwQzRGNzJBM0Q0OUI2AA==',
        contact: { input: '+5215550188001', wa_id: '525550188001' },
      },
    ],
    [
      'marketing-messages.ok.json',
      {
        messageId: 'wamid.HRoLMTYyODU1NTAxMzcVAgARGBJBNkFEQzE0OTQ2QzExQjI1ODMA',
        contact: nora,
        messageStatus: 'accepted',
      },
    ],
  ])('%s is an acceptance', async (file, expected) => {
    const client = await graph(answering(200, read(file)))
    expect(await send(client)).toEqual({ kind: 'accepted', ...expected, response: JSON.parse(read(file)) })
  })

  test.each(readdirSync(FOLDER).filter((file) => file.startsWith('error.')))('%s is a refusal', async (file) => {
    const { code } = JSON.parse(read(file)).error as { code: number }
    const httpStatus = errorInfo(code)?.http_status ?? 400
    const client = await graph(answering(httpStatus, read(file)))
    expect(await send(client)).toMatchObject({ kind: 'refused', httpStatus, error: { code, httpStatus } })
  })

  test('a refusal says how long to wait, where Meta says it', async () => {
    const client = await graph(
      answering(400, read('error.80007.json'), {
        'x-business-use-case-usage': JSON.stringify(JSON.parse(read('headers.business-use-case-usage.json'))),
      }),
    )
    expect(await send(client)).toMatchObject({ kind: 'refused', error: { code: 80007 }, retryAfterMs: 240_000 })
  })

  test('an error under status 200 is a refusal all the same', async () => {
    const client = await graph(answering(200, read('error.131026.json')))
    expect(await send(client)).toMatchObject({ kind: 'refused', error: { code: 131026 }, httpStatus: 200 })
  })

  test.each([
    [500, '<html>Sorry, something went wrong.</html>'],
    [503, ''],
    [502, '{"broken":'],
    [429, '[]'],
  ])('status %i without an error of Meta is a refusal with the status for a code', async (status, body) => {
    const client = await graph(answering(status, body, { 'content-type': 'text/html' }))
    expect(await send(client)).toMatchObject({
      kind: 'refused',
      httpStatus: status,
      error: { code: status, type: 'HTTP' },
    })
  })

  test.each([
    ['<html>welcome</html>', 'NOT_JSON'],
    ['', 'NOT_JSON'],
    ['{}', 'NO_MESSAGE_ID'],
    ['[]', 'NO_MESSAGE_ID'],
    ['{"messages":[]}', 'NO_MESSAGE_ID'],
    ['{"messages":[{"id":""}]}', 'NO_MESSAGE_ID'],
  ])('an acceptance without a message id (%s) is not known to be one', async (body, code) => {
    const client = await graph(answering(200, body))
    expect(await send(client)).toMatchObject({ kind: 'unknown', cause: { code } })
  })

  test('a receipt is marked without an id; a message answered that way is not known to be sent', async () => {
    const client = await graph(answering(200, '{"success":true}'))
    const body = { messaging_product: 'whatsapp', status: 'read', message_id: 'wamid.1' }
    expect(await client.sendMessage({ phoneNumberId: '284610037551902', token: TOKEN, body })).toEqual({
      kind: 'marked',
      response: { success: true },
    })
    expect(await send(client)).toMatchObject({ kind: 'unknown', cause: { code: 'NO_MESSAGE_ID' } })
  })
  test('a receipt that Meta refuses is refused', async () => {
    const client = await graph(answering(400, read('error.131009.json')))
    const body = { messaging_product: 'whatsapp', status: 'read', message_id: 'wamid.1' }
    expect(await client.sendMessage({ phoneNumberId: '1', token: TOKEN, body })).toMatchObject({
      kind: 'refused',
      error: { code: 131009 },
    })
  })

  test('connections are kept for the next message', async () => {
    const ports = new Set<number | undefined>()
    const client = await graph((request, response, body) => {
      ports.add(request.socket.remotePort)
      answering(200, read('messages.ok.json'))(request, response, body)
    })
    for (let i = 0; i < 10; i++) expect((await send(client)).kind).toBe('accepted')
    expect(ports.size).toBeLessThan(5)
  })

  test('a redirect is not followed: the token goes nowhere else', async () => {
    let calls = 0
    const client = await graph((request, response, body) => {
      calls++
      answering(302, '', { location: '/elsewhere' })(request, response, body)
    })
    expect(await send(client)).toMatchObject({ kind: 'refused', httpStatus: 302 })
    expect(calls).toBe(1)
  })
})

describe('when the network fails', () => {
  test('no answer in time: it may have been carried out', async () => {
    let calls = 0
    const client = await graph(() => {
      calls++
    }, 200)
    expect(await send(client)).toEqual({
      kind: 'unknown',
      cause: { code: 'TIMEOUT', message: 'no answer within the time allowed' },
    })
    expect(calls).toBe(1)
  })

  test('an answer that drips in for ever ends in time', async () => {
    const timers: NodeJS.Timeout[] = []
    closing.push(async () => timers.forEach(clearInterval))
    const client = await graph((_, response) => {
      response.writeHead(200)
      timers.push(setInterval(() => response.write(' '), 20))
    }, 300)
    expect(await send(client)).toMatchObject({ kind: 'unknown', cause: { code: 'TIMEOUT' } })
  })

  test('a reset after the request was written: it may have been carried out', async () => {
    const client = await graph((request) => request.socket.resetAndDestroy())
    expect(await send(client)).toMatchObject({
      kind: 'unknown',
      cause: { code: expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET/) },
    })
  })

  test('an answer cut short: it may have been carried out', async () => {
    const client = await graph((request, response) => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('{"messages":', () => request.socket.destroy())
    })
    expect(await send(client)).toMatchObject({ kind: 'unknown' })
  })

  test('a refusal cut short is a refusal', async () => {
    const client = await graph((request, response) => {
      response.writeHead(400, { 'content-length': '1000' })
      response.write('{"error":', () => request.socket.destroy())
    })
    expect(await send(client)).toMatchObject({ kind: 'refused', httpStatus: 400, error: { type: 'HTTP' } })
  })

  test('nobody listens: nothing was carried out', async () => {
    const server = createSocketServer()
    const url = await listen(server)
    await new Promise((resolve) => server.close(resolve))
    expect(await send(clientOf(url))).toMatchObject({ kind: 'unreachable', cause: { code: 'ECONNREFUSED' } })
  })

  test('a name that does not resolve: nothing was carried out', async () => {
    expect(await send(clientOf('http://graph.invalid'))).toMatchObject({
      kind: 'unreachable',
      cause: { code: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/) },
    })
  })

  test('a connection that fails before it is secure: nothing was carried out', async () => {
    const server = createSocketServer((socket) => socket.destroy())
    const url = await listen(server)
    closing.push(() => new Promise((resolve) => server.close(resolve)))
    expect(await send(clientOf(url.replace('http:', 'https:')))).toMatchObject({ kind: 'unreachable' })
  })

  test('a time-out while still connecting: nothing was carried out', async () => {
    // Accepts the connection and never answers the TLS greeting.
    const sockets: { destroy(): void }[] = []
    const server = createSocketServer((socket) => sockets.push(socket))
    const url = await listen(server)
    closing.push(async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    expect(await send(clientOf(url.replace('http:', 'https:'), 200))).toMatchObject({ kind: 'unreachable' })
  })

  test('the token is in no result', async () => {
    const results = [
      await send(await graph((request) => request.socket.destroy())),
      await send(await graph(answering(401, read('error.190-malformed.json')))),
      await send(clientOf('http://127.0.0.1:1')),
      await send(await graph(() => {}, 100)),
    ]
    expect(results.map((result) => result.kind)).toEqual(['unknown', 'refused', 'unreachable', 'unknown'])
    expect(JSON.stringify(results)).not.toContain(TOKEN)
  })

  test('a token that fits into no header is refused as Meta would, without a call', async () => {
    let calls = 0
    const client = await graph(() => {
      calls++
    })
    for (const token of ['', 'two words', 'line\nbreak', 'ñ'])
      expect(await client.sendMessage({ phoneNumberId: '1', token, body: {} })).toMatchObject({
        kind: 'refused',
        error: { code: 190 },
      })
    expect(calls).toBe(0)
  })

  test('a number id is one step of the path, whatever it holds', async () => {
    const urls: unknown[] = []
    const client = await graph((request, response, body) => {
      urls.push(request.url)
      answering(200, read('messages.ok.json'))(request, response, body)
    })
    await client.sendMessage({ phoneNumberId: '../1?x=', token: TOKEN, body: {} })
    expect(urls).toEqual(['/v22.0/..%2F1%3Fx%3D/messages'])
  })
})

describe('asking for a template', () => {
  const ask = (client: GraphClient, name: string) =>
    client.getTemplates({ wabaId: '315204778120945', token: TOKEN, name })

  test('finds it by name', async () => {
    const urls: (string | undefined)[] = []
    const client = await graph((request, response, body) => {
      urls.push(request.url)
      const { paging: _, ...page } = JSON.parse(read('templates.list.json'))
      answering(200, JSON.stringify(page))(request, response, body)
    })
    expect(await ask(client, 'week_offer')).toMatchObject({
      kind: 'found',
      templates: [{ name: 'week_offer', headerFormat: 'IMAGE', bodyParameters: ['first_name'] }],
    })
    expect(urls).toHaveLength(1)
    expect(urls[0]).toMatch(/^\/v22\.0\/315204778120945\/message_templates\?.*name=week_offer/)
  })

  test('follows the pages by cursor to the last one, for its other languages', async () => {
    const page = (name: string, language: string, after?: string) =>
      JSON.stringify({
        data: [{ name, language, components: [] }],
        ...(after === undefined ? {} : { paging: { cursors: { after }, next: 'https://evil.example/steal' } }),
      })
    const pages: Record<string, string> = {
      '': page('a', 'es', 'one'),
      one: page('b_a', 'es', 'two'),
      two: page('a', 'de'),
    }
    const client = await graph((request, response, body) => {
      const after = new URL(request.url as string, 'http://x').searchParams.get('after') ?? ''
      answering(200, pages[after] as string)(request, response, body)
    })
    expect(await ask(client, 'a')).toMatchObject({ kind: 'found', templates: [{ language: 'es' }, { language: 'de' }] })
    expect(await ask(client, 'c')).toEqual({ kind: 'found', templates: [] })
  })

  test('a cursor that leads back to itself ends the search', async () => {
    const client = await graph(answering(200, read('templates.list.json')))
    expect(await ask(client, 'nothing')).toEqual({ kind: 'found', templates: [] })
  })

  test('a refusal, a strange answer and a dead line are told apart', async () => {
    expect(await ask(await graph(answering(401, read('error.190-token-expired.json'))), 'a')).toMatchObject({
      kind: 'refused',
      error: { code: 190, subcode: 463 },
    })
    expect(await ask(await graph(answering(200, '{"data":7}')), 'a')).toMatchObject({
      kind: 'unknown',
      cause: { code: 'NO_LIST' },
    })
    expect(await ask(clientOf('http://127.0.0.1:1'), 'a')).toMatchObject({ kind: 'unreachable' })
  })
})
