import { type EventType, eventId, newEvent, type StoredEvent } from '@cloudapi2/contracts'
import { eventPublication, type Publication } from '@cloudapi2/nats'
import { parseWebhook } from '@cloudapi2/whatsapp'
import type { Endpoint } from './endpoint.ts'

const SOURCE = '/webhook-gateway'

/**
 * One event on its way to the log. The event itself is not kept: with many webhooks under way it is what the garbage
 * collector would copy most of.
 */
export interface EncodedEvent {
  type: EventType
  publication: Publication
}

const encode = (event: StoredEvent): EncodedEvent => ({ type: event.type, publication: eventPublication(event) })

export type Understood =
  | { kind: 'events'; events: EncodedEvent[] }
  /** Meta's, but of another product: not for us. */
  | { kind: 'other_object' }
  | { kind: 'not_json' }
  | { kind: 'not_an_object' }

/**
 * Turns the body of a webhook into the events to store. It never throws, whatever the body: what cannot be understood
 * is an event too.
 */
export const understand = (rawBody: Buffer, companyOf: Endpoint['companyOf'], recordedTime: string): Understood => {
  const text = rawBody.toString('utf8')
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return { kind: 'not_json' }
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) return { kind: 'not_an_object' }
  if ((body as { object?: unknown }).object !== 'whatsapp_business_account') return { kind: 'other_object' }
  try {
    const events = parseWebhook({ body, companyOf, source: SOURCE, length: text.length, recordedTime })
    return { kind: 'events', events: events.map(encode) }
  } catch (error) {
    // Nested deeper than the stack: JSON.parse copes with that, nothing after it does. Kept whole, as text.
    const event = unreadable(text, companyOf({}), recordedTime, error instanceof Error ? error.name : 'error')
    return { kind: 'events', events: [encode(event)] }
  }
}

const unreadable = (text: string, companyId: string, recordedTime: string, error: string): StoredEvent =>
  newEvent({
    id: eventId(companyId, 'webhook.unrecognised', 'body', text),
    source: SOURCE,
    type: 'webhook.unrecognised',
    subject: 'body',
    time: recordedTime,
    companyId,
    channel: 'whatsapp',
    recordedTime,
    data: { reason: `the body could not be read (${error}); it is kept as text`, raw: text },
  })
