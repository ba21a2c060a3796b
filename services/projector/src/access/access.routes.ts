import { isCompanyId } from '@cloudapi2/contracts'
import { bearerToken, Problem, secretsEqual } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { FastifyRequest } from 'fastify'
import { invalidRequest } from '../messages/invalid-request.ts'

export interface AccessDeps {
  adminToken: string | undefined
  tenants: Pick<TenantDirectory, 'keyOf' | 'isLoaded'>
}

/** Refuses a request that may not read the company it asks about. An admin token that was not configured opens nothing. */
export const admitReader =
  ({ adminToken, tenants }: AccessDeps) =>
  async ({ headers, params }: FastifyRequest): Promise<void> => {
    const { company_id: companyId } = params as { company_id: string }
    const token = bearerToken(headers.authorization)
    const isAdmin = token !== undefined && adminToken !== undefined && secretsEqual(token, adminToken)
    if (!isAdmin) admitKey(token, companyId, tenants)
    if (!isCompanyId(companyId)) throw invalidRequest([{ path: 'company_id', message: 'expected a lower-case UUID' }])
  }

const admitKey = (token: string | undefined, companyId: string, tenants: AccessDeps['tenants']): void => {
  // The key may be among those not heard of yet.
  if (!tenants.isLoaded())
    throw new Problem({
      status: 503,
      code: 'NOT_READY',
      title: 'The service is starting',
      headers: { 'retry-after': '1' },
    })
  const key = token === undefined ? undefined : tenants.keyOf(token)
  if (key === undefined)
    throw new Problem({
      status: 401,
      code: 'UNAUTHENTICATED',
      title: 'The request needs a valid API key',
      detail: 'Send Authorization: Bearer <API key of the company>.',
      headers: { 'www-authenticate': 'Bearer' },
    })
  if (key.companyId !== companyId)
    throw new Problem({ status: 403, code: 'COMPANY_OF_ANOTHER_KEY', title: 'The API key belongs to another company' })
  if (!key.scopes.includes('read'))
    throw new Problem({
      status: 403,
      code: 'SCOPE_MISSING',
      title: 'The API key does not allow this',
      detail: 'Use a key with the scope "read".',
    })
}
