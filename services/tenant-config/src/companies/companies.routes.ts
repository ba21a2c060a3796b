import { TRACEPARENT_HEADER } from '@cloudapi2/contracts'
import { invalidRequest, traceparentFrom } from '@cloudapi2/service-kit'
import type { SecretsKeys } from '@cloudapi2/tenants'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Broadcaster } from '../broadcast/broadcast.handler.ts'
import { companyNotFound } from './admin-problems.ts'
import type { Change, CompaniesStore } from './companies.store.ts'
import { type Company, propertiesOf, viewOf } from './company.ts'
import { type Parsed, parseCompanyId, parseListQuery, parsePatch, parsePut } from './requests.ts'
import { mergeSettings, replaceSettings } from './settings-change.ts'

export interface CompaniesRoutesDeps {
  store: CompaniesStore
  broadcaster: Broadcaster
  keys: SecretsKeys
}

/** @throws Problem 400 naming the fields */
export const validOr400 = <T>(parsed: Parsed<T>): T => {
  if (!parsed.ok) throw invalidRequest(parsed.fields)
  return parsed.value
}

export const traceOf = (request: FastifyRequest): string =>
  traceparentFrom(request.headers[TRACEPARENT_HEADER] as string | undefined)

/** `/companies`: what every company's settings are, and changing them. Answers to a change come when the services can see it. */
export const companiesRoutes = (app: FastifyInstance, { store, broadcaster, keys }: CompaniesRoutesDeps): void => {
  const shown = (company: Company) => viewOf(keys, company)

  const change = async (request: FastifyRequest, companyId: string, how: Change) => {
    const { company, created } = await store.change(companyId, how)
    await broadcaster.broadcast(companyId, traceOf(request))
    return { view: shown(company), created }
  }

  app.get('/companies', async (request) => {
    const { limit, after } = validOr400(parseListQuery(request.query))
    const companies = await store.list({ limit, ...(after === undefined ? {} : { afterId: after }) })
    const last = companies.at(-1)
    return {
      companies: companies.map(shown),
      ...(last !== undefined && companies.length === limit ? { next_after: last.id } : {}),
    }
  })

  app.get('/companies/:company_id', async (request) => {
    const company = await store.get(validOr400(parseCompanyId(request.params)))
    if (company === undefined) throw companyNotFound()
    return shown(company)
  })

  app.put('/companies/:company_id', async (request, reply) => {
    const companyId = validOr400(parseCompanyId(request.params))
    const { name, custom_properties } = validOr400(parsePut(request.body))
    const { view, created } = await change(request, companyId, (current) => ({
      name,
      customProperties: replaceSettings(
        { keys, companyId },
        current === undefined ? {} : propertiesOf(current),
        custom_properties,
      ),
    }))
    return reply.code(created ? 201 : 200).send(view)
  })

  app.patch('/companies/:company_id', async (request) => {
    const companyId = validOr400(parseCompanyId(request.params))
    const { name, custom_properties } = validOr400(parsePatch(request.body))
    const { view } = await change(request, companyId, (current) => {
      if (current === undefined) throw companyNotFound()
      return {
        name: name ?? current.name,
        customProperties: mergeSettings({ keys, companyId }, propertiesOf(current), custom_properties ?? {}),
      }
    })
    return view
  })

  app.delete('/companies/:company_id', async (request, reply) => {
    const companyId = validOr400(parseCompanyId(request.params))
    const wasThere = await store.remove(companyId)
    // Also when it was not there: an earlier DELETE may have got no further than the table.
    const outcome = await broadcaster.broadcast(companyId, traceOf(request))
    if (!wasThere && outcome !== 'removed') throw companyNotFound()
    return reply.code(204).send()
  })
}
