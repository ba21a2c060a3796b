import { isCompanyId } from '@cloudapi2/contracts'
import {
  callerOf,
  hasScope,
  invalidRequest,
  notReady,
  Problem,
  scopeMissing,
  unauthenticated,
} from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { FastifyRequest } from 'fastify'

export interface AccessDeps {
  adminToken: string | undefined
  tenants: Pick<TenantDirectory, 'keyOf' | 'isLoaded'>
}

/** Refuses a request that may not read the company it asks about. */
export const admitReader =
  ({ adminToken, tenants }: AccessDeps) =>
  async ({ headers, params }: FastifyRequest): Promise<void> => {
    const { company_id: companyId } = params as { company_id: string }
    const caller = callerOf(headers.authorization, adminToken, tenants)
    if (caller?.kind !== 'admin') {
      if (!tenants.isLoaded()) throw notReady()
      if (caller === undefined) throw unauthenticated()
      if (caller.companyId !== companyId)
        throw new Problem({
          status: 403,
          code: 'COMPANY_OF_ANOTHER_KEY',
          title: 'The API key belongs to another company',
        })
      if (!hasScope(caller, 'read')) throw scopeMissing('read')
    }
    if (!isCompanyId(companyId)) throw invalidRequest([{ path: 'company_id', message: 'expected a lower-case UUID' }])
  }
