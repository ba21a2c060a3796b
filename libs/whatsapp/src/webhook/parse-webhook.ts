import type { StoredEvent } from '@cloudapi2/contracts'
import { asId, asObject, asPhone, type JsonObject } from '../json-values.ts'
import { affordable, type Change, type Delivery, recordUnrecognised } from './change.ts'
import { withDeepPartsAsText } from './nesting.ts'
import { recordNotification, timeOfValue } from './notification.ts'
import { recordTraffic, TRAFFIC_FIELDS } from './traffic.ts'

/** `object` of every WhatsApp webhook; a POST with another one is not for us. */
export const WEBHOOK_OBJECT = 'whatsapp_business_account'

/**
 * A body shorter than this has fewer levels than half its characters: no walk or print of it can exhaust the stack, which
 * begins at about 3,000 levels.
 */
const SHORT_LENGTH = 2_000

/** Whom a change is for, as far as it tells: the business number's id, and the WABA's. */
export interface WebhookAddress {
  phone_number_id?: string
  account_id?: string
}

export interface WebhookDelivery {
  /** The parsed body of a POST whose `object` is `WEBHOOK_OBJECT`. It is read, never changed. */
  body: unknown
  /** The company of a change: a company id, or `NO_COMPANY` when nobody claims it. Asked once per change. */
  companyOf: (address: WebhookAddress) => string
  /** Source of the events, such as `/webhook-gateway`. */
  source: string
  /** Length of the body's text, when known: spares a walk through a body too short to be nested deeply. */
  length?: number
  /** RFC 3339, UTC. Also the time of a fact that tells no credible time of its own. */
  recordedTime: string
}

/** Account fields name the number by its phone alone; handovers and settings have its id in places of their own. */
const addressOf = (value: JsonObject | undefined, entryId: string | undefined) => {
  const metadata = asObject(value?.metadata)
  const recipient = asObject(value?.recipient)
  return {
    phoneNumberId:
      asId(metadata?.phone_number_id) ??
      asId(recipient?.phone_number_id) ??
      asId(asObject(value?.phone_number_settings)?.phone_number_id),
    displayPhoneNumber:
      asPhone(metadata?.display_phone_number) ??
      asPhone(recipient?.display_phone_number) ??
      asPhone(value?.display_phone_number) ??
      asPhone(value?.phone_number),
    // Where a partner is told about a client, the entry is the partner's business and the value names the WABA.
    accountId: asId(asObject(value?.waba_info)?.waba_id) ?? entryId,
  }
}

/** Meta's printed samples put the field on the entry once, and once inside the value. */
const fieldOf = (change: JsonObject, entry: JsonObject, value: JsonObject | undefined): string | undefined =>
  asId(change.field) ?? asId(entry.field) ?? asId(value?.field)

const hasTraffic = (value: JsonObject): boolean =>
  Array.isArray(value.messages) || Array.isArray(value.statuses) || Array.isArray(value.message_echoes)

/** The field whose rules a change is read by; undefined when nothing tells what it is. */
const trafficField = (field: string | undefined, value: JsonObject | undefined): string | undefined => {
  if (field !== undefined && TRAFFIC_FIELDS.has(field)) return field
  if (value === undefined) return undefined
  // Messages without a field, and echoes under whatever name, are known by their shape.
  if (field === undefined) return hasTraffic(value) ? 'messages' : undefined
  return Array.isArray(value.message_echoes) ? field : undefined
}

type CompanyOf = WebhookDelivery['companyOf']

const companyFor = (companyOf: CompanyOf, phoneNumberId: string | undefined, accountId: string | undefined): string => {
  const address: WebhookAddress = {}
  if (phoneNumberId !== undefined) address.phone_number_id = phoneNumberId
  if (accountId !== undefined) address.account_id = accountId
  return companyOf(address)
}

const recordChange = (item: unknown, entry: JsonObject, companyOf: CompanyOf, delivery: Delivery) => {
  const sent = asObject(item)
  const value = asObject(sent?.value)
  const entryId = asId(entry.id)
  const address = addressOf(value, entryId)
  const change: Change = {
    delivery,
    companyId: companyFor(companyOf, address.phoneNumberId, address.accountId),
    ...address,
    field: sent === undefined ? undefined : fieldOf(sent, entry, value),
    entryId,
    entryTime: entry.time,
  }
  if (sent === undefined) return recordUnrecognised(change, 'a change that is not an object', item)

  const field = trafficField(change.field, value)
  if (field !== undefined)
    return value === undefined
      ? recordUnrecognised(change, 'a change without a value', item)
      : recordTraffic(value, item, { ...change, field })
  if (change.field === undefined) return recordUnrecognised(change, 'a change without a field', item)
  recordNotification(
    { ...change, field: change.field },
    'change',
    item,
    value === undefined ? undefined : timeOfValue(value),
  )
}

const recordEntry = (item: unknown, companyOf: CompanyOf, delivery: Delivery) => {
  const entry = asObject(item)
  const accountId = asId(entry?.id)
  // Asked only where something is to be told of the entry itself: its changes may belong to several companies.
  const itself = (): Change => ({
    ...unaddressed(delivery, companyFor(companyOf, undefined, accountId)),
    accountId,
    field: asId(entry?.field),
  })
  if (entry === undefined) return recordUnrecognised(itself(), 'an entry that is not an object', item)
  const { changes } = entry
  if (!Array.isArray(changes) || changes.length === 0)
    return recordUnrecognised(itself(), 'an entry without changes', item)
  for (const change of affordable(changes, delivery, itself)) recordChange(change, entry, companyOf, delivery)
}

const unaddressed = (delivery: Delivery, companyId: string): Change => ({
  delivery,
  companyId,
  accountId: undefined,
  phoneNumberId: undefined,
  displayPhoneNumber: undefined,
  field: undefined,
  entryId: undefined,
  entryTime: undefined,
})

/**
 * Turns one POST of Meta's into events: one for every message, edit, deletion, status, error and user action, one for
 * every change of any other field, one `webhook.unrecognised` for everything that cannot be placed. One bad item never
 * holds up the others, and no JSON makes it throw.
 *
 * The ids are deterministic: the same fact has the same id in whatever POST it comes, so a repetition is harmless. A fact
 * that is in one POST twice is returned once. Meta's own object is kept under `data.raw` as it was sent (only what lies
 * deeper than 200 levels is kept as JSON text).
 *
 * @returns the events in the order of the POST; none for an empty `entry`
 */
export const parseWebhook = ({ body, companyOf, source, length, recordedTime }: WebhookDelivery): StoredEvent[] => {
  const delivery: Delivery = { source, recordedTime, events: [], ids: new Set(), itemCount: 0 }
  const sent = length !== undefined && length < SHORT_LENGTH ? body : withDeepPartsAsText(body)
  const entries = asObject(sent)?.entry
  const itself = () => unaddressed(delivery, companyOf({}))
  if (!Array.isArray(entries)) recordUnrecognised(itself(), 'a body without a list of entries', sent)
  else for (const entry of affordable(entries, delivery, itself)) recordEntry(entry, companyOf, delivery)
  return delivery.events
}
