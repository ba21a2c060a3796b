import { createHttp, type HttpOptions } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { answeredBy } from './listing/answered.client.ts'
import { type MessagesDeps, messagesRoutes } from './messages/messages.routes.ts'
import { type SendsDeps, sendsRoutes } from './sends/sends.routes.ts'

export type AppDeps = Omit<HttpOptions, 'bodyLimitBytes'> & Omit<MessagesDeps & SendsDeps, 'answered'>

/** The projector's HTTP side; it listens to nothing. */
export const buildApp = (deps: AppDeps): FastifyInstance => {
  const app = createHttp({ ...deps, bodyLimitBytes: 1_024 })
  const answered = answeredBy(deps.log)
  messagesRoutes(app, { ...deps, answered })
  sendsRoutes(app, { ...deps, answered })
  return app
}
