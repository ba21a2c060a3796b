import { createHttp, type HttpOptions } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { type WebhookRoutesDeps, webhookRoutes } from './webhook/webhook.routes.ts'

/** The public service: Meta's requests in, events out. It listens to nothing by itself. */
export const buildApp = (deps: WebhookRoutesDeps & HttpOptions & { maxBodyBytes: number }): FastifyInstance => {
  const app = createHttp({ ...deps, bodyLimitBytes: deps.maxBodyBytes })
  app.register(async (scope) => webhookRoutes(scope, deps))
  return app
}
