import type { Tenant, TenantDirectory } from '@cloudapi2/tenants'
import { request } from 'undici'
import { SIMULATED_TEMPLATES } from './demo.ts'

/**
 * Keeps the simulator knowing every company that tenant-config knows, as Meta would: whoever creates a company can send
 * and receive with it at once. A company without token or number is none that Meta would know.
 */
export const mirrorTenants = ({
  tenants,
  simulatorUrl,
  gatewayUrl,
  onError,
}: {
  tenants: TenantDirectory
  simulatorUrl: string
  gatewayUrl: string
  onError: (error: unknown) => void
}) => {
  let isDirty = true
  let lastSent = ''
  const push = async (force: boolean) => {
    const body = JSON.stringify([...tenants.all()].flatMap((tenant) => simulated(tenant, tenants, gatewayUrl)))
    if (!force && body === lastSent) return
    const response = await request(`${simulatorUrl}/simulate/tenants`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body,
      headersTimeout: 5_000,
    })
    const text = await response.body.text()
    if (response.statusCode >= 300)
      throw new Error(`the simulator refused the tenants: ${response.statusCode} ${text.slice(0, 300)}`)
    lastSent = body
  }
  tenants.onChange(() => {
    isDirty = true
  })
  const tick = async () => {
    if (!isDirty) return
    isDirty = false
    await push(false).catch((error: unknown) => {
      isDirty = true
      onError(error)
    })
  }
  const timer = setInterval(() => void tick(), 100)
  return {
    /** Resolves once the simulator knows what is known now. */
    now: () => push(true),
    /** The simulator was started afresh and knows nobody. */
    again: () => {
      lastSent = ''
      isDirty = true
    },
    stop: () => clearInterval(timer),
  }
}

const simulated = (tenant: Tenant, tenants: TenantDirectory, gatewayUrl: string) => {
  // Meta has one owner for every number; of two companies that claim one, it is the one the services think of.
  const numbers = tenant.phoneNumbers.filter(({ id }) => tenants.byPhoneNumberId(id) === tenant)
  if (tenant.accessToken === undefined || numbers.length === 0) return []
  return [
    {
      company_id: tenant.companyId,
      waba_id: tenant.businessId ?? `9${(numbers[0] as { id: string }).id}`,
      phone_numbers: numbers.map(({ id, displayPhoneNumber }) => ({
        id,
        display_phone_number: displayPhoneNumber ?? id,
      })),
      access_token: tenant.accessToken,
      app_secret: tenant.appSecrets[0] ?? 'no-app-secret',
      verify_token: tenant.verifyToken ?? 'no-verify-token',
      webhook_url: `${gatewayUrl}/${tenant.companyId}/webhook`,
      templates: SIMULATED_TEMPLATES,
    },
  ]
}
