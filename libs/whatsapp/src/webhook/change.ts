import {
  canonicalJson,
  type EventData,
  type EventType,
  eventId,
  NO_COMPANY,
  newEvent,
  type StoredEvent,
  type WebhookUnrecognisedData,
} from '@cloudapi2/contracts'

/** The channel's name in every event made here. */
export const CHANNEL = 'whatsapp'

/** One POST, and the events found in it so far; a fact that is in it twice is collected once. */
export interface Delivery {
  source: string
  recordedTime: string
  events: StoredEvent[]
  ids: Set<string>
  /** Items of all its lists met so far. */
  itemCount: number
}

/** One change of a POST: what every event out of it has in common. */
export interface Change {
  delivery: Delivery
  companyId: string
  /** The WABA. */
  accountId: string | undefined
  phoneNumberId: string | undefined
  /** Digits. */
  displayPhoneNumber: string | undefined
  field: string | undefined
  /** `entry.id` and `entry.time` as sent: part of the identity of what has no id of its own. */
  entryId: string | undefined
  entryTime: unknown
}

/** Adds an event to its delivery, unless the same fact is there already. */
export const record = <T extends EventType>(
  { delivery, companyId }: Change,
  type: T,
  fact: { id: string; subject: string; time: string; data: EventData<T> },
): void => {
  if (delivery.ids.has(fact.id)) return
  delivery.ids.add(fact.id)
  delivery.events.push(
    newEvent<T>({
      id: fact.id,
      source: delivery.source,
      type,
      subject: fact.subject,
      time: fact.time,
      companyId,
      channel: CHANNEL,
      recordedTime: delivery.recordedTime,
      data: fact.data,
    }) as StoredEvent,
  )
}

/** The subject of an event that is about no message. */
export const accountSubject = (change: Change): string => change.accountId ?? change.phoneNumberId ?? NO_COMPANY

/**
 * Keeps what could not be placed, whole.
 *
 * @param reason one of a fixed set of sentences: it is part of the event's id, so nothing of the input may be in it
 */
export const recordUnrecognised = (change: Change, reason: string, raw: unknown): void => {
  const subject = accountSubject(change)
  const data: WebhookUnrecognisedData = { reason, raw }
  if (change.field !== undefined) data.field = change.field
  if (change.accountId !== undefined) data.account_id = change.accountId
  if (change.phoneNumberId !== undefined) data.phone_number_id = change.phoneNumberId
  record(change, 'webhook.unrecognised', {
    id: eventId(change.companyId, 'webhook.unrecognised', subject, reason, canonicalJson(raw)),
    subject,
    time: change.delivery.recordedTime,
    data,
  })
}

/**
 * More items than any POST of Meta's: at most 1,000 updates, or a history of some thousand messages in 3 MB. A POST made
 * to hurt can hold a million, and would occupy the process for many seconds.
 */
export const MAX_ITEMS = 20_000

/** The items of a list that are to be read one by one; those beyond `MAX_ITEMS` of the POST are kept in one piece. */
export const affordable = (items: readonly unknown[], delivery: Delivery, change: () => Change): readonly unknown[] => {
  const left = Math.max(0, MAX_ITEMS - delivery.itemCount)
  delivery.itemCount += items.length
  if (items.length <= left) return items
  recordUnrecognised(change(), 'the rest of a list, beyond the items one POST can have', items.slice(left))
  return items.slice(0, left)
}
