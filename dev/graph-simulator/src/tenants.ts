import { z } from 'zod'
import { SimulationRefused } from './errors.ts'
import { templateIdOf } from './meta-ids.ts'

/** A template as the Graph API lists it; what is left out is as Meta has it most often. */
export const TemplateSchema = z.object({
  id: z.string().min(1).optional(),
  name: z.string().min(1),
  language: z.string().min(1),
  status: z.string().default('APPROVED'),
  category: z.string().default('UTILITY'),
  parameter_format: z.enum(['POSITIONAL', 'NAMED']).default('POSITIONAL'),
  components: z.array(z.looseObject({ type: z.string() })).default([]),
})

/** One business at Meta: what the simulator must know to answer it and to call it back. */
export const TenantSchema = z.object({
  company_id: z.string().min(1),
  waba_id: z.string().min(1),
  phone_numbers: z
    .array(
      z.object({
        id: z.string().min(1),
        display_phone_number: z.string().min(1),
        verified_name: z.string().default('Simulated Business'),
      }),
    )
    .min(1),
  access_token: z.string().min(1),
  app_secret: z.string().min(1),
  verify_token: z.string().min(1),
  webhook_url: z.url({ protocol: /^https?$/ }),
  templates: z.array(TemplateSchema).optional(),
})
export const TenantsSchema = z.array(TenantSchema)

/** A tenant as it is registered: `templates` may be left out, and is then the one template every account starts with. */
export type TenantInput = z.input<typeof TenantSchema>
export type PhoneNumber = z.output<typeof TenantSchema>['phone_numbers'][number]
export type Template = z.output<typeof TemplateSchema> & { id: string }
export type Tenant = Omit<z.output<typeof TenantSchema>, 'templates'> & { templates: Template[] }

/** Meta gives every new account this template. */
const HELLO_WORLD: z.output<typeof TemplateSchema> = {
  name: 'hello_world',
  language: 'en_US',
  status: 'APPROVED',
  category: 'UTILITY',
  parameter_format: 'POSITIONAL',
  components: [{ type: 'BODY', text: 'Welcome and congratulations! This message shows that you can send messages.' }],
}

const withId = (wabaId: string, template: z.output<typeof TemplateSchema>): Template => ({
  ...template,
  id: template.id ?? templateIdOf(wabaId, template.name, template.language),
})

const complete = (input: z.output<typeof TenantSchema>): Tenant => ({
  ...input,
  templates: (input.templates ?? [HELLO_WORLD]).map((template) => withId(input.waba_id, template)),
})

/** Adds a tenant's templates, each in the place of the one with the same name and language. */
export const putTemplates = (tenant: Tenant, templates: readonly z.output<typeof TemplateSchema>[]): void => {
  for (const template of templates) {
    const { templates: all } = tenant
    const at = all.findIndex(({ name, language }) => name === template.name && language === template.language)
    all.splice(at === -1 ? all.length : at, 1, withId(tenant.waba_id, template))
  }
}

/** Takes a tenant's template away: in one language, or in all. @returns how many were taken */
export const removeTemplates = (tenant: Tenant, name: string, language: string | undefined): number => {
  const before = tenant.templates.length
  tenant.templates = tenant.templates.filter(
    (template) => template.name !== name || (language !== undefined && template.language !== language),
  )
  return before - tenant.templates.length
}

/** The tenants by everything a request or an order of `/simulate` can name them by. */
export interface TenantDirectory {
  /** Adds each, or puts it in the place of the one with the same `company_id`. All or none: @throws SimulationRefused */
  register(tenants: readonly z.output<typeof TenantSchema>[]): void
  /** @returns false when there was none */
  remove(companyId: string): boolean
  all(): Tenant[]
  byCompany(companyId: string): Tenant | undefined
  byPhoneNumber(phoneNumberId: string): { tenant: Tenant; phone: PhoneNumber } | undefined
  /** One token may open several business accounts. */
  byToken(token: string): ReadonlySet<Tenant> | undefined
  /** True for a token that a tenant had before it was registered anew: Meta calls it expired. */
  wasToken(token: string): boolean
}

export const createTenantDirectory = (): TenantDirectory => {
  const companies = new Map<string, Tenant>()
  const phones = new Map<string, { tenant: Tenant; phone: PhoneNumber }>()
  const tokens = new Map<string, Set<Tenant>>()
  const retired = new Set<string>()

  const forget = (tenant: Tenant) => {
    companies.delete(tenant.company_id)
    for (const { id } of tenant.phone_numbers) phones.delete(id)
    const sharing = tokens.get(tenant.access_token)
    sharing?.delete(tenant)
    if (sharing?.size === 0) {
      tokens.delete(tenant.access_token)
      retired.add(tenant.access_token)
    }
  }
  const learn = (tenant: Tenant) => {
    companies.set(tenant.company_id, tenant)
    for (const phone of tenant.phone_numbers) phones.set(phone.id, { tenant, phone })
    const sharing = tokens.get(tenant.access_token) ?? new Set()
    tokens.set(tenant.access_token, sharing.add(tenant))
    retired.delete(tenant.access_token)
  }
  /** A number belongs to one company: two of them would each get half of the other's webhooks. */
  const refuseSharedNumbers = (tenants: readonly z.output<typeof TenantSchema>[]) => {
    const replaced = new Set(tenants.map((tenant) => tenant.company_id))
    const owners = new Map<string, string>()
    for (const { company_id, phone_numbers } of tenants)
      for (const { id } of phone_numbers) {
        const owner = owners.get(id) ?? phones.get(id)?.tenant.company_id
        if (owner !== undefined && owner !== company_id && (owners.has(id) || !replaced.has(owner)))
          throw new SimulationRefused(`phone number ${id}: expected one owner, found ${owner} and ${company_id}`)
        owners.set(id, company_id)
      }
    if (replaced.size !== tenants.length)
      throw new SimulationRefused('expected each company_id once in the list, found one twice')
  }

  return {
    register: (tenants) => {
      refuseSharedNumbers(tenants)
      for (const { company_id } of tenants) {
        const old = companies.get(company_id)
        if (old) forget(old)
      }
      for (const tenant of tenants) learn(complete(tenant))
    },
    remove: (companyId) => {
      const tenant = companies.get(companyId)
      if (tenant) forget(tenant)
      return tenant !== undefined
    },
    all: () => [...companies.values()],
    byCompany: (companyId) => companies.get(companyId),
    byPhoneNumber: (phoneNumberId) => phones.get(phoneNumberId),
    byToken: (token) => tokens.get(token),
    wasToken: (token) => retired.has(token),
  }
}
