import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { authorise, type CallSubject, meetFault, record, refuse } from './graph-answer.ts'
import { type GraphRefusal, managementLimitReached, somethingWentWrong, unsupportedRequest } from './graph-refusal.ts'
import { GRAPH_VERSION_PATH } from './graph-version.ts'
import type { JsonObject } from './json.ts'
import { debugTokenBody, pageBody, phoneNumberBody, templateBody, usageHeader, wabaBody } from './management-answer.ts'
import { mediaBody } from './media.routes.ts'
import type { Simulation } from './simulation.ts'
import type { Tenant } from './tenants.ts'

type Query = Partial<
  Record<'fields' | 'limit' | 'after' | 'name' | 'status' | 'language' | 'phone_number_id' | 'input_token', string>
>
type Found = { tenant: Tenant; type: string; body: JsonObject | GraphRefusal; isCounted: boolean }

const isRefusal = (body: JsonObject | GraphRefusal): body is GraphRefusal => 'httpStatus' in body

/** What the Graph API tells about an account: templates, numbers, media and tokens. */
export const managementRoutes = (app: FastifyInstance, simulation: Simulation): void => {
  const { directory, limits, media: shelf, mediaFaults, clock } = simulation

  /** Looks the object up among what the token opens, counts the call, answers. */
  const answer = async (
    request: FastifyRequest,
    reply: FastifyReply,
    type: string,
    find: (tenants: Tenant[], id: string, query: Query) => Found | undefined,
  ) => {
    const { id = '' } = request.params as { id?: string }
    const authorised = authorise(simulation, request)
    if ('refusal' in authorised) return refuse(simulation, request, reply, { type }, authorised.refusal)
    const found = find([...authorised.tenants], id, request.query as Query)
    if (!found) return refuse(simulation, request, reply, { type }, unsupportedRequest(request.method, id))
    const { tenant, body } = found
    const subject: CallSubject = { type: found.type, company_id: tenant.company_id }
    if (found.isCounted) {
      const percent = limits.countManagementCall(tenant.waba_id, clock())
      reply.header('x-business-use-case-usage', usageHeader(tenant.waba_id, percent))
      if (percent > 100 && limits.get().enforce)
        return refuse(simulation, request, reply, subject, managementLimitReached())
    }
    if (isRefusal(body)) return refuse(simulation, request, reply, subject, body)
    const fault = await meetFault(simulation, request, reply, subject)
    if (fault.kind === 'ended') return reply
    record(simulation, request, subject, { outcome: 'answered', status: fault.kind === 'go' ? 200 : null })
    return fault.kind === 'go' ? reply.send(body) : fault.end()
  }

  const page = (request: FastifyRequest, items: JsonObject[], { limit, after }: Query) => {
    const kept = new URLSearchParams(request.query as Record<string, string>)
    for (const name of ['access_token', 'limit', 'after']) kept.delete(name)
    const rest = kept.size > 0 ? `?${kept}` : ''
    return pageBody(items, { limit, after, path: `http://${request.host}${request.url.split('?')[0]}${rest}` })
  }

  app.get(`/${GRAPH_VERSION_PATH}/debug_token`, async (request, reply) => {
    const subject = { type: 'debug_token' }
    const authorised = authorise(simulation, request)
    if ('refusal' in authorised) return refuse(simulation, request, reply, subject, authorised.refusal)
    const { input_token = '' } = request.query as Query
    record(simulation, request, subject, { outcome: 'answered', status: 200 })
    return reply.send(debugTokenBody(directory.byToken(input_token)))
  })

  app.get(`/${GRAPH_VERSION_PATH}/:id/message_templates`, (request, reply) =>
    answer(request, reply, 'templates', (tenants, id, query) => {
      const tenant = tenants.find((candidate) => candidate.waba_id === id)
      if (!tenant) return undefined
      const templates = tenant.templates
        .filter(({ name }) => query.name === undefined || name === query.name)
        .filter(({ status }) => query.status === undefined || status === query.status)
        .filter(({ language }) => query.language === undefined || language === query.language)
        .map((template) => templateBody(template, query.fields))
      return { tenant, type: 'templates', body: page(request, templates, query), isCounted: true }
    }),
  )

  app.get(`/${GRAPH_VERSION_PATH}/:id/phone_numbers`, (request, reply) =>
    answer(request, reply, 'phone_numbers', (tenants, id, query) => {
      const tenant = tenants.find((candidate) => candidate.waba_id === id)
      if (!tenant) return undefined
      const numbers = tenant.phone_numbers.map((phone) => phoneNumberBody(tenant, phone, limits.get(), query.fields))
      return { tenant, type: 'phone_numbers', body: page(request, numbers, query), isCounted: true }
    }),
  )

  app.get(`/${GRAPH_VERSION_PATH}/:id`, (request, reply) =>
    answer(request, reply, 'object', (tenants, id, query): Found | undefined => {
      const number = directory.byPhoneNumber(id)
      if (number && tenants.includes(number.tenant)) {
        const body = phoneNumberBody(number.tenant, number.phone, limits.get(), query.fields)
        return { tenant: number.tenant, type: 'phone_number', body, isCounted: true }
      }
      for (const tenant of tenants) {
        if (tenant.waba_id === id) return { tenant, type: 'waba', body: wabaBody(tenant), isCounted: true }
        const template = tenant.templates.find((candidate) => candidate.id === id)
        if (template) {
          const body = templateBody(template, query.fields)
          return { tenant, type: 'template', body, isCounted: true }
        }
      }
      const media = shelf.get(id)
      const owner = tenants.find((tenant) => tenant.waba_id === media?.wabaId)
      const asked = query.phone_number_id
      if (!media || !owner || (asked !== undefined && !owner.phone_numbers.some((phone) => phone.id === asked)))
        return undefined
      const body = mediaFaults.meets(owner.company_id, 'lookup_missing')
        ? unsupportedRequest(request.method, id)
        : mediaFaults.meets(owner.company_id, 'lookup_5xx')
          ? somethingWentWrong()
          : mediaBody(simulation, request, media, owner)
      return { tenant: owner, type: 'media', body, isCounted: false }
    }),
  )
}
