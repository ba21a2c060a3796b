import { type Logger, type Problem, traceparentFrom } from '@cloudapi2/service-kit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type MessagesDeps, messagesRoutes } from './messages.routes.ts'
import { asMetaError, metaErrors } from './meta-error.ts'
import { type PassageDeps, passageRoutes } from './passage.routes.ts'
import { VERSION_PATH, type Visit } from './visit.ts'

export type MetaApiDeps = MessagesDeps & PassageDeps & { log: Logger; now: () => number }

const traceIdOf = ({ traceparent }: Visit): string => traceparent.split('-')[1] as string

/**
 * The part of the Graph API that an SDK for WhatsApp needs, answered as Meta answers it, errors included: `/v{N}.{M}/…`.
 * Everything of it stands in a scope of its own, so that no other route answers in Meta's words, and none of these in ours.
 */
export const metaApiRoutes = (app: FastifyInstance, deps: MetaApiDeps): void => {
  const visits = new WeakMap<FastifyRequest, Visit>()
  const visitOf = (request: FastifyRequest): Visit => {
    const known = visits.get(request)
    if (known !== undefined) return known
    const visit: Visit = {
      startedAt: deps.now(),
      traceparent: traceparentFrom(request.headers.traceparent as string | undefined),
      line: { event: 'http.meta', method: request.method, route: request.routeOptions.url },
    }
    visits.set(request, visit)
    return visit
  }

  app.register(async (scope) => {
    scope.addHook('onRequest', async (request) => void visitOf(request))
    scope.addHook('onResponse', async (request, reply) => {
      const visit = visitOf(request)
      deps.log.info({
        ...visit.line,
        trace_id: traceIdOf(visit),
        status: reply.statusCode,
        duration_ms: Math.round(deps.now() - visit.startedAt),
      })
    })
    scope.setErrorHandler((error: Error | Problem, request, reply) => {
      const visit = visitOf(request)
      const refusal = asMetaError(error)
      Object.assign(visit.line, { code: refusal.error.code, ...(refusal.cause ? { err: refusal.cause } : {}) })
      return reply
        .code(refusal.status)
        .headers(refusal.headers)
        .send(refusal.body(traceIdOf(visit)))
    })
    messagesRoutes(scope, deps, visitOf)
    passageRoutes(scope, deps, visitOf)
    scope.all(`${VERSION_PATH}/*`, (request) => {
      throw metaErrors.noSuchPath(request.url.split('?')[0] as string)
    })
  })
}
