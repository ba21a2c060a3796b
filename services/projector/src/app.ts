import { createHttp, type HttpOptions } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { type MessagesDeps, messagesRoutes } from './messages/messages.routes.ts'

export type AppDeps = Omit<HttpOptions, 'bodyLimitBytes'> & MessagesDeps

/** The projector's HTTP side; it listens to nothing. */
export const buildApp = (deps: AppDeps): FastifyInstance => {
  const app = createHttp({ ...deps, bodyLimitBytes: 1_024 })
  messagesRoutes(app, deps)
  return app
}
