import { createHttp, type HttpOptions } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { type MediaRoutesDeps, mediaRoutes } from './serving/media.routes.ts'

export type AppDeps = Omit<HttpOptions, 'bodyLimitBytes'> & MediaRoutesDeps

/** The HTTP side; it listens to nothing. */
export const buildApp = (deps: AppDeps): FastifyInstance => {
  const app = createHttp({ ...deps, bodyLimitBytes: 1_024 })
  mediaRoutes(app, deps)
  return app
}
