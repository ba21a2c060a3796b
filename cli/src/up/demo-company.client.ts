import { GatewayError } from '@cloudapi2/contracts'
import { request } from 'undici'
import { DEMO, demoProperties } from './demo.ts'
import type { Secrets } from './secrets.store.ts'

/**
 * Makes sure the demo company is there and has an API key that we can show.
 *
 * @returns the API key: the one given, or a new one
 * @throws GatewayError DEMO_NOT_SEEDED
 */
export const seedDemoCompany = async ({
  tenantConfigUrl,
  adminToken,
  secrets,
}: {
  tenantConfigUrl: string
  adminToken: string
  secrets: Secrets['demo']
}): Promise<string> => {
  const call = async <T>(
    method: 'GET' | 'PUT' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: T }> => {
    const response = await request(`${tenantConfigUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.body.text()
    if (response.statusCode >= 300 && response.statusCode !== 404)
      throw new GatewayError(
        `the demo company could not be set up: ${method} ${path} answered ${response.statusCode}`,
        {
          code: 'DEMO_NOT_SEEDED',
          retryable: true,
        },
      )
    return { status: response.statusCode, body: (text === '' ? undefined : JSON.parse(text)) as T }
  }

  const path = `/companies/${DEMO.companyId}`
  const existing = await call('GET', path)
  // Somebody may have changed it since: only what is not there is made.
  if (existing.status === 404) await call('PUT', path, { name: DEMO.name, custom_properties: demoProperties(secrets) })
  if (secrets.api_key !== undefined && existing.status !== 404) return secrets.api_key
  const { body } = await call<{ key: string }>('POST', `${path}/api-keys`, { name: 'demo', scopes: ['send', 'read'] })
  return body.key
}
