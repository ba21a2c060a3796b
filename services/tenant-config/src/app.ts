import {
  bearerToken,
  createHttp,
  type Logger,
  type Metrics,
  type Readiness,
  secretsEqual,
} from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { problemOf, unauthorized } from './companies/admin-problems.ts'
import { apiKeysRoutes } from './companies/api-keys.routes.ts'
import { type CompaniesRoutesDeps, companiesRoutes } from './companies/companies.routes.ts'
import { parseCompanyId } from './companies/requests.ts'
import { DatabaseUnavailable } from './database/database.client.ts'

export interface AppDeps extends CompaniesRoutesDeps {
  adminToken: string
  /** False until the tables are there. */
  isMigrated: () => boolean
  log: Logger
  metrics: Metrics
  readiness: Readiness
}

/** The admin API. It listens to nothing by itself. */
export const buildApp = ({ adminToken, isMigrated, log, metrics, readiness, ...deps }: AppDeps): FastifyInstance => {
  const app = createHttp({ log, metrics, readiness })

  void app.register(async (admin) => {
    admin.addHook('onRequest', async (request, reply) => {
      reply.header('Cache-Control', 'no-store')
      if (!secretsEqual(bearerToken(request.headers.authorization) ?? '', adminToken)) throw unauthorized()
      if (!isMigrated()) throw problemOf(new DatabaseUnavailable('its tables are not there yet'))
    })
    // RFC 7396 has a type of its own.
    admin.addContentTypeParser(
      'application/merge-patch+json',
      { parseAs: 'string' },
      admin.getDefaultJsonParser('error', 'error'),
    )
    admin.setErrorHandler((error) => {
      // To the handler of the whole application, in words of ours.
      throw problemOf(error)
    })
    admin.addHook('onResponse', async (request, reply) => {
      const companyId = parseCompanyId(request.params)
      log.info({
        event: 'admin.request',
        method: request.method,
        route: request.routeOptions.url,
        ...(companyId.ok ? { company_id: companyId.value } : {}),
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime),
      })
    })
    companiesRoutes(admin, deps)
    apiKeysRoutes(admin, { ...deps, log })
  })
  return app
}
