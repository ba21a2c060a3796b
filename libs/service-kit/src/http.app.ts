import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { type FastifyError, type FastifyInstance, fastify } from 'fastify'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'
import { PROBLEM_CONTENT_TYPE, Problem } from './problem.ts'
import type { Readiness } from './readiness.ts'

export interface HttpOptions {
  log: Logger
  metrics: Metrics
  readiness: Readiness
  /** Largest request body, bytes. Default 1 MiB. */
  bodyLimitBytes?: number
  /** Sees every request first, as Node gives it; answers it and returns true, or returns false and leaves it to the routes. */
  before?: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** A load balancer keeps connections for a minute; ours last a little longer, so that it is not we who cut them. */
const KEEP_ALIVE_MS = 72_000

const serverWith = (before: NonNullable<HttpOptions['before']>, handler: RequestListener): Server => {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    if (!before(request, response)) handler(request, response)
  })
  return server
}

/** How often a stopping service looks for connections that have become idle. */
const CLOSE_IDLE_MS = 50

/**
 * A Fastify instance with what every service has: problem details for every error, `/healthz` (alive), `/readyz`
 * (ready, with reasons) and `/metrics` (Prometheus). It logs no requests by itself: a route writes its own line.
 */
export const createHttp = ({
  log,
  metrics,
  readiness,
  bodyLimitBytes = 1_048_576,
  before,
}: HttpOptions): FastifyInstance => {
  const app: FastifyInstance = fastify<Server>({
    logger: false,
    bodyLimit: bodyLimitBytes,
    // A stopping service finishes what it has and closes idle keep-alive connections at once.
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 256 },
    ...(before === undefined ? {} : { serverFactory: (handler: RequestListener) => serverWith(before, handler) }),
  })

  app.setErrorHandler((error: FastifyError | Error, _request, reply) => {
    const problem = asProblem(error)
    if (problem.status >= 500 && !(error instanceof Problem)) log.error({ event: 'http.error', err: error })
    return reply.code(problem.status).headers(problem.headers).type(PROBLEM_CONTENT_TYPE).send(problem.body())
  })
  app.setNotFoundHandler((_request, reply) => {
    const problem = new Problem({ status: 404, code: 'NOT_FOUND', title: 'There is no such route' })
    return reply.code(404).type(PROBLEM_CONTENT_TYPE).send(problem.body())
  })

  // A connection that was busy when the stop began, and is kept alive after its answer, would hold it up for as long as its
  // client likes.
  let closing: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    closing = setInterval(() => app.server.closeIdleConnections(), CLOSE_IDLE_MS)
  })
  app.addHook('onClose', async () => clearInterval(closing))

  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', (_request, reply) => {
    const report = readiness.report()
    return reply.code(report.ready ? 200 : 503).send(report)
  })
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
  return app
}

/** Fastify's own refusals (by code) in our words; anything unforeseen is a 500 that says nothing of its inside. */
const asProblem = (error: FastifyError | Error): Problem => {
  if (error instanceof Problem) return error
  const { code, statusCode } = error as FastifyError
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new Problem({ status: 413, code: 'BODY_TOO_LARGE', title: 'The request body is too large' })
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new Problem({
      status: 415,
      code: 'UNSUPPORTED_MEDIA_TYPE',
      title: 'The content type is not supported',
      detail: 'Send application/json.',
    })
  if (
    code === 'FST_ERR_CTP_EMPTY_JSON_BODY' ||
    code === 'FST_ERR_CTP_INVALID_JSON_BODY' ||
    error instanceof SyntaxError
  )
    return new Problem({ status: 400, code: 'INVALID_JSON', title: 'The request body is not valid JSON' })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Problem({
      status: statusCode,
      code: 'BAD_REQUEST',
      title: 'The request is not valid',
      detail: error.message,
    })
  return new Problem({ status: 500, code: 'INTERNAL_ERROR', title: 'Something went wrong here' })
}
