import { randomBytes, randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { encodeEvent, newEvent, subjects } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { buildSimulator } from '@cloudapi2/graph-simulator'
import {
  applyTopology,
  asServerPermissions,
  BUCKETS,
  connectNats,
  createPublisher,
  openKv,
  permissions,
} from '@cloudapi2/nats'
import { createLog, createMetrics, createReadiness } from '@cloudapi2/service-kit'
import { createTenantDirectory, hashApiKey, newApiKey, parseSecretsKeys } from '@cloudapi2/tenants'
import { createGraphClient } from '@cloudapi2/whatsapp'
import { expect, vi } from 'vitest'
import { whatsappChannel } from '../channel/whatsapp.client.ts'
import { parseConfig } from '../config.ts'
import { startService } from '../service.app.ts'

export const ADMIN_TOKEN = 'admin-token-of-the-test'
/** Belongs to the companies and must never be seen by a caller. */
export const TOKEN = 'EAAtokenOfTheTestThatMustNotBeSeen'

export interface Company {
  id: string
  number: string
  waba: string
  token: string
  key: string
  keyThatReads: string
}

export const TEMPLATES = [
  {
    name: 'order_ready',
    language: 'en_US',
    parameter_format: 'POSITIONAL' as const,
    components: [{ type: 'BODY', text: 'Hello {{1}}, order {{2}} is ready' }],
  },
  {
    name: 'order_late',
    language: 'en_US',
    parameter_format: 'POSITIONAL' as const,
    components: [{ type: 'BODY', text: 'Hello {{1}}, order {{2}} is late' }],
  },
]

const silent = { info: () => {}, warn: () => {}, error: () => {} }

export type Rig = Awaited<ReturnType<typeof startRig>>

/** The sender as it is, on a real nats-server, with the simulator for Meta. */
export const startRig = async ({ metaWaitMs = 5_000 }: { metaWaitMs?: number } = {}) => {
  const natsServer = await startNats({
    users: [
      { user: 'operator', password: 'p' },
      {
        user: 'sender',
        password: 'p',
        permissions: asServerPermissions(permissions.sender),
      },
    ],
  })
  const natsUrl = (user: string) => `nats://${user}:p@127.0.0.1:${natsServer.port}`
  const operator = await connectNats({ url: natsUrl('operator'), name: 'operator', log: silent })
  await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 0 })
  const simulator = buildSimulator({ seed: 1 })
  const graphUrl = await simulator.listen({ host: '127.0.0.1', port: 0 })

  const secretsKeys = `k1:${randomBytes(32).toString('base64')}`
  const config = {
    ...parseConfig({
      NATS_URL: natsUrl('sender'),
      SECRETS_KEYS: secretsKeys,
      ADMIN_TOKEN,
      GRAPH_BASE_URL: graphUrl,
      GRAPH_TIMEOUT_MS: '1500',
      META_WAIT_MS: String(metaWaitMs),
      MAX_ATTEMPTS: '2',
      RETRY_BASE_MS: '10',
      UNCERTAIN_GRACE_MS: '300',
    }),
  }
  const logged: string[] = []
  const log = createLog({ service: 'sender', level: 'debug' }, { write: (line) => void logged.push(line) })
  const nats = await connectNats({ url: config.natsUrl, name: 'sender', log })
  const publisher = createPublisher(nats, { timeoutMs: 1_000 })
  const tenants = await createTenantDirectory({
    source: await openKv(nats, BUCKETS.tenants, log),
    keys: parseSecretsKeys(secretsKeys),
    log,
  })
  const graph = createGraphClient(config.graph)
  const service = startService({
    config,
    log,
    metrics: createMetrics('sender'),
    readiness: createReadiness(),
    nats,
    publisher,
    tenants,
    ledgerBucket: await openKv(nats, BUCKETS.sendLedger, log),
    templatesBucket: await openKv(nats, BUCKETS.templates, log),
    leasesBucket: await openKv(nats, BUCKETS.leases, log),
    channel: whatsappChannel(graph),
  })
  await service.app.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`
  await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), { timeout: 10_000 })

  const control = async (method: 'PUT' | 'POST' | 'GET', path: string, body?: unknown) => {
    const answer = await fetch(`${graphUrl}/simulate/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    expect(answer.status, path).toBeLessThan(300)
    return answer.json() as Promise<Record<string, unknown>>
  }

  const register = (company: Company, token: string) =>
    control('PUT', 'tenants', {
      company_id: company.id,
      waba_id: company.waba,
      phone_numbers: [{ id: company.number, display_phone_number: '34911234567' }],
      access_token: token,
      app_secret: 'secret',
      verify_token: 'verify',
      // Nobody listens: webhooks are not what is tested here.
      webhook_url: 'http://127.0.0.1:9/webhook',
      templates: TEMPLATES,
    })

  let companies = 0
  const bucket = await openKv(operator, BUCKETS.tenants, silent)
  /** A company with one number, known to the sender and to Meta. */
  const newCompany = async (properties: Record<string, unknown> = {}): Promise<Company> => {
    const n = String(++companies).padStart(4, '0')
    const company: Company = {
      id: randomUUID(),
      number: `67437238575${n}`,
      waba: `81975511209${n}`,
      token: `${TOKEN}${n}`,
      key: newApiKey().key,
      keyThatReads: newApiKey().key,
    }
    await register(company, company.token)
    await bucket.put(
      company.id,
      JSON.stringify({
        company_id: company.id,
        name: 'Bakery',
        custom_properties: {
          WHATSAPP_ACCESS_TOKEN: company.token,
          WHATSAPP_PHONE_NUMBER_ID: company.number,
          WHATSAPP_BUSINESS_ID: company.waba,
          ...properties,
        },
        api_keys: [
          { id: 'k-send', name: 'shop', scopes: ['send'], hash: hashApiKey(company.key) },
          { id: 'k-read', name: 'crm', scopes: ['read'], hash: hashApiKey(company.keyThatReads) },
        ],
        updated_at: new Date().toISOString(),
      }),
    )
    await vi.waitFor(async () => {
      const answer = await fetch(`${url}/commands/none`, { headers: { authorization: `Bearer ${company.key}` } })
      expect(answer.status).toBe(404)
    })
    return company
  }

  /** What Meta was asked by this company's number, in order. */
  const callsOf = async (company: Company) => {
    const { calls } = (await control('GET', 'calls')) as {
      calls: { path: string; company_id: string | null; type: string; outcome: string; to: string | null }[]
    }
    return calls.filter((call) => call.company_id === company.id)
  }

  return {
    url,
    graphUrl,
    logged,
    control,
    newCompany,
    /** The event by which the gateway tells of a webhook that concerns the account. */
    notify: (company: Company, field: string, raw: unknown) => {
      const at = new Date().toISOString()
      const event = newEvent({
        id: randomUUID(),
        source: '/webhook-gateway',
        type: 'account.notified',
        subject: company.waba,
        time: at,
        companyId: company.id,
        channel: 'whatsapp',
        recordedTime: at,
        data: { field, entity: 'change', raw },
      })
      operator.publish(subjects.event(company.id, 'whatsapp', 'account.notified'), encodeEvent(event))
    },
    /** Meta knows the company by another token from now on. */
    forgetToken: (company: Company) => register(company, `${company.token}renewed`),
    callsOf,
    stop: async () => {
      await service.stop()
      await graph.close()
      tenants.stop()
      publisher.close()
      await nats.close()
      await simulator.close()
      await operator.close()
      await natsServer.stop()
    },
  }
}
