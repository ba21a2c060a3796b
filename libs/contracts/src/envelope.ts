import { z } from 'zod'
import { EVENT_DATA, EVENT_VERSION, type EventData, type EventType, isEventType } from './events.ts'
import { GatewayError } from './gateway-error.ts'
import { isCompanyId } from './ids.ts'
import { NO_COMPANY } from './subjects.ts'
import { type Upcasters, upcast, upcasters } from './upcasting.ts'

/** The media type of a stored event (CloudEvents 1.0, structured JSON mode). */
export const EVENT_CONTENT_TYPE = 'application/cloudevents+json'

/** A stored event. `time`: when the fact happened; `recordedtime`: when we stored it; both RFC 3339, UTC. */
export interface StoredEvent<T extends EventType = EventType> {
  specversion: '1.0'
  id: string
  /** `/webhook-gateway`, `/sender`, … */
  source: string
  type: T
  /** What the event is about: a message id, a command id, a company id. */
  subject: string
  time: string
  companyid: string
  channel: string
  recordedtime: string
  dataschema: string
  data: EventData<T>
}

/** Any stored event, discriminated by `type`. */
export type GatewayEvent = { [T in EventType]: StoredEvent<T> }[EventType]

export interface NewEvent<T extends EventType> {
  id: string
  source: string
  type: T
  subject: string
  time: string
  companyId: string
  channel: string
  recordedTime: string
  data: EventData<T>
}

/** Puts the envelope around a fact, at the current version of its type. */
export const newEvent = <T extends EventType>(fact: NewEvent<T>): StoredEvent<T> => ({
  specversion: '1.0',
  id: fact.id,
  source: fact.source,
  type: fact.type,
  subject: fact.subject,
  time: fact.time,
  companyid: fact.companyId,
  channel: fact.channel,
  recordedtime: fact.recordedTime,
  dataschema: `${fact.type}/${EVENT_VERSION[fact.type]}`,
  data: fact.data,
})

/** A stored body that is no event of ours, or one newer than this software. */
export class UnreadableEvent extends GatewayError {
  constructor(reason: string, cause?: unknown) {
    super(`not a readable event: ${reason}`, { code: 'UNREADABLE_EVENT', retryable: false, cause })
  }
}

/** The envelope of a stored event of any version. */
export const Envelope = z.looseObject({
  specversion: z.literal('1.0'),
  id: z.string().min(1),
  source: z.string().min(1),
  type: z.string().min(1),
  subject: z.string().min(1),
  time: z.iso.datetime({ offset: true }),
  companyid: z.string().refine((id) => id === NO_COMPANY || isCompanyId(id), 'expected a lower-case UUID or _'),
  channel: z.string().min(1),
  recordedtime: z.iso.datetime({ offset: true }),
  dataschema: z.string().regex(/^[a-z0-9_.]+\/[1-9][0-9]*$/, 'expected <type>/<version>'),
  data: z.looseObject({}),
})

const describe = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; ')

/**
 * Reads a stored event of any version, upcast to the current one.
 *
 * @throws UnreadableEvent naming every field that is wrong (never its value)
 */
export const parseEvent = (body: unknown, from: Upcasters = upcasters): GatewayEvent => {
  const envelope = Envelope.safeParse(body)
  if (!envelope.success) throw new UnreadableEvent(describe(envelope.error), envelope.error)
  const { type, dataschema, data } = envelope.data
  if (!isEventType(type)) throw new UnreadableEvent(`type: this version does not know it`)
  const [schemaType, version] = dataschema.split('/') as [string, string]
  if (schemaType !== type) throw new UnreadableEvent('dataschema: names another type')
  const current = upcast(type, Number(version), data, from)
  const parsed = EVENT_DATA[type].safeParse(current)
  if (!parsed.success) throw new UnreadableEvent(`data: ${describe(parsed.error)}`, parsed.error)
  return {
    ...envelope.data,
    dataschema: `${type}/${EVENT_VERSION[type]}`,
    data: parsed.data,
  } as unknown as GatewayEvent
}

const decoder = new TextDecoder()

/** `parseEvent` over the bytes of a stored message. @throws UnreadableEvent */
export const decodeEvent = (bytes: Uint8Array, from?: Upcasters): GatewayEvent => {
  let body: unknown
  try {
    body = JSON.parse(decoder.decode(bytes))
  } catch (cause) {
    throw new UnreadableEvent('body: not JSON', cause)
  }
  return parseEvent(body, from)
}

/** The bytes to store: JSON, UTF-8. */
export const encodeEvent = (event: StoredEvent): Buffer => Buffer.from(JSON.stringify(event))
