import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GatewayError } from '@cloudapi2/contracts'
import { BUCKETS, type Nats, openKv } from '@cloudapi2/nats'
import { createTenantDirectory, parseSecretsKeys, type Tenant } from '@cloudapi2/tenants'
import { request } from 'undici'
import type { Context } from '../context.store.ts'
import { type Check, fail, perCompany, skipped, warn } from './check.ts'

/** SECRETS_KEYS, else those that `up` made up; undefined when neither is there. */
const secretsKeysOf = async ({ secretsKeys, dataDir }: Context): Promise<string | undefined> => {
  if (secretsKeys !== undefined) return secretsKeys
  try {
    const made = JSON.parse(await readFile(join(dataDir, 'secrets.json'), 'utf8')) as { secrets_keys?: string }
    return made.secrets_keys
  } catch {
    return undefined // absent, or not for this user: the check says that it was skipped
  }
}

const LOAD_MS = 15_000

/** Every company as the services see it, and what is wrong with its secrets. */
export const companiesChecks = async (
  nats: Nats,
  context: Context,
  only: string | undefined,
): Promise<{ tenants: Tenant[]; checks: Check[] }> => {
  const check = 'sealed secrets'
  const text = await secretsKeysOf(context)
  if (text === undefined)
    return { tenants: [], checks: [skipped(check, 'SECRETS_KEYS is not set, and DATA_DIR has none')] }
  const faults: Check[] = []
  const isAsked = (companyId: unknown) => only === undefined || companyId === only
  const found = (line: Record<string, unknown>) => {
    if (!isAsked(line.company_id)) return
    if (line.event === 'tenants.secret_unreadable')
      faults.push(
        fail(
          check,
          `${line.company_id}: ${line.property} cannot be opened: ${line.reason}`,
          'Add the key it was sealed with to SECRETS_KEYS (after the first), or set the secret anew: cloudapi tenant set',
        ),
      )
    else if (line.event === 'tenants.record_unreadable')
      faults.push(
        fail(
          check,
          `${line.company_id}: its settings cannot be used: ${line.reason}`,
          'See "cloudapi tenant get", and mend what it names',
        ),
      )
    else if (line.event === 'tenants.claimed_twice')
      faults.push(
        warn(
          'numbers',
          `${line.company_id} claims a number or account that another company has too; ${line.winner} gets it`,
          'Take it out of the settings of one of them',
        ),
      )
  }
  try {
    const keys = parseSecretsKeys(text)
    const log = { info: () => {}, warn: found, error: found }
    const directory = await createTenantDirectory({ source: await openKv(nats, BUCKETS.tenants, log), keys, log })
    try {
      await loaded(directory.isLoaded)
      const tenants = [...directory.all()].filter(({ companyId }) => isAsked(companyId))
      if (only !== undefined && tenants.length === 0 && faults.length === 0)
        faults.push(fail(check, `${only}: the services do not know this company`, 'See "cloudapi tenant list"'))
      const unreadable = new Set(
        faults.filter(({ state }) => state === 'fail').map(({ detail }) => detail.slice(0, 36)),
      )
      const good = tenants.filter(({ companyId }) => !unreadable.has(companyId)).length
      return { tenants, checks: perCompany(check, good, faults) }
    } finally {
      directory.stop()
    }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return { tenants: [], checks: [fail(check, error.message, 'SECRETS_KEYS must be what the services have')] }
  }
}

const loaded = async (isLoaded: () => boolean): Promise<void> => {
  const deadline = performance.now() + LOAD_MS
  while (!isLoaded()) {
    if (performance.now() > deadline)
      throw new GatewayError('the companies could not be read from NATS in time', {
        code: 'TENANTS_NOT_LOADED',
        retryable: true,
      })
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const AT_ONCE = 20
const TIMEOUT_MS = 5_000

/** Meta's handshake with every company's webhook, with the verify token that Meta was given. */
export const handshakeChecks = async (gatewayUrl: string, tenants: readonly Tenant[]): Promise<Check[]> => {
  const check = 'webhook handshake'
  const waiting = [...tenants]
  const faults: Check[] = []
  let good = 0
  const work = async () => {
    for (let tenant = waiting.shift(); tenant !== undefined; tenant = waiting.shift()) {
      const fault = await handshake(gatewayUrl, tenant)
      if (fault === undefined) good++
      else faults.push(fault(`${check}`))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return perCompany(check, good, faults)
}

const handshake = async (
  gatewayUrl: string,
  { companyId, verifyToken }: Tenant,
): Promise<((check: string) => Check) | undefined> => {
  if (verifyToken === undefined)
    return (check) =>
      warn(
        check,
        `${companyId} has no verify token: Meta cannot subscribe its webhook`,
        `cloudapi tenant set ${companyId} --secret-from WHATSAPP_VERIFY_TOKEN=FILE`,
      )
  const challenge = String(randomInt(2 ** 31))
  const query = new URLSearchParams({
    'hub.mode': 'subscribe',
    'hub.challenge': challenge,
    'hub.verify_token': verifyToken,
  })
  const asked = `${gatewayUrl}/${companyId}/webhook`
  try {
    const { statusCode, body } = await request(`${asked}?${query}`, {
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    })
    const text = await body.text()
    if (statusCode === 200 && text === challenge) return undefined
    return (check) =>
      fail(
        check,
        `${companyId}: ${asked} answered ${statusCode}`,
        'What answers there is not the gateway, or it does not have these settings yet: see its /readyz',
      )
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException
    return (check) =>
      fail(
        check,
        `${companyId}: ${asked} did not answer (${code ?? name})`,
        'Is the webhook-gateway running? WEBHOOK_GATEWAY_URL names another address',
      )
  }
}
