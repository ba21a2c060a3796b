import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Logger, Problem, secretsEqual } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { appEndpoint, type Endpoint, tenantEndpoint } from './endpoint.ts'
import { type Addressee, busy, type Receive } from './receive-webhook.handler.ts'

export interface EndpointDeps {
  tenants: TenantDirectory
  metaAppSecrets: readonly string[]
  metaVerifyToken: string | undefined
}

/** The endpoints there are. @throws Problem when there is none of that name, or nobody knows yet */
const endpoints = ({ tenants, metaAppSecrets, metaVerifyToken }: EndpointDeps) => ({
  ofCompany: (companyId: string): Endpoint => {
    const endpoint = tenantEndpoint(tenants, companyId)
    if (endpoint !== undefined) return endpoint
    // Before the first snapshot nobody is known yet: a 404 would tell Meta something that is not true.
    if (!tenants.isLoaded()) throw busy('TENANTS_NOT_LOADED', 'The tenants are not loaded yet')
    throw new Problem({ status: 404, code: 'UNKNOWN_COMPANY', title: 'There is no such company' })
  },
  ofApp: (): Endpoint => {
    if (metaAppSecrets.length === 0 && metaVerifyToken === undefined)
      throw new Problem({
        status: 404,
        code: 'APP_WEBHOOK_NOT_CONFIGURED',
        title: 'This installation has no app-wide webhook',
        detail: 'Set META_APP_SECRET and META_VERIFY_TOKEN, or use /<company_id>/webhook.',
      })
    return appEndpoint(tenants, { appSecrets: metaAppSecrets, verifyToken: metaVerifyToken })
  },
})

const PATH = /^(?:\/([^/?]+))?\/webhook\/?(?:\?.*)?$/

/** Gives every webhook POST to `receive`. Returns false for any other request, which then is the framework's. */
export const webhookPosts = (deps: EndpointDeps, receive: Receive) => {
  const { ofCompany, ofApp } = endpoints(deps)
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.method !== 'POST') return false
    const path = PATH.exec(request.url ?? '')
    if (path === null) return false
    const companyId = path[1]
    const addressee: Addressee =
      companyId === undefined
        ? { companyId: undefined, endpoint: ofApp }
        : {
            // Only an id that is one is worth a place in the log: the rest is whatever a stranger typed.
            companyId: deps.tenants.get(companyId.toLowerCase())?.companyId,
            endpoint: () => ofCompany(companyId),
          }
    receive(request, response, addressee)
    return true
  }
}

/** Meta's handshake, which it makes whenever the webhook's URL or verify token is set. */
export const handshakeRoutes = (app: FastifyInstance, deps: EndpointDeps & { log: Logger }): void => {
  const { ofCompany, ofApp } = endpoints(deps)

  const handshake = (request: FastifyRequest, reply: FastifyReply, { verifyToken }: Endpoint) => {
    // The keys contain a dot; Fastify's parser leaves them as they are. A repeated key would be a list.
    const query = request.query as Record<string, unknown>
    const { 'hub.mode': mode, 'hub.verify_token': token, 'hub.challenge': challenge } = query
    const isAllowed =
      mode === 'subscribe' &&
      typeof token === 'string' &&
      typeof challenge === 'string' &&
      verifyToken !== undefined &&
      secretsEqual(token, verifyToken)
    if (!isAllowed) {
      deps.log.warn({ event: 'webhook.handshake', outcome: 'refused', has_verify_token: verifyToken !== undefined })
      throw new Problem({
        status: 403,
        code: 'VERIFY_TOKEN_INVALID',
        title: 'The verify token is not that of this company',
        detail: 'Expected hub.mode=subscribe, hub.challenge, and hub.verify_token equal to WHATSAPP_VERIFY_TOKEN.',
      })
    }
    deps.log.info({ event: 'webhook.handshake', outcome: 'accepted' })
    return reply
      .header('content-type', 'text/plain; charset=utf-8')
      .header('x-content-type-options', 'nosniff')
      .send(challenge)
  }

  app.get<{ Params: { company_id: string } }>('/:company_id/webhook', (request, reply) =>
    handshake(request, reply, ofCompany(request.params.company_id)),
  )
  app.get('/webhook', (request, reply) => handshake(request, reply, ofApp()))
}
