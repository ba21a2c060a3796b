import type { InvalidField } from '@cloudapi2/contracts'
import {
  type ApiKeyRecord,
  type ConfiguredCompany,
  type CustomProperties,
  InvalidSettings,
  maskProperties,
  openProperties,
  parseCustomProperties,
  type SecretsKeys,
} from '@cloudapi2/tenants'

/** A row of `public.companies` with its API keys. Other programs write rows too: `customProperties` may be any JSON. */
export interface Company {
  id: string
  name: string
  customProperties: unknown
  createdAt: Date
  updatedAt: Date
  apiKeys: readonly ApiKeyRecord[]
}

/** Far above any real settings, far below what one message of the bucket may hold. */
export const MAX_SETTINGS_BYTES = 262_144

/** The properties of a row, whatever is in it: nothing when it is no object. */
export const propertiesOf = ({ customProperties }: Pick<Company, 'customProperties'>): CustomProperties =>
  customProperties !== null && typeof customProperties === 'object' && !Array.isArray(customProperties)
    ? (customProperties as CustomProperties)
    : {}

/**
 * What is wrong with a row. `faults` keep it from being told to the services; an `unreadable` secret does not: the rest
 * of the company works without it.
 */
export const problemsOf = (
  keys: SecretsKeys,
  company: Company,
): { faults: readonly InvalidField[]; unreadable: readonly InvalidField[] } => {
  const { properties, unreadable } = openProperties(keys, company.id, propertiesOf(company))
  const isObject = propertiesOf(company) === company.customProperties
  return {
    faults: settingsFaults(isObject ? properties : company.customProperties),
    unreadable: unreadable.map(({ property, reason }) => ({ path: property, message: reason })),
  }
}

/** Every fault of settings with their secrets in clear; empty: they can be used. */
export const settingsFaults = (properties: unknown): readonly InvalidField[] => {
  try {
    parseCustomProperties(properties)
  } catch (error) {
    if (error instanceof InvalidSettings) return error.fields
    throw error
  }
  return Buffer.byteLength(JSON.stringify(properties)) > MAX_SETTINGS_BYTES
    ? [{ path: 'custom_properties', message: `expected ${MAX_SETTINGS_BYTES} bytes of JSON at most` }]
    : []
}

/** What the services are told of a company. */
export const recordOf = (company: Company): ConfiguredCompany => ({
  company_id: company.id,
  name: company.name,
  custom_properties: propertiesOf(company),
  api_keys: company.apiKeys,
  updated_at: company.updatedAt.toISOString(),
})

/** What the admin API shows of a company: secrets masked; `problems` only when there are some. */
export const viewOf = (keys: SecretsKeys, company: Company) => {
  const { faults, unreadable } = problemsOf(keys, company)
  const problems = [...faults, ...unreadable]
  return {
    id: company.id,
    name: company.name,
    custom_properties: maskProperties(keys, company.id, propertiesOf(company)),
    ...(problems.length === 0 ? {} : { problems }),
    created_at: company.createdAt.toISOString(),
    updated_at: company.updatedAt.toISOString(),
  }
}
