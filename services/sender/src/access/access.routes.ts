import { type Caller, callerOf, hasScope, notReady, scopeMissing, unauthenticated } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { FastifyRequest } from 'fastify'

export type Admit = (request: FastifyRequest) => Caller

/** The caller of a request, or the problem that answers it: 401 for nobody we know, 403 for one that may not send. */
export const admission =
  (deps: { adminToken: string | undefined; tenants: Pick<TenantDirectory, 'keyOf' | 'isLoaded'> }): Admit =>
  ({ headers }) => {
    if (!deps.tenants.isLoaded()) throw notReady()
    const caller = callerOf(headers.authorization, deps.adminToken, deps.tenants)
    if (caller === undefined) throw unauthenticated()
    if (!hasScope(caller, 'send')) throw scopeMissing('send')
    return caller
  }
