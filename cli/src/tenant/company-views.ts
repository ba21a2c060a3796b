import { isMaskedSecret } from '@cloudapi2/tenants'
import { type Column, record } from '../output/table.ts'

/** A company as tenant-config shows it: secrets masked. */
export interface CompanyView {
  id: string
  name: string
  custom_properties: Record<string, unknown>
  /** Only when there are some. */
  problems?: { path: string; message: string }[]
  created_at: string
  updated_at: string
}

export interface ApiKeyView {
  id: string
  name: string
  scopes: string[]
  created_at: string
}

const numbersOf = ({ custom_properties: properties }: CompanyView): number => {
  const listed = Array.isArray(properties.WHATSAPP_PHONE_NUMBERS) ? properties.WHATSAPP_PHONE_NUMBERS : []
  const ids = new Set(listed.map((one) => String((one as { id?: unknown }).id)))
  const main = properties.WHATSAPP_PHONE_NUMBER_ID
  if (main !== undefined && main !== null) ids.add(String(main))
  return ids.size
}

export const COMPANY_COLUMNS: readonly Column<CompanyView>[] = [
  { title: 'ID', of: ({ id }) => id },
  { title: 'NUMBERS', of: (company) => numbersOf(company) },
  { title: 'CHANGED', of: ({ updated_at }) => updated_at.slice(0, 19).replace('T', ' ') },
  { title: 'PROBLEMS', of: ({ problems }) => problems?.length ?? 0 },
  { title: 'NAME', of: ({ name }) => name },
]

export const KEY_COLUMNS: readonly Column<ApiKeyView>[] = [
  { title: 'ID', of: ({ id }) => id },
  { title: 'MADE', of: ({ created_at }) => created_at.slice(0, 19).replace('T', ' ') },
  { title: 'SCOPES', of: ({ scopes }) => scopes.join(', ') },
  { title: 'NAME', of: ({ name }) => name },
]

const shown = (value: unknown): string => {
  if (isMaskedSecret(value)) {
    const { last4, fingerprint } = value
    if (fingerprint === undefined) return 'set, and cannot be opened'
    return `set (${last4 === undefined ? '' : `…${last4}, `}fingerprint ${fingerprint})`
  }
  if (Array.isArray(value) && value.length > 0 && value.every(isMaskedSecret)) return value.map(shown).join('; ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** One company for the eye. */
export const companyText = ({ id, name, custom_properties, problems, created_at, updated_at }: CompanyView): string => {
  const fields: Record<string, string> = { id, name, 'created at': created_at, 'changed at': updated_at }
  for (const [property, value] of Object.entries(custom_properties).sort(([a], [b]) => (a < b ? -1 : 1)))
    fields[property] = shown(value)
  for (const [index, { path, message }] of (problems ?? []).entries())
    fields[problems?.length === 1 ? 'problem' : `problem ${index + 1}`] = `${path}: ${message}`
  return record(fields)
}
