import { afterEach, expect, test } from 'vitest'
import { createHttp } from './http.app.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics.ts'
import { Problem } from './problem.ts'
import { createReadiness } from './readiness.ts'

const lines: string[] = []
afterEach(() => lines.splice(0))

const service = () => {
  const readiness = createReadiness()
  const log = createLog({ service: 'test', level: 'info' }, { write: (line) => void lines.push(line) })
  const app = createHttp({ log, metrics: createMetrics('test'), readiness, bodyLimitBytes: 100 })
  app.get('/refused', () => {
    throw new Problem({
      status: 409,
      code: 'ALREADY_THERE',
      title: 'It is there',
      detail: 'Use PUT.',
      headers: { 'retry-after': '1' },
      extensions: { fields: ['a'] },
    })
  })
  app.get('/broken', () => {
    throw new Error('a secret detail')
  })
  app.post('/echo', (request) => request.body)
  return { app, readiness }
}

test('a refusal is problem details, with code, headers and what to do', async () => {
  const response = await service().app.inject('/refused')
  expect(response.statusCode).toBe(409)
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(response.headers['retry-after']).toBe('1')
  expect(response.json()).toEqual({
    type: 'urn:cloudapi2:problem:already-there',
    title: 'It is there',
    status: 409,
    detail: 'Use PUT.',
    code: 'ALREADY_THERE',
    fields: ['a'],
  })
  expect(lines).toEqual([])
})
test('what nobody foresaw is a 500 that tells the caller nothing and the log everything', async () => {
  const response = await service().app.inject('/broken')
  expect(response.statusCode).toBe(500)
  expect(response.body).not.toContain('a secret detail')
  expect(lines.join()).toContain('a secret detail')
})
test.each([
  ['not JSON', '{', 'application/json', 400, 'INVALID_JSON'],
  ['nothing', '', 'application/json', 400, 'INVALID_JSON'],
  ['XML', '<a/>', 'application/xml', 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ['too much', JSON.stringify('x'.repeat(200)), 'application/json', 413, 'BODY_TOO_LARGE'],
])('a body that is %s is refused with a code of ours', async (_name, body, type, status, code) => {
  const response = await service().app.inject({ method: 'POST', url: '/echo', body, headers: { 'content-type': type } })
  expect(response.statusCode).toBe(status)
  expect(response.json()).toMatchObject({ code, status })
})
test('an unknown route is a problem too', async () => {
  expect((await service().app.inject('/nowhere')).json()).toMatchObject({ status: 404, code: 'NOT_FOUND' })
})
test('alive is not yet ready: ready is when every check is, and says why not', async () => {
  const { app, readiness } = service()
  readiness.set('nats', false, 'no connection')
  readiness.watch('tenants', () => ({ ok: true }))
  expect((await app.inject('/healthz')).statusCode).toBe(200)
  const waiting = await app.inject('/readyz')
  expect(waiting.statusCode).toBe(503)
  expect(waiting.json()).toEqual({
    ready: false,
    checks: { nats: { ok: false, reason: 'no connection' }, tenants: { ok: true } },
  })
  readiness.set('nats', true)
  expect((await app.inject('/readyz')).statusCode).toBe(200)
})
test('metrics are in the text format of Prometheus', async () => {
  expect((await service().app.inject('/metrics')).body).toContain('process_resident_memory_bytes{service="test"}')
})
