import { bearerToken, secretsEqual } from './bearer.ts'
import { Problem } from './problem.ts'

/** Who makes a request: the operator, for any company, or a company's own software. */
export type Caller =
  | { kind: 'admin' }
  | { kind: 'company'; companyId: string; keyId: string; scopes: readonly string[] }

/** Where API keys are known; the directory of tenants fits. */
export interface KnownKeys {
  keyOf: (bearerToken: string) => { companyId: string; keyId: string; scopes: readonly string[] } | undefined
}

/** Undefined: nobody we know. An admin token that was not configured opens nothing. */
export const callerOf = (
  authorization: string | undefined,
  adminToken: string | undefined,
  keys: KnownKeys,
): Caller | undefined => {
  const token = bearerToken(authorization)
  if (token === undefined) return undefined
  if (adminToken !== undefined && secretsEqual(token, adminToken)) return { kind: 'admin' }
  const key = keys.keyOf(token)
  return key === undefined ? undefined : { kind: 'company', ...key }
}

/** True when the caller may do it at all; for which company is another question. */
export const hasScope = (caller: Caller, scope: string): boolean =>
  caller.kind === 'admin' || caller.scopes.includes(scope)

/** The caller's key may be among those not heard of yet. */
export const notReady = (): Problem =>
  new Problem({ status: 503, code: 'NOT_READY', title: 'The service is starting', headers: { 'retry-after': '1' } })

export const unauthenticated = (): Problem =>
  new Problem({
    status: 401,
    code: 'UNAUTHENTICATED',
    title: 'The request needs a valid API key',
    detail: 'Send Authorization: Bearer <API key of the company>.',
    headers: { 'www-authenticate': 'Bearer' },
  })

export const scopeMissing = (scope: string): Problem =>
  new Problem({
    status: 403,
    code: 'SCOPE_MISSING',
    title: 'The API key does not allow this',
    detail: `Use a key with the scope "${scope}".`,
  })

export const companyOfAnotherKey = (detail?: string): Problem =>
  new Problem({
    status: 403,
    code: 'COMPANY_OF_ANOTHER_KEY',
    title: 'The API key belongs to another company',
    ...(detail === undefined ? {} : { detail }),
  })

/**
 * Whose company a request is about: a key stands for its own; undefined: the operator named none.
 *
 * @param asked the `company_id` of the request, if there is one
 * @throws Problem 403 for a company that is not the key's
 */
export const companyOf = (caller: Caller, asked: string | undefined): string | undefined => {
  if (caller.kind === 'admin') return asked
  if (asked !== undefined && asked !== caller.companyId)
    throw companyOfAnotherKey('company_id: expected the company of the key, or nothing')
  return caller.companyId
}
