import { ok, operationsOf } from './operation.ts'
import { answer, boolean, type Schema, string } from './schema.ts'

const of = operationsOf('every service', [])

const report: Schema = answer({
  ready: boolean,
  checks: { type: 'object', additionalProperties: answer({ ok: boolean, reason: string }, ['reason']) },
})

/** What every service has, each for itself. */
export const everyServiceOperations = [
  of('get', '/healthz', {
    id: 'getHealth',
    summary: 'Alive',
    responses: { 200: ok('It is', answer({ status: { const: 'ok' } })) },
  }),
  of('get', '/readyz', {
    id: 'getReadiness',
    summary: 'Ready, and if not why',
    responses: { 200: ok('It is', report), 503: ok('It is not', report) },
  }),
  of('get', '/metrics', {
    id: 'getMetrics',
    summary: 'Metrics for Prometheus',
    responses: { 200: { description: 'All of them', content: { 'text/plain': { schema: string } } } },
  }),
]
