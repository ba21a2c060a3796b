import { Problem } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { FastifyRequest } from 'fastify'
import { type Caller, callerOf, hasScope } from './caller.ts'

export type Admit = (request: FastifyRequest) => Caller

/** The caller of a request, or the problem that answers it: 401 for nobody we know, 403 for one that may not send. */
export const admission =
  (deps: { adminToken: string | undefined; tenants: Pick<TenantDirectory, 'keyOf' | 'isLoaded'> }): Admit =>
  ({ headers }) => {
    // Its keys may be among those not heard of yet.
    if (!deps.tenants.isLoaded())
      throw new Problem({
        status: 503,
        code: 'NOT_READY',
        title: 'The service is starting',
        headers: { 'retry-after': '1' },
      })
    const caller = callerOf(headers.authorization, deps.adminToken, deps.tenants)
    if (caller === undefined)
      throw new Problem({
        status: 401,
        code: 'UNAUTHENTICATED',
        title: 'The request needs a valid API key',
        detail: 'Send Authorization: Bearer <API key of the company>.',
        headers: { 'www-authenticate': 'Bearer' },
      })
    if (!hasScope(caller, 'send'))
      throw new Problem({
        status: 403,
        code: 'SCOPE_MISSING',
        title: 'The API key does not allow this',
        detail: 'Use a key with the scope "send".',
      })
    return caller
  }
