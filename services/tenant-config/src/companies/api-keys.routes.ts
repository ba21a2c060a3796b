import type { Logger } from '@cloudapi2/service-kit'
import { newApiKey } from '@cloudapi2/tenants'
import type { FastifyInstance } from 'fastify'
import { BroadcastFailed } from '../broadcast/broadcast.handler.ts'
import { apiKeyNotFound, apiKeyNotMade, companyNotFound, companyUnusable } from './admin-problems.ts'
import { type CompaniesRoutesDeps, traceOf, validOr400 } from './companies.routes.ts'
import type { ApiKey } from './companies.store.ts'
import { parseCompanyId, parseKeyId, parseNewApiKey } from './requests.ts'

const shown = ({ id, name, scopes, createdAt }: ApiKey) => ({
  id,
  name,
  scopes,
  created_at: createdAt.toISOString(),
})

/** `/companies/:company_id/api-keys`: keys of the HTTP API. A key is shown once, in the answer that made it. */
export const apiKeysRoutes = (
  app: FastifyInstance,
  { store, broadcaster, log }: Omit<CompaniesRoutesDeps, 'keys'> & { log: Logger },
): void => {
  app.post('/companies/:company_id/api-keys', async (request, reply) => {
    const companyId = validOr400(parseCompanyId(request.params))
    const { name, scopes } = validOr400(parseNewApiKey(request.body))
    const { key, hash } = newApiKey()
    const made = await store.addApiKey(companyId, { name, scopes, hash })
    if (made === undefined) throw companyNotFound()
    const takeBack = async () => {
      // Nobody was shown it, so nobody will miss it; but it must not stay valid unseen.
      await store.revokeApiKey(companyId, made.id).catch((err: unknown) => {
        log.error({ event: 'api_key.not_taken_back', company_id: companyId, key_id: made.id, err })
      })
    }
    try {
      const outcome = await broadcaster.broadcast(companyId, traceOf(request))
      if (outcome === 'removed') throw companyNotFound()
      if (outcome === 'unusable') throw companyUnusable()
    } catch (error) {
      await takeBack()
      if (error instanceof BroadcastFailed) throw apiKeyNotMade(error)
      throw error
    }
    return reply.code(201).send({ ...shown(made), key })
  })

  app.get('/companies/:company_id/api-keys', async (request) => {
    const apiKeys = await store.apiKeys(validOr400(parseCompanyId(request.params)))
    if (apiKeys === undefined) throw companyNotFound()
    return { api_keys: apiKeys.map(shown) }
  })

  app.delete('/companies/:company_id/api-keys/:key_id', async (request, reply) => {
    const companyId = validOr400(parseCompanyId(request.params))
    const keyId = validOr400(parseKeyId(request.params))
    const wasThere = await store.revokeApiKey(companyId, keyId)
    // Also when it was not there: an earlier DELETE may have got no further than the table.
    await broadcaster.broadcast(companyId, traceOf(request))
    if (!wasThere) throw apiKeyNotFound()
    return reply.code(204).send()
  })
}
