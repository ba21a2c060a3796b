import { MAX_COMMAND_BYTES } from '@cloudapi2/contracts'
import { createHttp, type HttpOptions } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { apiDocsRoutes } from './api-docs/api-docs.routes.ts'
import { type DeadLettersDeps, deadLettersRoutes } from './dead-letters/dead-letters.routes.ts'
import { type CommandsDeps, commandsRoutes } from './direct-send/commands.routes.ts'
import { type DirectSendDeps, directSendRoutes } from './direct-send/direct-send.routes.ts'
import { type MetaApiDeps, metaApiRoutes } from './meta-api/meta-api.routes.ts'

/** A command is its body and what we add to it. */
const BODY_LIMIT_BYTES = MAX_COMMAND_BYTES - 4_096

export type AppDeps = Omit<HttpOptions, 'bodyLimitBytes'> &
  DirectSendDeps &
  CommandsDeps &
  DeadLettersDeps &
  MetaApiDeps

/** The sender's HTTP side; it listens to nothing. */
export const buildApp = (deps: AppDeps): FastifyInstance => {
  const app = createHttp({ ...deps, bodyLimitBytes: BODY_LIMIT_BYTES })
  directSendRoutes(app, deps)
  commandsRoutes(app, deps)
  deadLettersRoutes(app, deps)
  metaApiRoutes(app, deps)
  apiDocsRoutes(app)
  return app
}
