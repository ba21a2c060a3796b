import { bearerToken, secretsEqual } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'

/** Who makes a request: the operator, for any company, or a company's own software. */
export type Caller =
  | { kind: 'admin' }
  | { kind: 'company'; companyId: string; keyId: string; scopes: readonly string[] }

/** Undefined: nobody we know. An admin token that was not configured opens nothing. */
export const callerOf = (
  authorization: string | undefined,
  adminToken: string | undefined,
  tenants: Pick<TenantDirectory, 'keyOf'>,
): Caller | undefined => {
  const token = bearerToken(authorization)
  if (token === undefined) return undefined
  if (adminToken !== undefined && secretsEqual(token, adminToken)) return { kind: 'admin' }
  const key = tenants.keyOf(token)
  return key === undefined ? undefined : { kind: 'company', ...key }
}

/** True when the caller may do it at all; for which company is another question. */
export const hasScope = (caller: Caller, scope: string): boolean =>
  caller.kind === 'admin' || caller.scopes.includes(scope)
