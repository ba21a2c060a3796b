import { createHttp, type HttpOptions } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { type ReceiveDeps, receiveWebhooks } from './webhook/receive-webhook.handler.ts'
import { type EndpointDeps, handshakeRoutes, webhookPosts } from './webhook/webhook.routes.ts'

/** The public service: Meta's requests in, events out. It listens to nothing by itself. */
export const buildApp = (deps: EndpointDeps & ReceiveDeps & HttpOptions): FastifyInstance => {
  const app = createHttp({ ...deps, before: webhookPosts(deps, receiveWebhooks(deps)) })
  handshakeRoutes(app, deps)
  return app
}
