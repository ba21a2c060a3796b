import { isCompanyId, NO_COMPANY } from '@cloudapi2/contracts'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { WebhookAddress } from '@cloudapi2/whatsapp'

/** What one webhook URL trusts, and whose the events are that arrive there. */
export interface Endpoint {
  /** Any of them may have signed. None: the endpoint accepts nothing, unless unsigned webhooks are allowed. */
  appSecrets: readonly string[]
  verifyToken: string | undefined
  companyOf: (address: WebhookAddress) => string
}

/** The URL of one tenant: everything that arrives there is the tenant's. Undefined for an unknown company. */
export const tenantEndpoint = (tenants: TenantDirectory, companyId: string): Endpoint | undefined => {
  const id = companyId.toLowerCase()
  const tenant = isCompanyId(id) ? tenants.get(id) : undefined
  if (tenant === undefined) return undefined
  return { appSecrets: tenant.appSecrets, verifyToken: tenant.verifyToken, companyOf: () => tenant.companyId }
}

/**
 * The URL of one Meta app in front of many tenants. Each change finds its tenant by phone number id, then by WABA id
 * (template and account fields name no number); what nobody claims is kept under the company `_`.
 */
export const appEndpoint = (
  tenants: TenantDirectory,
  { appSecrets, verifyToken }: { appSecrets: readonly string[]; verifyToken: string | undefined },
): Endpoint => ({
  appSecrets,
  verifyToken,
  companyOf: ({ phone_number_id, account_id }) =>
    (
      (phone_number_id === undefined ? undefined : tenants.byPhoneNumberId(phone_number_id)) ??
      (account_id === undefined ? undefined : tenants.byBusinessId(account_id))
    )?.companyId ?? NO_COMPANY,
})
