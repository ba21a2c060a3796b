import type { FastifyInstance } from 'fastify'
import { request as httpRequest } from 'undici'
import { z } from 'zod'
import type { CallFilter } from './call-log.ts'
import { SimulationRefused } from './errors.ts'
import { FaultsSchema } from './faults.ts'
import type { JsonObject } from './json.ts'
import { MediaFaultsSchema } from './media-faults.ts'
import { LimitsSchema } from './message-limits.ts'
import { inboundMessageId } from './meta-ids.ts'
import type { Simulation } from './simulation.ts'
import {
  type PhoneNumber,
  putTemplates,
  removeTemplates,
  TemplateSchema,
  type Tenant,
  TenantSchema,
  TenantsSchema,
} from './tenants.ts'
import { TEST_RECIPIENTS } from './test-recipient.ts'
import { TimingSchema } from './timing.ts'
import { authorOf, inboundMessage, messagesBody } from './webhook-body.ts'
import type { Delivered } from './webhook-delivery.client.ts'

/** A list of 10,000 tenants with their templates, and a webhook of Meta's largest size. */
const BODY_MAX_BYTES = 64 * 1024 * 1024
/** The largest file there is, in base64. */
const INBOUND_MAX_BYTES = 140 * 1024 * 1024
const COUNT_MAX = 10_000
/** Meta puts up to 1,000 updates into one POST. */
const BATCH_MAX = 1_000
const HANDSHAKE_TIMEOUT_MS = 10_000

const Inbound = z.strictObject({
  company_id: z.string().optional(),
  phone_number_id: z.string().optional(),
  from: z.string().regex(/^(\+?\d[\d\s-]*|[A-Z]{2}\.[A-Za-z0-9.]+)$/, 'expected a phone number or a user id'),
  text: z.string().optional(),
  message: z.looseObject({ type: z.string() }).optional(),
  media: z
    .strictObject({
      kind: z.enum(['audio', 'document', 'image', 'sticker', 'video']),
      mime_type: z.string().min(1),
      base64: z.base64(),
      filename: z.string().optional(),
      caption: z.string().optional(),
    })
    .optional(),
  profile_name: z.string().optional(),
  count: z.number().int().min(1).max(COUNT_MAX).default(1),
  batch: z.boolean().default(false),
})

const TemplatesOrder = z.strictObject({ company_id: z.string(), templates: z.array(TemplateSchema).min(1) })
const TemplateQuery = z.strictObject({ company_id: z.string(), name: z.string(), language: z.string().optional() })
const WebhookOrder = z.strictObject({ company_id: z.string(), body: z.unknown(), retry: z.boolean().default(false) })
const CallsQuery = z.strictObject({
  phone_number_id: z.string().optional(),
  company_id: z.string().optional(),
  to: z.string().optional(),
  callback_data: z.string().optional(),
  outcome: z.string().optional(),
  type: z.string().optional(),
  limit: z.coerce.number().int().min(0).max(100_000).default(1_000),
})

/** The request in the form it must have. @throws SimulationRefused naming what is wrong and none of the values */
const expect = <Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> => {
  const { success, data, error } = schema.safeParse(value)
  if (success) return data
  throw new SimulationRefused(
    error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; '),
  )
}

/** Those settings that the request names: what it leaves out stays as it is set now, and is not put back to its default. */
const changesOf = <Schema extends z.ZodType<object>>(schema: Schema, body: unknown): Partial<z.output<Schema>> => {
  const named = new Set(Object.keys(expect(z.looseObject({}), body)))
  const parsed = Object.entries(expect(schema, body)).filter(([name]) => named.has(name))
  return Object.fromEntries(parsed) as Partial<z.output<Schema>>
}

const HELP = {
  what: "Meta's side of the WhatsApp Business Cloud API for development and tests. Nothing leaves this machine.",
  graph: {
    'POST /v22.0/{phone_number_id}/messages': 'send a message or a read receipt',
    'POST /v22.0/{phone_number_id}/media': 'upload (multipart, or the bare file)',
    'GET /v22.0/{media_id}': 'where a file can be downloaded with the same token',
    'DELETE /v22.0/{media_id}': 'delete a file',
    'GET /v22.0/{waba_id}/message_templates': 'list; name, status, language, fields, limit, after',
    'GET /v22.0/{waba_id}/phone_numbers': 'list',
    'GET /v22.0/{phone_number_id | waba_id | template_id}': 'one object; fields',
    'GET /v22.0/debug_token?input_token=': 'what a token opens',
  },
  test_recipients: Object.fromEntries(Object.entries(TEST_RECIPIENTS).map(([end, what]) => [`…${end}`, what])),
  simulate: {
    'GET /simulate/tenants': 'who is registered; secrets are not shown',
    'PUT /simulate/tenants':
      'register one tenant or a list: company_id, waba_id, phone_numbers, access_token, app_secret, verify_token, webhook_url, templates',
    'DELETE /simulate/tenants/{company_id}': 'forget a tenant',
    'GET /simulate/templates?company_id=': 'the templates of a tenant, whole',
    'PUT /simulate/templates':
      'company_id, templates: each is added, or takes the place of the one with its name and language',
    'DELETE /simulate/templates?company_id=&name=&language=': 'in all languages unless one is named',
    'POST /simulate/inbound':
      'a message from a person: company_id or phone_number_id, from, text, message or media (kind, mime_type, base64, filename, caption), profile_name, count, batch',
    'POST /simulate/webhook': 'any JSON as a signed webhook: company_id, body, retry (false: one attempt)',
    'POST /simulate/handshake': "Meta's GET that verifies the webhook: company_id",
    'POST /simulate/retry': 'try everything that waits for its next attempt now',
    'GET | PUT /simulate/limits': Object.keys(LimitsSchema.shape),
    'GET | PUT /simulate/timing': Object.keys(TimingSchema.shape),
    'GET | POST | DELETE /simulate/faults': Object.keys(FaultsSchema.shape),
    'GET | POST | DELETE /simulate/media-faults': ['company_id', ...Object.keys(MediaFaultsSchema.shape)],
    'GET /simulate/calls': 'what was asked; phone_number_id, company_id, to, callback_data, outcome, type, limit',
    'DELETE /simulate/calls': 'forget the calls and their counters',
    'GET /simulate/stats': 'counters of calls and webhooks',
  },
}

const masked = ({ company_id, waba_id, phone_numbers, webhook_url, templates }: Tenant) => ({
  company_id,
  waba_id,
  phone_numbers,
  webhook_url,
  templates: templates.map(({ name, language, status }) => ({ name, language, status })),
})

/** The controls: who is simulated, what comes in, what goes wrong, and what happened. */
export const simulateRoutes = (app: FastifyInstance, simulation: Simulation): void => {
  const { directory, settings, limits, attempts, calls, delivery, media, mediaFaults, clock, random, log } = simulation
  const bodyLimit = BODY_MAX_BYTES

  const tenantOf = (companyId: string): Tenant => {
    const tenant = directory.byCompany(companyId)
    if (!tenant) throw new SimulationRefused('company_id: expected a registered tenant', 404)
    return tenant
  }
  const numberOf = (order: z.output<typeof Inbound>): { tenant: Tenant; phone: PhoneNumber } => {
    if (order.phone_number_id !== undefined) {
      const number = directory.byPhoneNumber(order.phone_number_id)
      if (!number || (order.company_id !== undefined && number.tenant.company_id !== order.company_id))
        throw new SimulationRefused('phone_number_id: expected a number of a registered tenant', 404)
      return number
    }
    if (order.company_id === undefined) throw new SimulationRefused('expected company_id or phone_number_id')
    const tenant = tenantOf(order.company_id)
    return { tenant, phone: tenant.phone_numbers[0] as PhoneNumber }
  }

  app.get('/simulate', () => HELP)

  app.get('/simulate/tenants', () => ({ tenants: directory.all().map(masked) }))
  app.put('/simulate/tenants', { bodyLimit }, ({ body }) => {
    const tenants = Array.isArray(body) ? expect(TenantsSchema, body) : [expect(TenantSchema, body)]
    directory.register(tenants)
    log.info({ event: 'tenants.registered', count: tenants.length, total: directory.all().length })
    return { registered: tenants.length, total: directory.all().length }
  })
  app.delete('/simulate/tenants/:company_id', ({ params }) => {
    const { company_id } = params as { company_id: string }
    if (!directory.remove(company_id)) throw new SimulationRefused('company_id: expected a registered tenant', 404)
    return { removed: 1, total: directory.all().length }
  })

  app.get('/simulate/templates', ({ query }) => {
    const { company_id } = expect(z.strictObject({ company_id: z.string() }), query)
    return { templates: tenantOf(company_id).templates }
  })
  app.put('/simulate/templates', { bodyLimit }, ({ body }) => {
    const { company_id, templates } = expect(TemplatesOrder, body)
    const tenant = tenantOf(company_id)
    putTemplates(tenant, templates)
    return { put: templates.length, total: tenant.templates.length }
  })
  app.delete('/simulate/templates', ({ query }) => {
    const { company_id, name, language } = expect(TemplateQuery, query)
    const tenant = tenantOf(company_id)
    const removed = removeTemplates(tenant, name, language)
    if (removed === 0) throw new SimulationRefused('name: expected a template of the tenant', 404)
    return { removed, total: tenant.templates.length }
  })

  /** What the message says; a file is put where the Graph API gives it out, anew for every message. */
  const contentOf = ({ message, text, media: file }: z.output<typeof Inbound>, tenant: Tenant): JsonObject => {
    if (message !== undefined) return message
    if (file === undefined) {
      if (text === undefined) throw new SimulationRefused('expected text, message or media')
      return { type: 'text', text: { body: text } }
    }
    const { kind, mime_type, base64, filename, caption } = file
    const stored = media.put(tenant.waba_id, mime_type, Buffer.from(base64, 'base64'))
    return {
      type: kind,
      [kind]: {
        mime_type,
        // Webhooks write it in base64, the Graph API in hexadecimal.
        sha256: Buffer.from(stored.sha256, 'hex').toString('base64'),
        id: stored.id,
        ...(filename === undefined ? {} : { filename }),
        ...(caption === undefined ? {} : { caption }),
      },
    }
  }

  app.post('/simulate/inbound', { bodyLimit: INBOUND_MAX_BYTES }, async ({ body }) => {
    const order = expect(Inbound, body)
    const { tenant, phone } = numberOf(order)
    if (order.batch && order.count > BATCH_MAX)
      throw new SimulationRefused(`count: expected at most ${BATCH_MAX} in a batch`)
    const author = authorOf(tenant, order.from, order.profile_name)
    const messages = Array.from({ length: order.count }, () => {
      limits.countReceived(phone.id, clock())
      return inboundMessage(
        author,
        contentOf(order, tenant),
        inboundMessageId(author.waId ?? author.userId, random),
        clock(),
      )
    })
    const posts = order.batch ? [messages] : messages.map((message) => [message])
    const results: Delivered[] = await Promise.all(
      posts.map((post) => delivery.send(tenant.company_id, messagesBody(tenant, phone, author, post))),
    )
    const failed = results.find((result) => !result.delivered)
    return {
      message_id: messages[0]?.id,
      message_ids: messages.map((message) => message.id),
      delivered: failed === undefined,
      status: (failed ?? results[0])?.status ?? null,
    }
  })

  app.post('/simulate/webhook', { bodyLimit }, ({ body }) => {
    const order = expect(WebhookOrder, body)
    tenantOf(order.company_id)
    return delivery.send(order.company_id, order.body, { isRetried: order.retry })
  })

  app.post('/simulate/handshake', async ({ body }) => {
    const tenant = tenantOf(expect(z.strictObject({ company_id: z.string() }), body).company_id)
    const challenge = String(Math.floor(random.next() * 2 ** 31))
    const url = new URL(tenant.webhook_url)
    url.searchParams.set('hub.mode', 'subscribe')
    url.searchParams.set('hub.challenge', challenge)
    url.searchParams.set('hub.verify_token', tenant.verify_token)
    const answer = await httpRequest(url, {
      headersTimeout: HANDSHAKE_TIMEOUT_MS,
      bodyTimeout: HANDSHAKE_TIMEOUT_MS,
    }).catch((cause: NodeJS.ErrnoException) => {
      log.debug({ event: 'handshake.failed', company_id: tenant.company_id, reason: cause.code ?? cause.name })
      return undefined
    })
    if (!answer) return { verified: false, status: null }
    const text = await answer.body.text()
    return { verified: answer.statusCode === 200 && text === challenge, status: answer.statusCode }
  })

  app.post('/simulate/retry', () => ({ retried: delivery.retryNow() }))

  app.get('/simulate/limits', () => limits.get())
  app.put('/simulate/limits', ({ body }) => {
    limits.set({ ...limits.get(), ...changesOf(LimitsSchema, body) })
    return limits.get()
  })
  app.get('/simulate/timing', () => settings.timing)
  app.put('/simulate/timing', ({ body }) => {
    settings.timing = { ...settings.timing, ...changesOf(TimingSchema, body) }
    return settings.timing
  })
  app.get('/simulate/faults', () => settings.faults)
  app.post('/simulate/faults', ({ body }) => {
    settings.faults = { ...settings.faults, ...changesOf(FaultsSchema, body) }
    log.info({ event: 'faults.set', ...settings.faults })
    return settings.faults
  })
  app.delete('/simulate/faults', () => {
    settings.faults = FaultsSchema.parse({})
    return settings.faults
  })

  app.get('/simulate/media-faults', () => mediaFaults.get())
  app.post('/simulate/media-faults', ({ body }) => {
    const { company_id, ...rest } = expect(z.looseObject({ company_id: z.string().optional() }), body)
    mediaFaults.set(company_id, changesOf(MediaFaultsSchema, rest))
    return mediaFaults.get()
  })
  app.delete('/simulate/media-faults', () => {
    mediaFaults.clear()
    return mediaFaults.get()
  })

  app.get('/simulate/calls', ({ query }) => {
    const { limit, ...filter } = expect(CallsQuery, query)
    return calls.find(filter satisfies CallFilter, limit)
  })
  app.delete('/simulate/calls', () => {
    calls.clear()
    attempts.clear()
    return { cleared: true }
  })
  app.get('/simulate/stats', () => {
    const { accepted, refused, ...rest } = calls.stats()
    return { accepted, refused, ...rest, webhooks: delivery.stats(), tenants: directory.all().length }
  })
}
