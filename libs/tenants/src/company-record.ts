import { GatewayError } from '@cloudapi2/contracts'
import { z } from 'zod'
import type { CustomProperties } from './custom-properties.ts'

/** An API key as it travels: never the key itself. `hash` as `hashApiKey` gives it. */
export interface ApiKeyRecord {
  id: string
  name: string
  scopes: readonly string[]
  hash: string
}

/** A company as it is in the bucket `tenants`, under its id: secrets sealed. `updated_at`: RFC 3339. */
export interface ConfiguredCompany {
  company_id: string
  name: string
  custom_properties: CustomProperties
  api_keys: readonly ApiKeyRecord[]
  updated_at: string
}

/** What is left of a company that was removed, so that every reader hears of it. */
export interface RemovedCompany {
  company_id: string
  removed: true
  updated_at: string
}

export type CompanyRecord = ConfiguredCompany | RemovedCompany

export const isRemoved = (record: CompanyRecord): record is RemovedCompany => 'removed' in record

/** A value of the bucket that is no company record. Names what is wrong, never a value. */
export class UnreadableCompanyRecord extends GatewayError {
  constructor(reason: string, cause?: unknown) {
    super(`not a readable company record: ${reason}`, { code: 'UNREADABLE_COMPANY_RECORD', retryable: false, cause })
  }
}

const ApiKey = z.object({
  id: z.string().min(1),
  name: z.string().default(''),
  scopes: z.array(z.string()),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
})

const Removed = z.object({ company_id: z.string(), removed: z.literal(true), updated_at: z.string().default('') })

// Tolerant: a writer of another version may add keys, and one API key it writes differently must not cost the others.
const Configured = z.object({
  company_id: z.string(),
  name: z.string(),
  custom_properties: z.record(z.string(), z.unknown()),
  api_keys: z
    .array(z.unknown())
    .default([])
    .transform((keys) => keys.flatMap((key) => ApiKey.safeParse(key).data ?? [])),
  updated_at: z.string().default(''),
})

/** @param key the key it was found under @throws UnreadableCompanyRecord */
export const decodeCompanyRecord = (key: string, bytes: Uint8Array): CompanyRecord => {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    // The parser's own message quotes what it read.
    throw new UnreadableCompanyRecord('not JSON')
  }
  const isTombstone = value !== null && typeof value === 'object' && (value as { removed?: unknown }).removed === true
  const parsed = (isTombstone ? Removed : Configured).safeParse(value)
  if (!parsed.success)
    throw new UnreadableCompanyRecord(
      parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'record'}: ${message}`).join('; '),
      parsed.error,
    )
  if (parsed.data.company_id !== key) throw new UnreadableCompanyRecord('company_id: is not the key it is stored under')
  return parsed.data
}

/** The text to store. */
export const encodeCompanyRecord = (record: CompanyRecord): string => JSON.stringify(record)
