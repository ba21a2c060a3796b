import { isCompanyId } from '@cloudapi2/contracts'
import type { FastifyRequest } from 'fastify'
import {
  callerOf,
  companyOfAnotherKey,
  hasScope,
  type KnownKeys,
  notReady,
  scopeMissing,
  unauthenticated,
} from './caller.ts'
import { invalidRequest } from './problem.ts'

export interface AccessDeps {
  adminToken: string | undefined
  /** The directory of tenants fits. */
  tenants: KnownKeys & { isLoaded: () => boolean }
}

/**
 * Refuses a request that may not read the company it asks about: a hook for routes under `/companies/:company_id/`.
 *
 * @throws Problem 400, 401, 403 or 503
 */
export const admitReader =
  ({ adminToken, tenants }: AccessDeps) =>
  async ({ headers, params }: FastifyRequest): Promise<void> => {
    const { company_id: companyId } = params as { company_id: string }
    const caller = callerOf(headers.authorization, adminToken, tenants)
    if (caller?.kind !== 'admin') {
      if (!tenants.isLoaded()) throw notReady()
      if (caller === undefined) throw unauthenticated()
      if (caller.companyId !== companyId) throw companyOfAnotherKey()
      if (!hasScope(caller, 'read')) throw scopeMissing('read')
    }
    if (!isCompanyId(companyId)) throw invalidRequest([{ path: 'company_id', message: 'expected a lower-case UUID' }])
  }
