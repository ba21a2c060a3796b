import type { Caller } from '@cloudapi2/service-kit'
import type { Tenant, TenantDirectory } from '@cloudapi2/tenants'
import { metaErrors } from './meta-error.ts'

export type Directory = Pick<TenantDirectory, 'get' | 'byPhoneNumberId' | 'byBusinessId'>

export const hasNumber = ({ phoneNumbers }: Tenant, phoneNumberId: string): boolean =>
  phoneNumbers.some(({ id }) => id === phoneNumberId)

/** The company of a number, as far as the caller may act for it. */
export const companyOfNumber = (caller: Caller, phoneNumberId: string, tenants: Directory): Tenant | undefined => {
  if (caller.kind === 'admin') return tenants.byPhoneNumberId(phoneNumberId)
  const tenant = tenants.get(caller.companyId)
  return tenant !== undefined && hasNumber(tenant, phoneNumberId) ? tenant : undefined
}

/** The company of a WhatsApp Business account, as far as the caller may act for it. */
export const companyOfAccount = (caller: Caller, businessId: string, tenants: Directory): Tenant | undefined => {
  const tenant = caller.kind === 'admin' ? tenants.byBusinessId(businessId) : tenants.get(caller.companyId)
  return tenant?.businessId === businessId ? tenant : undefined
}

/** With what the company is known to Meta. @throws MetaError when it has none that can be used */
export const tokenOf = ({ accessToken }: Tenant): string => {
  // A token with anything else was damaged on its way into the settings, and fits into no header.
  if (accessToken === undefined || !/^[\x21-\x7e]+$/.test(accessToken)) throw metaErrors.noAccessToken()
  return accessToken
}
