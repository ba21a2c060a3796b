import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CORRELATION_HEADER, TRACEPARENT_HEADER } from '@cloudapi2/contracts'
import type { Publisher } from '@cloudapi2/nats'
import { type Logger, type Metrics, PROBLEM_CONTENT_TYPE, Problem, traceparentFrom } from '@cloudapi2/service-kit'
import { isSigned } from '@cloudapi2/whatsapp'
import type { Endpoint } from './endpoint.ts'
import { together } from './together.ts'
import { type EncodedEvent, understand } from './webhook-events.ts'

export interface ReceiveDeps {
  publisher: Publisher
  log: Logger
  metrics: Metrics
  maxInFlight: number
  maxBodyBytes: number
  allowUnsigned: boolean
  now: () => Date
}

/** Whose webhook it is. `endpoint` throws the Problem to answer with when it is nobody's. */
export interface Addressee {
  /** For the log; undefined where the URL names no known company. */
  companyId: string | undefined
  endpoint: () => Endpoint
}

export type Receive = (request: IncomingMessage, response: ServerResponse, addressee: Addressee) => void

/** What Meta is asked to wait when we cannot store right now. It has its own schedule and may not look. */
const RETRY_AFTER_SECONDS = '5'

const OK = '{"status":"ok"}'
const OK_HEADERS = { 'content-type': 'application/json; charset=utf-8', 'content-length': String(OK.length) }

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

type Outcome =
  | 'stored'
  | 'ignored'
  | 'not_json'
  | 'too_large'
  | 'unsigned'
  | 'unknown_company'
  | 'overloaded'
  | 'not_stored'
  | 'not_ready'
  | 'failed'

/** A webhook that has arrived whole. */
interface Delivered {
  request: IncomingMessage
  response: ServerResponse
  addressee: Addressee
  body: Buffer
  /** Of `performance.now()`, at its last byte. */
  startedAt: number
}

/** What the log and the metrics are told of a webhook. */
interface Conclusion {
  companyId: string | undefined
  outcome: Outcome
  bytes: number
  events: readonly EncodedEvent[]
  elapsedMs: number
  reason: string | undefined
}

const NO_BODY = Buffer.alloc(0)

/** An answer that makes Meta send the whole POST again. */
export const busy = (code: string, title: string, cause?: unknown) =>
  new Problem({ status: 503, code, title, headers: { 'retry-after': RETRY_AFTER_SECONDS }, cause })

/** A Problem, and what it counts as. */
class Refused extends Error {
  readonly outcome: Outcome
  readonly problem: Problem
  constructor(outcome: Outcome, problem: Problem) {
    super(problem.message)
    this.outcome = outcome
    this.problem = problem
  }
}

/**
 * Takes webhooks. The 200 is a receipt: it leaves after the log has confirmed every event of the body. Any other answer
 * makes Meta send the whole POST again; the ids of the events make that harmless.
 *
 * It works on Node's own request and response: this one route is most of what the process does, and the framework's part
 * of it cost as much as verifying and parsing together (docs/adr/0010-webhooks-on-bare-http.md).
 */
export const receiveWebhooks = (deps: ReceiveDeps): Receive => {
  const { publisher, log, metrics, maxInFlight, maxBodyBytes, allowUnsigned, now } = deps
  const webhooks = metrics.counter('webhooks_total', 'Webhook POSTs by outcome', ['outcome'])
  const stored = metrics.counter('webhook_events_total', 'Events stored by type', ['type'])
  const duration = metrics.histogram('webhook_seconds', 'From the last byte of a webhook to its answer', SECONDS)
  let working = 0
  metrics.gauge('webhooks_in_flight', 'Webhook POSTs being worked on', [], () => working)

  const tooLarge = () =>
    new Refused(
      'too_large',
      new Problem({
        status: 413,
        code: 'BODY_TOO_LARGE',
        title: 'The request body is too large',
        detail: `At most ${maxBodyBytes} bytes are taken (WEBHOOK_MAX_BYTES).`,
        // What is left of the body is not read: the connection cannot be used again.
        headers: { connection: 'close' },
      }),
    )

  const verify = (body: Buffer, signature: string | undefined, { appSecrets }: Endpoint): void => {
    const isTrusted = appSecrets.length === 0 ? allowUnsigned : isSigned(body, signature, appSecrets)
    if (isTrusted) return
    throw new Refused(
      'unsigned',
      new Problem({
        status: 401,
        code: 'SIGNATURE_INVALID',
        title: 'The webhook is not signed by the app of this company',
        detail:
          appSecrets.length === 0
            ? 'No app secret is configured: set WHATSAPP_APP_SECRET of the company.'
            : 'X-Hub-Signature-256 must be the HMAC-SHA256 of the bytes sent, with the app secret of the company.',
      }),
    )
  }

  /** @throws Refused */
  const eventsOf = ({ request: { headers }, body, addressee }: Delivered): EncodedEvent[] | undefined => {
    let endpoint: Endpoint
    try {
      endpoint = addressee.endpoint()
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      throw new Refused(error.status === 503 ? 'not_ready' : 'unknown_company', error)
    }
    verify(body, headers['x-hub-signature-256'] as string | undefined, endpoint)
    const understood = understand(body, endpoint.companyOf, now().toISOString())
    switch (understood.kind) {
      case 'events':
        return understood.events
      case 'other_object':
        return undefined
      case 'not_json':
      case 'not_an_object': {
        const title = understood.kind === 'not_json' ? 'The body is not JSON' : 'The body is not a JSON object'
        throw new Refused('not_json', new Problem({ status: 400, code: 'INVALID_JSON', title }))
      }
    }
  }

  const store = async (events: EncodedEvent[], traceparent: string | undefined): Promise<unknown> => {
    const headers = { [TRACEPARENT_HEADER]: traceparentFrom(traceparent), [CORRELATION_HEADER]: randomUUID() }
    const one = ({ publication }: EncodedEvent) => publisher.publish({ ...publication, headers })
    const [only] = events
    return events.length === 1 && only !== undefined ? one(only) : Promise.all(events.map(one))
  }

  const tell = together<Conclusion>((conclusions) => {
    for (const { companyId, outcome, bytes, events, elapsedMs, reason } of conclusions) {
      webhooks.inc({ outcome })
      duration.observe(elapsedMs / 1_000)
      if (outcome === 'stored') for (const { type } of events) stored.inc({ type })
      log[outcome === 'stored' || outcome === 'ignored' ? 'info' : 'warn']({
        event: 'webhook.received',
        company_id: companyId,
        outcome,
        events: events.length,
        bytes,
        duration_ms: Math.round(elapsedMs * 100) / 100,
        reason,
      })
    }
  })

  const conclude = (
    { addressee, startedAt, body }: Pick<Delivered, 'addressee' | 'startedAt' | 'body'>,
    outcome: Outcome,
    events: readonly EncodedEvent[] = [],
    reason?: string,
  ) =>
    tell({
      companyId: addressee.companyId,
      outcome,
      bytes: body.length,
      events,
      elapsedMs: performance.now() - startedAt,
      reason,
    })

  const answer = (response: ServerResponse) => {
    // The client may have gone; what it sent is stored all the same.
    if (!response.headersSent) response.writeHead(200, OK_HEADERS).end(OK)
  }

  const refuse = (response: ServerResponse, problem: Problem) => {
    if (response.headersSent) return
    const text = JSON.stringify(problem.body())
    response
      .writeHead(problem.status, {
        ...problem.headers,
        'content-type': `${PROBLEM_CONTENT_TYPE}; charset=utf-8`,
        'content-length': String(Buffer.byteLength(text)),
      })
      .end(text)
  }

  const fail = (delivered: Delivered, error: unknown, events?: EncodedEvent[]) => {
    const { response } = delivered
    if (!(error instanceof Refused)) {
      log.error({ event: 'webhook.failed', err: error })
      conclude(delivered, 'failed', events)
      return refuse(response, new Problem({ status: 500, code: 'INTERNAL_ERROR', title: 'Something went wrong here' }))
    }
    const { cause } = error.problem
    conclude(delivered, error.outcome, events, cause instanceof Error ? cause.message : undefined)
    refuse(response, error.problem)
  }

  /** What is to be stored for one webhook; undefined when it is answered already. */
  const understood = (delivered: Delivered): EncodedEvent[] | undefined => {
    try {
      const events = eventsOf(delivered)
      if (events !== undefined && events.length > 0) return events
      answer(delivered.response)
      conclude(delivered, events === undefined ? 'ignored' : 'stored')
    } catch (error) {
      fail(delivered, error)
    }
    return undefined
  }

  const storeAndAnswer = (delivered: Delivered, events: EncodedEvent[]) =>
    store(events, delivered.request.headers.traceparent as string | undefined).then(
      () => {
        answer(delivered.response)
        conclude(delivered, 'stored', events)
      },
      (cause: unknown) => {
        const problem = busy('NOT_STORED', 'The log did not confirm the events: send them again', cause)
        fail(delivered, new Refused('not_stored', problem), events)
      },
    )

  // Two steps, for the caches' sake: see `together`.
  const work = together<Delivered>((deliveries) => {
    const toStore: [Delivered, EncodedEvent[]][] = []
    for (const delivered of deliveries) {
      const events = understood(delivered)
      if (events !== undefined) toStore.push([delivered, events])
    }
    for (const [delivered, events] of toStore) storeAndAnswer(delivered, events)
  })

  return (request, response, addressee) => {
    const refuseUnread = ({ outcome, problem }: Refused) => {
      conclude({ addressee, startedAt: performance.now(), body: NO_BODY }, outcome)
      refuse(response, problem)
    }
    // Before the body is read: it is the bodies that fill the memory.
    if (working >= maxInFlight)
      return refuseUnread(new Refused('overloaded', busy('OVERLOADED', 'Too many webhooks are being worked on')))
    if (Number(request.headers['content-length']) > maxBodyBytes) return refuseUnread(tooLarge())
    working++
    response.once('close', () => working--)

    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBodyBytes) return void chunks.push(chunk)
      request.removeAllListeners('data').removeAllListeners('end').resume()
      chunks.length = 0
      refuseUnread(tooLarge())
    })
    request.on('end', () => {
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
      work({ request, response, addressee, body, startedAt: performance.now() })
    })
    // Cut off in its middle: there is nobody to answer, and nothing was stored. `close` frees its place.
    request.on('error', () => {})
  }
}
