import Fastify, { type FastifyError, type FastifyInstance, type FastifyServerOptions, LogController } from 'fastify'
import { createAttemptCounter } from './attempt-counter.ts'
import { createCallLog } from './call-log.ts'
import { SimulationRefused } from './errors.ts'
import { FaultsSchema } from './faults.ts'
import { refuse } from './graph-answer.ts'
import { invalidParameter, somethingWentWrong, unknownPath } from './graph-refusal.ts'
import { managementRoutes } from './management.routes.ts'
import { mediaRoutes } from './media.routes.ts'
import { createMediaFaults } from './media-faults.ts'
import { createMediaShelf } from './media-shelf.ts'
import { createMessageLimits, LimitsSchema } from './message-limits.ts'
import { messagesRoutes } from './messages.routes.ts'
import { createRandom } from './random.ts'
import { simulateRoutes } from './simulate.routes.ts'
import type { Simulation } from './simulation.ts'
import { createTenantDirectory, type TenantInput, TenantsSchema } from './tenants.ts'
import { createTimers } from './timers.ts'
import { TimingSchema } from './timing.ts'
import { createWebhookDelivery } from './webhook-delivery.client.ts'

/** A message's body is at most some kilobytes; uploads and `/simulate` have limits of their own. */
const BODY_MAX_BYTES = 1024 * 1024
/** Meta delivers webhooks concurrently; how many at once is not documented. */
const WEBHOOKS_AT_ONCE = 64

/** What a simulator may be given; everything has a default and can be changed while it runs through `/simulate`. */
export interface SimulatorOptions {
  /** Registered from the start. */
  tenants?: readonly TenantInput[]
  /** Fastify's logger setting, such as `{ level: 'info' }`; default: no log. */
  log?: FastifyServerOptions['logger']
  /** Milliseconds since 1970; default: the system's clock. Timers always run on real time. */
  clock?: () => number
  /** Makes ids and faults repeatable. */
  seed?: number
}

const isGraphPath = (url: string): boolean => /^\/(v\d+\.\d+|media-download)(\/|\?|$)/.test(url)

const createSimulation = (app: FastifyInstance, options: SimulatorOptions): Simulation => {
  const directory = createTenantDirectory()
  const settings = { timing: TimingSchema.parse({}), faults: FaultsSchema.parse({}) }
  const random = createRandom(options.seed)
  const timers = createTimers()
  const clock = options.clock ?? Date.now
  const delivery = createWebhookDelivery({
    directory,
    timing: () => settings.timing,
    faults: () => settings.faults,
    // Dice of its own: webhooks leave when their time comes, and must not change what the Graph API throws in between.
    random: createRandom(options.seed),
    timers,
    clock,
    log: app.log,
    concurrency: WEBHOOKS_AT_ONCE,
  })
  return {
    directory,
    settings,
    limits: createMessageLimits(LimitsSchema.parse({})),
    attempts: createAttemptCounter(),
    calls: createCallLog(),
    media: createMediaShelf(),
    mediaFaults: createMediaFaults(),
    delivery,
    timers,
    random,
    clock,
    log: app.log,
  }
}

/** Bodies are read by the routes, which answer in Meta's words: whatever is no JSON reaches them as bytes. */
const acceptAnyBody = (app: FastifyInstance): void => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, bytes, done) => {
    const isUpload = /^\/v\d+\.\d+\/[^/]+\/media(\?|$)/.test(request.url)
    if (isUpload || bytes.length === 0) {
      done(null, bytes.length === 0 ? undefined : bytes)
      return
    }
    try {
      done(null, JSON.parse(bytes.toString()))
    } catch {
      // Only that it is no JSON matters: the parser's message would quote the body.
      done(Object.assign(new SimulationRefused('expected a body in JSON'), { statusCode: 400 }), undefined)
    }
  })
}

const answerErrors = (app: FastifyInstance, simulation: Simulation): void => {
  app.setErrorHandler((error: FastifyError | SimulationRefused, request, reply) => {
    const status = error instanceof SimulationRefused ? error.httpStatus : (error.statusCode ?? 500)
    if (status >= 500) app.log.error({ event: 'request.crashed', method: request.method, err: error })
    if (isGraphPath(request.url)) {
      const refusal = status >= 500 ? somethingWentWrong() : invalidParameter(error.message)
      return refuse(simulation, request, reply, { type: 'unreadable' }, refusal)
    }
    const message = status >= 500 ? 'the simulator failed; see its log' : error.message
    return reply.code(status).send({ error: { code: error.code, message } })
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? request.url
    if (isGraphPath(path)) return refuse(simulation, request, reply, { type: 'unknown' }, unknownPath(path))
    return reply
      .code(404)
      .send({ error: { code: 'NOT_FOUND', message: 'no such route; GET /simulate tells which exist' } })
  })
}

/**
 * Meta's side of the WhatsApp Business Cloud API: the Graph API, signed webhooks back, and `/simulate` to control it.
 * It listens to nothing before `listen`; `close` ends its timers, held connections and undelivered webhooks.
 *
 * @throws ZodError for a tenant of the wrong shape, SimulationRefused for two that share a number
 */
export const buildSimulator = (options: SimulatorOptions = {}): FastifyInstance => {
  const app: FastifyInstance = Fastify({
    logger: options.log ?? false,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_MAX_BYTES,
    // Connections that are held on purpose would keep `close` waiting.
    forceCloseConnections: true,
  })
  const simulation = createSimulation(app, options)
  simulation.directory.register(TenantsSchema.parse(options.tenants ?? []))
  let isClosing = false

  acceptAnyBody(app)
  answerErrors(app, simulation)
  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', (_request, reply) =>
    isClosing
      ? reply.code(503).send({ status: 'stopping' })
      : { status: 'ready', tenants: simulation.directory.all().length },
  )
  messagesRoutes(app, simulation)
  mediaRoutes(app, simulation)
  managementRoutes(app, simulation)
  simulateRoutes(app, simulation)

  app.addHook('preClose', async () => {
    isClosing = true
    const { pending } = simulation.delivery.stats()
    if (pending > 0) app.log.warn({ event: 'webhooks.dropped', pending })
    simulation.timers.cancelAll()
    await simulation.delivery.close()
  })
  return app
}
