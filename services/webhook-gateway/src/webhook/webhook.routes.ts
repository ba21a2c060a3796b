import { randomUUID } from 'node:crypto'
import { CORRELATION_HEADER, subjects, TRACEPARENT_HEADER } from '@cloudapi2/contracts'
import type { Publisher } from '@cloudapi2/nats'
import { type Logger, type Metrics, Problem, secretsEqual, traceparentFrom } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import { isSigned } from '@cloudapi2/whatsapp'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { appEndpoint, type Endpoint, tenantEndpoint } from './endpoint.ts'
import { type EncodedEvent, understand } from './webhook-events.ts'

export interface WebhookRoutesDeps {
  tenants: TenantDirectory
  publisher: Publisher
  log: Logger
  metrics: Metrics
  maxInFlight: number
  allowUnsigned: boolean
  metaAppSecrets: readonly string[]
  metaVerifyToken: string | undefined
  now: () => Date
}

/** What Meta is asked to wait when we cannot store right now. It has its own schedule and may not look. */
const RETRY_AFTER_SECONDS = '5'

const OK = '{"status":"ok"}'

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

type Outcome =
  | 'stored'
  | 'ignored'
  | 'not_json'
  | 'unsigned'
  | 'unknown_company'
  | 'overloaded'
  | 'not_stored'
  | 'not_ready'

const busy = (code: string, title: string, cause?: unknown) =>
  new Problem({ status: 503, code, title, headers: { 'retry-after': RETRY_AFTER_SECONDS }, cause })

/**
 * Meta's side of the gateway. The 200 of a POST is a receipt: it leaves after the log has confirmed every event of the
 * body. Any other answer makes Meta send the whole POST again; the ids of the events make that harmless.
 */
export const webhookRoutes = (app: FastifyInstance, deps: WebhookRoutesDeps): void => {
  const { tenants, publisher, log, metrics, maxInFlight, allowUnsigned, now } = deps
  const webhooks = metrics.counter('webhooks_total', 'Webhook POSTs by outcome', ['outcome'])
  const stored = metrics.counter('webhook_events_total', 'Events stored by type', ['type'])
  const duration = metrics.histogram('webhook_seconds', 'From the last byte of a webhook to its answer', SECONDS)
  const inFlight = metrics.gauge('webhooks_in_flight', 'Webhook POSTs being worked on')
  let working = 0

  // The signature is over the bytes as they came: nothing may parse them first, whatever their content type says.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))

  app.addHook('onRequest', (request, reply, done) => {
    if (request.method !== 'POST') return done()
    // Before the body is read: it is the bodies that fill the memory.
    if (working >= maxInFlight) {
      webhooks.inc({ outcome: 'overloaded' satisfies Outcome })
      return done(busy('OVERLOADED', 'Too many webhooks are being worked on'))
    }
    inFlight.set(++working)
    reply.raw.once('close', () => inFlight.set(--working))
    done()
  })

  const endpointOf = (companyId: string): Endpoint => {
    const endpoint = tenantEndpoint(tenants, companyId)
    if (endpoint !== undefined) return endpoint
    // Before the first snapshot nobody is known yet: a 404 would tell Meta something that is not true.
    if (!tenants.isLoaded()) throw busy('TENANTS_NOT_LOADED', 'The tenants are not loaded yet')
    throw new Problem({ status: 404, code: 'UNKNOWN_COMPANY', title: 'There is no such company' })
  }

  const appWide = (): Endpoint => {
    if (deps.metaAppSecrets.length === 0 && deps.metaVerifyToken === undefined)
      throw new Problem({
        status: 404,
        code: 'APP_WEBHOOK_NOT_CONFIGURED',
        title: 'This installation has no app-wide webhook',
        detail: 'Set META_APP_SECRET and META_VERIFY_TOKEN, or use /<company_id>/webhook.',
      })
    return appEndpoint(tenants, { appSecrets: deps.metaAppSecrets, verifyToken: deps.metaVerifyToken })
  }

  const receive = async (request: FastifyRequest, reply: FastifyReply, find: () => Endpoint, companyId?: string) => {
    const startedAt = performance.now()
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    let events: EncodedEvent[] = []
    let outcome: Outcome = 'stored'
    let failure: string | undefined
    try {
      let endpoint: Endpoint
      try {
        endpoint = find()
      } catch (error) {
        outcome = (error as Problem).status === 503 ? 'not_ready' : 'unknown_company'
        throw error
      }
      const isTrusted =
        endpoint.appSecrets.length === 0
          ? allowUnsigned
          : isSigned(body, header(request, 'x-hub-signature-256'), endpoint.appSecrets)
      if (!isTrusted) {
        outcome = 'unsigned'
        throw new Problem({
          status: 401,
          code: 'SIGNATURE_INVALID',
          title: 'The webhook is not signed by the app of this company',
          detail:
            endpoint.appSecrets.length === 0
              ? 'No app secret is configured: set WHATSAPP_APP_SECRET of the company.'
              : 'X-Hub-Signature-256 must be the HMAC-SHA256 of the bytes sent, with the app secret of the company.',
        })
      }

      const understood = understand(body, endpoint.companyOf, now().toISOString())
      if (understood.kind === 'not_json' || understood.kind === 'not_an_object') {
        outcome = 'not_json'
        const title = understood.kind === 'not_json' ? 'The body is not JSON' : 'The body is not a JSON object'
        throw new Problem({ status: 400, code: 'INVALID_JSON', title })
      }
      if (understood.kind === 'other_object') {
        outcome = 'ignored'
      } else {
        events = understood.events
        try {
          await store(events, header(request, 'traceparent'))
        } catch (error) {
          outcome = 'not_stored'
          throw busy('NOT_STORED', 'The log did not confirm the events: send them again', error)
        }
        for (const { event } of events) stored.inc({ type: event.type })
      }
      return reply.header('content-type', 'application/json; charset=utf-8').send(OK)
    } catch (error) {
      failure = error instanceof Problem && error.cause instanceof Error ? error.cause.message : undefined
      throw error
    } finally {
      const elapsedMs = performance.now() - startedAt
      webhooks.inc({ outcome })
      duration.observe(elapsedMs / 1_000)
      log[outcome === 'stored' || outcome === 'ignored' ? 'info' : 'warn']({
        event: 'webhook.received',
        company_id: companyId,
        outcome,
        events: events.length,
        bytes: body.length,
        duration_ms: Math.round(elapsedMs * 100) / 100,
        reason: failure,
      })
    }
  }

  const store = async (events: EncodedEvent[], traceparent: string | undefined): Promise<void> => {
    const headers = { [TRACEPARENT_HEADER]: traceparentFrom(traceparent), [CORRELATION_HEADER]: randomUUID() }
    await Promise.all(
      events.map(({ event, json }) =>
        publisher.publish({
          subject: subjects.event(event.companyid, event.channel, event.type),
          msgId: event.id,
          data: Buffer.from(json),
          headers,
        }),
      ),
    )
  }

  const handshake = (request: FastifyRequest, reply: FastifyReply, { verifyToken }: Endpoint) => {
    // The keys contain a dot; Fastify's parser leaves them as they are. A repeated key would be a list.
    const query = request.query as Record<string, unknown>
    const { 'hub.mode': mode, 'hub.verify_token': token, 'hub.challenge': challenge } = query
    const isAllowed =
      mode === 'subscribe' &&
      typeof token === 'string' &&
      typeof challenge === 'string' &&
      verifyToken !== undefined &&
      secretsEqual(token, verifyToken)
    if (!isAllowed) {
      log.warn({ event: 'webhook.handshake', outcome: 'refused', has_verify_token: verifyToken !== undefined })
      throw new Problem({
        status: 403,
        code: 'VERIFY_TOKEN_INVALID',
        title: 'The verify token is not that of this company',
        detail: 'Expected hub.mode=subscribe, hub.challenge, and hub.verify_token equal to WHATSAPP_VERIFY_TOKEN.',
      })
    }
    log.info({ event: 'webhook.handshake', outcome: 'accepted' })
    return reply
      .header('content-type', 'text/plain; charset=utf-8')
      .header('x-content-type-options', 'nosniff')
      .send(challenge)
  }

  type ByCompany = { Params: { company_id: string } }
  app.get<ByCompany>('/:company_id/webhook', (request, reply) =>
    handshake(request, reply, endpointOf(request.params.company_id)),
  )
  app.post<ByCompany>('/:company_id/webhook', (request, reply) => {
    const { company_id } = request.params
    // Only an id that is one is worth a place in the log: the rest is whatever a stranger typed.
    const known = tenants.get(company_id.toLowerCase())?.companyId
    return receive(request, reply, () => endpointOf(company_id), known)
  })
  app.get('/webhook', (request, reply) => handshake(request, reply, appWide()))
  app.post('/webhook', (request, reply) => receive(request, reply, appWide))
}

const header = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}
