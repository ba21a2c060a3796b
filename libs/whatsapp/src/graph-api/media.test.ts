import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { createMediaClient, type MediaClient } from './media.client.ts'
import { isMediaAddress } from './media-address.ts'
import { hexOfMediaHash } from './media-hash.ts'
import { largestMediaBytes } from './media-limits.ts'

const HEX = '4c94485e0c21ae6c41ce1dfe7b6bfaceea5ab68e40a2476f50208e526f506080'
const read = (name: string) => readFileSync(new URL(`../../fixtures/graph/${name}`, import.meta.url), 'utf8')

describe('a hash of Meta’s', () => {
  test.each([
    ['hexadecimal', HEX, HEX],
    ['in capitals', HEX.toUpperCase(), HEX],
    ['base64', Buffer.from(HEX, 'hex').toString('base64'), HEX],
    ['base64 without padding', Buffer.from(HEX, 'hex').toString('base64').replace('=', ''), HEX],
    ['of another length', HEX.slice(1), undefined],
    ['nothing', '', undefined],
    ['something else', 'sha256', undefined],
  ])('%s', (_, text, hex) => expect(hexOfMediaHash(text)).toBe(hex))
})

test.each([
  ['image', 5_242_880],
  ['audio', 16_777_216],
  ['sticker', 512_000],
  ['document', 104_857_600],
  ['a kind to come', 104_857_600],
])('%s has at most %i bytes', (kind, bytes) => expect(largestMediaBytes(kind)).toBe(bytes))

test.each([
  ['https://lookaside.fbsbx.com/x', true],
  ['https://graph.facebook.com/x', true],
  ['http://127.0.0.1:8089/x', true],
  ['http://lookaside.fbsbx.com/x', false],
  ['https://lookaside.fbsbx.com.evil.example/x', false],
  ['https://evilfbsbx.com/x', false],
  ['https://fbsbx.com@evil.example/x', false],
  ['https://127.0.0.1:8089/x', false],
  ['file:///etc/passwd', false],
  ['nothing', false],
])('the token may be sent to %s: %s', (url, may) => expect(isMediaAddress(url, 'http://127.0.0.1:8089')).toBe(may))

describe('the client', () => {
  const open: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of open.splice(0)) await close()
  })
  const graph = async (
    answer: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<{ client: MediaClient; url: string }> => {
    const server: Server = createServer(answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = createMediaClient({ baseUrl: url, version: 'v22.0', timeoutMs: 200 })
    open.push(
      () => client.close(),
      async () => {
        server.close()
        server.closeAllConnections()
      },
    )
    return { client, url }
  }
  const saying = (status: number, body: string) => (_: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  const lookUp = (client: MediaClient) => client.lookUp({ mediaId: '1/2', token: 'token' })

  test('asks for the file by its id, with the token', async () => {
    let asked: string | undefined
    const { client } = await graph((request, response) => {
      asked = `${request.url} ${request.headers.authorization}`
      saying(200, read('media.get-numeric-size.json'))(request, response)
    })
    expect(await lookUp(client)).toMatchObject({
      kind: 'found',
      media: { url: expect.stringContaining('lookaside'), mimeType: 'audio/ogg', sha256: HEX, sizeBytes: 10_943 },
    })
    expect(asked).toBe('/v22.0/1%2F2 Bearer token')
  })

  test('reads a size that is a text', async () => {
    const { client } = await graph(saying(200, read('media.get.json')))
    expect(await lookUp(client)).toMatchObject({ media: { sizeBytes: 303_833 } })
  })

  test.each([
    ['a refusal', 401, read('error.190-token-expired.json'), { kind: 'refused', error: { code: 190 } }],
    [
      'an object that is not there',
      400,
      read('error.100-unsupported-get.json'),
      { kind: 'refused', error: { code: 100, subcode: 33 } },
    ],
    ['a page of something in between', 502, '<html>', { kind: 'refused', error: { code: 502, type: 'HTTP' } }],
    ['an answer without an address', 200, '{"id":"1"}', { kind: 'no-answer', cause: { code: 'NO_ADDRESS' } }],
    [
      'a foreign address',
      200,
      '{"url":"https://evil.example/x"}',
      { kind: 'no-answer', cause: { code: 'FOREIGN_ADDRESS' } },
    ],
  ])('tells %s apart', async (_, status, body, expected) => {
    const { client } = await graph(saying(status, body))
    expect(await lookUp(client)).toMatchObject(expected)
  })

  test('waits for no answer longer than it may, and reaches nobody where nobody is', async () => {
    const { client } = await graph(() => {})
    expect(await lookUp(client)).toMatchObject({ kind: 'no-answer', cause: { code: 'TIMEOUT' } })
    const nobody = createMediaClient({ baseUrl: 'http://127.0.0.1:1', version: 'v22.0', timeoutMs: 200 })
    expect(await lookUp(nobody)).toMatchObject({ kind: 'no-answer', cause: { code: 'ECONNREFUSED' } })
    await nobody.close()
  })

  test('a damaged token is refused without asking', async () => {
    let calls = 0
    const { client, url } = await graph((_, response) => {
      calls += 1
      response.end()
    })
    const refused = { kind: 'refused', error: { code: 190 } }
    expect(await client.lookUp({ mediaId: '1', token: 'a\nb' })).toMatchObject(refused)
    expect(await client.download({ url, token: 'a b' })).toMatchObject(refused)
    expect(calls).toBe(0)
  })

  test.each([
    [404, { kind: 'gone' }],
    [401, { kind: 'refused', httpStatus: 401 }],
    // It would carry the token to wherever it leads.
    [302, { kind: 'refused', httpStatus: 302 }],
  ])('a download that answers %i', async (status, expected) => {
    const { client, url } = await graph((_, response) => {
      response.writeHead(status, { location: 'https://evil.example/' }).end()
    })
    expect(await client.download({ url, token: 'token' })).toMatchObject(expected)
  })

  test.each([
    ['breaks off', (response: ServerResponse) => response.destroy()],
    ['falls silent', () => {}],
  ])('a body that %s throws where it is read', async (_, end) => {
    const { client, url } = await graph((_request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half')
      setImmediate(() => end(response))
    })
    const answer = await client.download({ url, token: 'token' })
    const readAll = async () => {
      if (answer.kind === 'streaming') for await (const _piece of answer.body);
    }
    expect(answer.kind).toBe('streaming')
    await expect(readAll()).rejects.toThrow()
  })
})
