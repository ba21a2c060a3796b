import { type GraphRefusal, invalidCursor } from './graph-refusal.ts'
import type { JsonObject } from './json.ts'
import type { Limits } from './message-limits.ts'
import type { PhoneNumber, Template, Tenant } from './tenants.ts'

/** Only the fields asked for, and always the id; all of them when none are named. */
const pick = (object: JsonObject, fields: string | undefined): JsonObject => {
  if (!fields) return object
  const wanted = new Set(fields.split(',').map((field) => field.trim().split(/[.{(]/)[0]))
  return Object.fromEntries(Object.entries(object).filter(([name]) => name === 'id' || wanted.has(name)))
}

/** `GET /v…/{phone-number-id}` */
export const phoneNumberBody = (
  tenant: Tenant,
  phone: PhoneNumber,
  limits: Limits,
  fields: string | undefined,
): JsonObject => {
  const available = (entity_type: string, id: string) => ({ entity_type, id, can_send_message: 'AVAILABLE' })
  const onRequest = {
    platform_type: 'CLOUD_API',
    code_verification_status: 'VERIFIED',
    health_status: {
      can_send_message: 'AVAILABLE',
      entities: [available('PHONE_NUMBER', phone.id), available('WABA', tenant.waba_id)],
    },
    webhook_configuration: { application: tenant.webhook_url },
  }
  const always = {
    verified_name: phone.verified_name,
    display_phone_number: phone.display_phone_number,
    quality_rating: 'GREEN',
    name_status: 'APPROVED',
    status: 'CONNECTED',
    account_mode: 'LIVE',
    throughput: { level: limits.messages_per_second >= 1_000 ? 'HIGH' : 'STANDARD' },
    whatsapp_business_manager_messaging_limit: 'TIER_2K',
    is_official_business_account: false,
    id: phone.id,
  }
  return fields ? pick({ ...always, ...onRequest }, fields) : always
}

/** `GET /v…/{waba-id}` */
export const wabaBody = (tenant: Tenant): JsonObject => ({
  id: tenant.waba_id,
  name: tenant.phone_numbers[0]?.verified_name ?? '',
  currency: 'EUR',
  timezone_id: '47',
  message_template_namespace: 'a1b2c3d4_e5f6_7890_abcd_ef0123456789',
})

export const templateBody = (template: Template, fields?: string): JsonObject => {
  const { name, parameter_format, components, language, status, category, id } = template
  return pick({ name, parameter_format, components, language, status, category, id }, fields)
}

export interface PageQuery {
  limit?: string | undefined
  after?: string | undefined
  /** Where the next page is, without its `after`. */
  path: string
}

const cursorOf = (position: number): string => Buffer.from(`position:${position}`).toString('base64url')
const positionOf = (cursor: string): number | undefined => {
  const position = /^position:(\d+)$/.exec(Buffer.from(cursor, 'base64url').toString())?.[1]
  return position === undefined ? undefined : Number(position)
}

/** One page of a list with Meta's cursors; 25 to a page unless asked otherwise. */
export const pageBody = (items: JsonObject[], { limit, after, path }: PageQuery): JsonObject | GraphRefusal => {
  const size = Math.max(1, Math.min(1_000, Number.parseInt(limit ?? '25', 10) || 25))
  const start = after ? positionOf(after) : 0
  if (start === undefined || start > items.length) return invalidCursor()
  const data = items.slice(start, start + size)
  if (data.length === 0) return { data }
  const end = start + data.length
  const next = `${path}${path.includes('?') ? '&' : '?'}limit=${size}&after=${cursorOf(end)}`
  return {
    data,
    paging: { cursors: { before: cursorOf(start), after: cursorOf(end) }, ...(end < items.length ? { next } : {}) },
  }
}

/** The value of `X-Business-Use-Case-Usage`. */
export const usageHeader = (wabaId: string, percent: number): string => {
  const share = Math.floor(percent)
  return JSON.stringify({
    [wabaId]: [
      {
        type: 'whatsapp',
        call_count: share,
        total_cputime: 1,
        total_time: 1,
        estimated_time_to_regain_access: percent > 100 ? 60 : 0,
      },
    ],
  })
}

/** `GET /v…/debug_token`: of a token that opens nothing it says only that. */
export const debugTokenBody = (tenants: ReadonlySet<Tenant> | undefined): JsonObject => {
  if (!tenants)
    return {
      data: { is_valid: false, error: { code: 190, message: 'The access token could not be decrypted' }, scopes: [] },
    }
  const target_ids = [...tenants].map((tenant) => tenant.waba_id)
  const scopes = ['whatsapp_business_management', 'whatsapp_business_messaging']
  return {
    data: {
      app_id: '518840276613309',
      type: 'SYSTEM_USER',
      application: 'Gateway',
      expires_at: 0,
      data_access_expires_at: 0,
      is_valid: true,
      scopes,
      granular_scopes: scopes.map((scope) => ({ scope, target_ids })),
    },
  }
}
