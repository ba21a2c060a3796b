import { expect, test } from 'vitest'
import { bearerToken, secretsEqual } from './bearer.ts'
import { createLog } from './log.ts'
import { traceparentFrom } from './trace.ts'

test.each([
  ['Bearer abc', 'abc'],
  ['bearer  abc ', 'abc'],
  ['Basic abc', undefined],
  ['Bearer', undefined],
  ['Bearer a b', undefined],
  [undefined, undefined],
])('the token of %j is %j', (header, token) => expect(bearerToken(header)).toBe(token))

test('secrets of any lengths can be compared', () => {
  expect(secretsEqual('a', 'a')).toBe(true)
  expect(secretsEqual('a', 'ab')).toBe(false)
  expect(secretsEqual('', '')).toBe(true)
})

test('a trace goes on with a new span; without one a new trace begins', () => {
  const incoming = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const outgoing = traceparentFrom(incoming)
  expect(outgoing).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$/)
  expect(outgoing).not.toBe(incoming)
  expect(traceparentFrom('garbage\r\n')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  expect(traceparentFrom(undefined)).not.toBe(traceparentFrom(undefined))
})

test('secrets never reach a log line, under whatever of their names', () => {
  const lines: string[] = []
  const log = createLog({ service: 's', level: 'info' }, { write: (line) => void lines.push(line) })
  log.info({
    event: 'x',
    token: 'hidden',
    config: { adminToken: 'hidden', natsUrl: 'nats://u:hidden@h' },
    a: { b: { WHATSAPP_APP_SECRET: 'hidden' } },
  })
  expect(lines.join()).not.toContain('hidden')
  expect(JSON.parse(lines[0] as string)).toMatchObject({ level: 'info', service: 's', event: 'x', token: '[secret]' })
})
