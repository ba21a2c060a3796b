import {
  type GatewayEvent,
  type MessageCreatedData,
  messageRowId,
  NO_COMPANY,
  type StoredEvent,
  statusRank,
} from '@cloudapi2/contracts'
import { type ContactState, contactSaid, digitsOf, joinContacts } from './contact.ts'
import { eventTime } from './event-time.ts'
import { createdRank, joinMessages, type MessageState, messageText } from './message-state.ts'
import { joinRetention, type RetentionState } from './retention.ts'
import { joinSends, SEND_TYPES, type SendState, type SendType, sendAccepted, sendSaid } from './send-state.ts'
import { storableJson, storableText, textOrNull } from './storable.ts'
import { joinTimelineRows, type TimelineRow } from './timeline.ts'
import { UnfoldableEvent } from './unfoldable-event.ts'

/** An event and its place in the log. */
export interface LoggedEvent {
  event: GatewayEvent
  sequence: number
}

/** What events amount to: per table, a row for each key. */
export interface Rows {
  messages: Map<string, MessageState>
  timeline: Map<string, TimelineRow>
  sends: Map<string, SendState>
  contacts: Map<string, ContactState>
  retention: Map<string, RetentionState>
  /** The greatest sequence folded in; 0: none. */
  position: number
}

/** The types of events that speak of a message. */
const MESSAGE_TYPES = ['message.created', 'message.edited', 'message.deleted', 'status.updated'] as const
type MessageType = (typeof MESSAGE_TYPES)[number]
type FoldedEvent = { [T in MessageType]: StoredEvent<T> }[MessageType]

/** The types of events that become rows. */
export const FOLDED_TYPES = [...MESSAGE_TYPES, ...SEND_TYPES, 'receipt.sent', 'retention.applied'] as const

const isAboutMessage = (event: GatewayEvent): event is FoldedEvent =>
  (MESSAGE_TYPES as readonly string[]).includes(event.type)
const isAboutSend = (event: GatewayEvent): event is { [T in SendType]: StoredEvent<T> }[SendType] =>
  (SEND_TYPES as readonly string[]).includes(event.type)

export const noRows = (): Rows => ({
  messages: new Map(),
  timeline: new Map(),
  sends: new Map(),
  contacts: new Map(),
  retention: new Map(),
  position: 0,
})

/**
 * Folds events into rows. Any order, repetition and batching of the same events gives the same rows in the end; events
 * of other types, and of no company, leave no trace.
 *
 * @throws UnfoldableEvent for the first event that cannot become rows
 */
export const fold = (events: Iterable<LoggedEvent>): Rows => {
  const rows = noRows()
  for (const event of events) foldInto(rows, event)
  return rows
}

/**
 * Folds one more event into rows.
 *
 * @throws UnfoldableEvent; `rows` is then as it was
 */
export const foldInto = (rows: Rows, { event, sequence }: LoggedEvent): void => {
  const isKnown = event.companyid !== NO_COMPANY
  if (isKnown && isAboutSend(event)) {
    const commandId = key('data.command_id', event.data.command_id)
    const send = sendSaid(event, commandId, key('id', event.id), sequence, eventTime(event.time))
    put(rows.sends, `${event.companyid}${commandId}`, send, joinSends)
  }
  if (isKnown && event.type === 'receipt.sent') {
    const command_id = key('data.command_id', event.data.command_id)
    const keys = { command_id, event_id: key('id', event.id), message_id: null, sequence }
    put(rows.sends, `${event.companyid}${command_id}`, sendAccepted(event, keys, eventTime(event.time)), joinSends)
  }
  if (isKnown && event.type === 'retention.applied') {
    const state = { company_id: event.companyid, before: eventTime(event.data.before) }
    put(rows.retention, event.companyid, state, joinRetention)
  }
  if (!isKnown || !isAboutMessage(event)) {
    rows.position = Math.max(rows.position, sequence)
    return
  }
  const at = eventTime(event.time)
  const recordedAt = eventTime(event.recordedtime)
  const messageId = key('data.message_id', event.data.message_id)
  const eventId = key('id', event.id)
  const told = timelineRow(event, messageId, eventId, sequence, at, recordedAt)
  const message = messageOf(event, messageId, eventId, sequence, at)
  const contact = contactOf(event, at)
  if (contact !== undefined) key('data.contact', contact.contact_key)
  const send = acceptedSend(event, messageId, eventId, sequence, at)

  // Nothing throws from here on.
  const company = event.companyid
  put(rows.messages, `${company}${messageId}`, message, joinMessages)
  put(rows.timeline, `${company}${messageId}\u0000${eventId}`, told, joinTimelineRows)
  if (send !== undefined) put(rows.sends, `${company}${send.command_id}`, send, joinSends)
  if (contact !== undefined) put(rows.contacts, `${company}${contact.contact_key}`, contact, joinContacts)
  rows.position = Math.max(rows.position, sequence)
}

const put = <T>(rows: Map<string, T>, rowKey: string, row: T, join: (a: T, b: T) => T) => {
  const known = rows.get(rowKey)
  rows.set(rowKey, known === undefined ? row : join(known, row))
}

/** A row of a B-tree index holds 2,704 bytes; the longest key is a message id and an event id. */
const MAX_KEY_BYTES = 800

/** A text that becomes part of a key. @throws UnfoldableEvent when it is too long for one */
const key = (field: string, text: string): string => {
  const storable = storableText(text)
  if (storable.length > MAX_KEY_BYTES / 4 && Buffer.byteLength(storable) > MAX_KEY_BYTES)
    throw new UnfoldableEvent(`${field} is longer than ${MAX_KEY_BYTES} bytes`)
  return storable
}

const messageOf = (
  event: FoldedEvent,
  message_id: string,
  eventId: string,
  sequence: number,
  at: string,
): MessageState => {
  const state: MessageState = {
    company_id: event.companyid,
    message_id,
    created: undefined,
    edit: undefined,
    created_at: undefined,
    status_rank: -1,
    deleted_at: undefined,
    latest_at: at,
  }
  switch (event.type) {
    case 'message.created': {
      const { data } = event
      const kind = storableText(data.kind)
      const text = textOrNull(data.text)
      const chatId = chatOf(data)
      state.created_at = at
      state.status_rank = statusRank(data.status)
      state.created = {
        created_rank: createdRank(data.kind, data.direction),
        created_event_id: eventId,
        created_sequence: sequence,
        row_id: messageRowId(event.companyid, message_id),
        channel: storableText(event.channel),
        direction: data.direction,
        phone_number_id: textOrNull(data.phone_number_id),
        chat_id: chatId === undefined ? null : key('data.chat_id', chatId),
        sender_phone: senderOf(data) ?? null,
        kind,
        text,
        message: messageText(kind, text),
        own_status: storableText(data.status),
        origin: textOrNull(data.origin),
        command_id: textOrNull(data.command_id),
        responsible_email: textOrNull(data.responsible_email),
        assigned_to_id: uuidOrNull(data.assigned_to_id),
        chat_url: textOrNull(data.chat_url),
        contact: storableJson(data.contact),
        context: storableJson(data.context),
        reaction: storableJson(data.reaction),
        media: storableJson(data.media),
        template: storableJson(data.template),
        errors: storableJson(data.errors),
      }
      return state
    }
    case 'message.edited': {
      const kind = storableText(event.data.kind)
      const text = textOrNull(event.data.text)
      state.edit = {
        edit_time: at,
        edit_event_id: eventId,
        edit_sequence: sequence,
        edit_kind: kind,
        edit_text: text,
        edit_message: messageText(kind, text),
        edit_media: storableJson(event.data.media),
      }
      return state
    }
    case 'message.deleted':
      state.deleted_at = at
      return state
    case 'status.updated':
      state.status_rank = statusRank(event.data.status)
      return state
  }
}

/** Digits of whoever sent it: the contact of what came in, else the business number. */
const senderOf = (data: MessageCreatedData): string | undefined =>
  digitsOf(data.sender_phone) ??
  digitsOf(data.direction === 'inbound' ? data.contact?.phone : data.display_phone_number)

const chatOf = (data: MessageCreatedData): string | undefined =>
  data.chat_id ?? data.group_id ?? digitsOf(data.contact?.phone) ?? data.contact?.user_id

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const uuidOrNull = (text: string | undefined): string | null =>
  text !== undefined && UUID.test(text) ? text.toLowerCase() : null

const timelineRow = (
  event: FoldedEvent,
  message_id: string,
  event_id: string,
  sequence: number,
  occurred_at: string,
  recorded_at: string,
): TimelineRow => {
  const told = event.type === 'status.updated' ? event.data : undefined
  return {
    company_id: event.companyid,
    message_id,
    event_id,
    sequence,
    type: event.type,
    occurred_at,
    recorded_at,
    status: textOrNull(told?.status),
    participant: textOrNull(told?.participant),
    errors: storableJson(told?.errors),
    conversation: storableJson(told?.conversation),
    pricing: storableJson(told?.pricing),
    callback_data: textOrNull(told?.callback_data),
  }
}

const acceptedSend = (
  event: FoldedEvent,
  message_id: string,
  event_id: string,
  sequence: number,
  at: string,
): SendState | undefined => {
  if (event.type !== 'message.created' || event.data.command_id === undefined) return undefined
  const command_id = key('data.command_id', event.data.command_id)
  return sendAccepted(event, { command_id, event_id, message_id, sequence }, at)
}

const PHONE = /^\d+$/

const contactOf = (event: FoldedEvent, at: string): ContactState | undefined => {
  const { data, companyid, type } = event
  if (type === 'status.updated') {
    // Most statuses name nothing but the phone, which the message has said already: a write saved per status.
    const { contact } = event.data
    const saysMore = contact?.user_id ?? contact?.parent_user_id ?? contact?.username ?? contact?.name
    return contact === undefined || saysMore === undefined ? undefined : contactSaid(companyid, contact, at, false)
  }
  const isActing = event.data.direction === 'inbound'
  if (data.contact !== undefined) return contactSaid(companyid, data.contact, at, isActing)
  if (data.chat_id === undefined || data.group_id !== undefined) return undefined
  const contact = PHONE.test(data.chat_id) ? { phone: data.chat_id } : { user_id: data.chat_id }
  return contactSaid(companyid, contact, at, isActing)
}
