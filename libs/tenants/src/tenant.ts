import type { ApiKeyRecord, ConfiguredCompany } from './company-record.ts'
import { DEFAULT_MESSAGES_PER_SECOND, type KnownProperties, parseCustomProperties } from './custom-properties.ts'
import type { SecretsKeys } from './sealed-secrets.ts'
import { openProperties, type UnreadableSecret } from './secret-properties.ts'

export interface TenantPhoneNumber {
  /** The number's id at the channel: digits. */
  id: string
  displayPhoneNumber?: string
  messagesPerSecond: number
}

/** A company's settings, ready to use: secrets in clear, defaults filled in. Never to be logged. */
export interface Tenant {
  companyId: string
  name: string
  accessToken?: string
  /** One, or two while the secret is being changed. Empty: none is set. */
  appSecrets: readonly string[]
  verifyToken?: string
  phoneNumbers: readonly TenantPhoneNumber[]
  /** The number that sends when a command names none. */
  defaultPhoneNumberId?: string
  /** The id of the WhatsApp Business account (WABA). */
  businessId?: string
  /** URL of the image for templates with an image header. */
  cover?: string
  /** ISO 3166 alpha-2. */
  defaultCountry: string
  responsibleEmail?: string
  /** Contains `{chat_id}`. */
  chatUrl?: string
  /** Undefined: rows are kept for ever. */
  retentionDays?: number
  rateLimit: { maxCalls: number; windowSeconds: number }
  /** What becomes of a message of which nobody knows whether it was sent. */
  onUncertain: 'resend' | 'park'
  apiKeys: readonly ApiKeyRecord[]
}

/** The rate of one of a company's numbers; the default for one that its settings do not list (any more). */
export const messagesPerSecondOf = (tenant: Tenant | undefined, phoneNumberId: string): number =>
  tenant?.phoneNumbers.find(({ id }) => id === phoneNumberId)?.messagesPerSecond ?? DEFAULT_MESSAGES_PER_SECOND

const numbersOf = (known: KnownProperties): TenantPhoneNumber[] => {
  const listed = (known.WHATSAPP_PHONE_NUMBERS ?? []).map(({ id, display_phone_number, messages_per_second }) => ({
    id,
    ...(display_phone_number === undefined ? {} : { displayPhoneNumber: display_phone_number }),
    messagesPerSecond: messages_per_second,
  }))
  const main = known.WHATSAPP_PHONE_NUMBER_ID
  return main === undefined || listed.some(({ id }) => id === main)
    ? listed
    : [{ id: main, messagesPerSecond: DEFAULT_MESSAGES_PER_SECOND }, ...listed]
}

/** Drops the keys that are undefined. */
const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never

/**
 * A tenant from its record. A secret that cannot be opened is absent from the tenant and named in `unreadable`: what
 * needs it is refused, the rest of the company works.
 *
 * @throws InvalidSettings naming every property that is wrong
 */
export const tenantOf = (
  keys: SecretsKeys,
  record: ConfiguredCompany,
): { tenant: Tenant; unreadable: UnreadableSecret[] } => {
  const { properties, unreadable } = openProperties(keys, record.company_id, record.custom_properties)
  const known = parseCustomProperties(properties)
  const phoneNumbers = numbersOf(known)
  const tenant: Tenant = {
    companyId: record.company_id,
    name: record.name,
    appSecrets: known.WHATSAPP_APP_SECRET ?? [],
    phoneNumbers,
    defaultCountry: known.DEFAULT_COUNTRY,
    rateLimit: { maxCalls: known.RATE_LIMIT_MAX_CALLS, windowSeconds: known.RATE_LIMIT_WINDOW_SECONDS },
    onUncertain: known.ON_UNCERTAIN,
    apiKeys: record.api_keys,
    ...present({
      accessToken: known.WHATSAPP_ACCESS_TOKEN,
      verifyToken: known.WHATSAPP_VERIFY_TOKEN,
      defaultPhoneNumberId: known.WHATSAPP_PHONE_NUMBER_ID ?? phoneNumbers[0]?.id,
      businessId: known.WHATSAPP_BUSINESS_ID,
      cover: known.WHATSAPP_COVER,
      responsibleEmail: known.RESPONSIBLE_EMAIL,
      chatUrl: known.CHAT_URL,
      retentionDays: known.RETENTION_DAYS,
    }),
  }
  return { tenant, unreadable }
}
