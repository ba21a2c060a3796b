import {
  type Contact,
  type Direction,
  eventId,
  type MessageCreatedData,
  type MessageDeletedData,
  type MessageEditedData,
  RECEIVED,
} from '@cloudapi2/contracts'
import { asId, asObject, asPhone, asText, asTime, type JsonObject } from '../json-values.ts'
import { type Change, record, recordUnrecognised } from './change.ts'
import { type ContactBook, chatWith, contactOf, findContact, type Person } from './contact.ts'
import { contextOf, errorsOf, mediaOf, reactionOf, textOf } from './message-content.ts'

/** How a list of messages reached us. */
export interface MessageSource {
  /** For `history`, what is assumed where the sender does not tell. */
  direction: Exclude<Direction, 'outbound'>
  origin: 'history' | 'standby' | undefined
  contacts: ContactBook
  /** True when the list holds a single message. */
  isOnlyOne: boolean
  /** `history`: the thread's `context`, which describes the person at the other end as a contact does. */
  thread: JsonObject | undefined
}

/** The part of an event's data that a message, an edit and a deletion share, but for their ids. */
type Parties = Pick<MessageCreatedData, 'direction'> & {
  chat_id?: string
  group_id?: string
  sender_phone?: string
  contact?: Contact
  previous_contact?: Contact
  phone_number_id?: string
  display_phone_number?: string
  origin?: string
}

/** History mixes both directions in one list: what the business wrote has its own number for a sender. */
const directionOf = (message: JsonObject, source: MessageSource, change: Change): MessageSource['direction'] => {
  if (source.origin !== 'history') return source.direction
  const from = asPhone(message.from)
  if (from !== undefined && change.displayPhoneNumber !== undefined)
    return from === change.displayPhoneNumber ? 'echo' : 'inbound'
  if (message.from_user_id !== undefined) return 'inbound'
  return message.to !== undefined || message.to_user_id !== undefined ? 'echo' : source.direction
}

const NUMBER_CHANGED = new Set(['user_changed_number', 'customer_changed_number'])

/**
 * The contact after a change of number or user id, told by a `system` message in the name of the old one. A number takes
 * its user id along: after a change of number the old user id is no longer theirs.
 */
const changedContact = (message: JsonObject, before: Contact): { contact: Contact; previous: Contact } | undefined => {
  const system = message.type === 'system' ? asObject(message.system) : undefined
  if (system === undefined) return undefined
  const type = asText(system.type) ?? ''
  // The same person on a new device: a number written in another way is no new number here.
  if (type === 'customer_identity_changed') return undefined
  const phone = asPhone(system.wa_id) ?? asPhone(system.new_wa_id)
  const userId = asText(system.user_id)
  const isNewNumber = NUMBER_CHANGED.has(type) || (phone !== undefined && phone !== before.phone)
  const isNewUserId = userId !== undefined && userId !== before.user_id
  if (!isNewNumber && !isNewUserId) return undefined

  const contact: Contact = { ...before }
  for (const key of ['phone', 'user_id', 'parent_user_id'] as const) delete contact[key]
  const phoneNow = isNewNumber ? phone : before.phone
  const userIdNow = userId ?? (isNewNumber ? undefined : before.user_id)
  const parentNow = asText(system.parent_user_id)
  if (phoneNow !== undefined) contact.phone = phoneNow
  if (userIdNow !== undefined) contact.user_id = userIdNow
  if (parentNow !== undefined) contact.parent_user_id = parentNow

  const previous: Contact = {}
  const userIdBefore = asText(system.previous_user_id) ?? before.user_id
  const parentBefore = asText(system.previous_parent_user_id) ?? before.parent_user_id
  if (before.phone !== undefined) previous.phone = before.phone
  if (userIdBefore !== undefined) previous.user_id = userIdBefore
  if (parentBefore !== undefined) previous.parent_user_id = parentBefore
  return { contact, previous }
}

const partiesOf = (message: JsonObject, source: MessageSource, change: Change): Parties => {
  const direction = directionOf(message, source, change)
  const isInbound = direction === 'inbound'
  const at = isInbound ? message.from : message.to
  const isGroup = message.group_id !== undefined || message.recipient_type === 'group'
  const groupId = asId(message.group_id) ?? (message.recipient_type === 'group' ? asId(message.to) : undefined)

  const phone = asPhone(at)
  const person: Person = {
    phone,
    userId:
      asText(isInbound ? message.from_user_id : message.to_user_id) ??
      // What is no phone number in the place of one is the channel's own id of the person.
      (phone === undefined && !isGroup ? asId(at) : undefined),
    parentUserId: asText(isInbound ? message.from_parent_user_id : message.to_parent_user_id),
    isOnlyOne: source.isOnlyOne && !isGroup,
  }
  const found = contactOf(findContact(source.contacts, person) ?? source.thread, person)
  const changed = found === undefined ? undefined : changedContact(message, found)
  const contact = changed?.contact ?? found
  const chatId = groupId ?? chatWith(contact)
  const senderPhone = isInbound ? (phone ?? found?.phone) : (change.displayPhoneNumber ?? asPhone(message.from))

  const parties: Parties = { direction }
  if (change.phoneNumberId !== undefined) parties.phone_number_id = change.phoneNumberId
  if (change.displayPhoneNumber !== undefined) parties.display_phone_number = change.displayPhoneNumber
  if (chatId !== undefined) parties.chat_id = chatId
  if (groupId !== undefined) parties.group_id = groupId
  if (senderPhone !== undefined) parties.sender_phone = senderPhone
  if (contact !== undefined) parties.contact = contact
  if (changed !== undefined) parties.previous_contact = changed.previous
  if (source.origin !== undefined) parties.origin = source.origin
  return parties
}

/** Meta's words for how far a message of the history got. */
const HISTORY_STATUS: Readonly<Record<string, string>> = {
  PENDING: 'accepted',
  ERROR: 'failed',
  SENT: 'sent',
  DELIVERED: 'delivered',
  READ: 'read',
  PLAYED: 'played',
}

/** What the business wrote has at least been accepted; `history_context` tells when it got further. */
const statusOf = (message: JsonObject, direction: Direction): string => {
  if (direction === 'inbound') return RECEIVED
  const status = asText(asObject(message.history_context)?.status)?.toUpperCase()
  return status !== undefined && Object.hasOwn(HISTORY_STATUS, status) ? (HISTORY_STATUS[status] as string) : 'accepted'
}

/** Copies of what another agent handles are other facts than the traffic itself. */
const copyMark = (source: MessageSource): string => (source.origin === 'standby' ? 'standby' : '')

/** Records one item of `messages[]` or `message_echoes[]`: a message, an edit or a deletion. */
export const recordMessage = (item: unknown, source: MessageSource, change: Change) => {
  const message = asObject(item)
  if (message === undefined) return recordUnrecognised(change, 'a message that is not an object', item)
  const id = asId(message.id)
  if (id === undefined) return recordUnrecognised(change, 'a message without a usable id', item)

  const kind = asText(message.type) || 'unknown'
  const time = asTime(message.timestamp) ?? change.delivery.recordedTime
  const number = change.phoneNumberId ?? ''

  if (kind === 'edit' || kind === 'revoke') {
    const content = asObject(message[kind])
    const target = asId(content?.original_message_id)
    if (target === undefined)
      return recordUnrecognised(change, 'an edit or deletion that does not name its message', item)
    const { previous_contact: _, ...parties } = partiesOf(message, source, change)

    if (kind === 'revoke') {
      const data: MessageDeletedData = { message_id: target, delete_id: id, ...parties, raw: item }
      return record(change, 'message.deleted', {
        id: eventId(change.companyId, 'message.deleted', target, id, number, copyMark(source)),
        subject: target,
        time,
        data,
      })
    }
    const inner = asObject(content?.message) ?? {}
    const innerKind = asText(inner.type) || 'unknown'
    const data: MessageEditedData = { message_id: target, edit_id: id, ...parties, kind: innerKind, raw: item }
    const text = textOf(innerKind, inner)
    const media = mediaOf(innerKind, inner)
    if (text !== undefined) data.text = text
    if (media !== undefined) data.media = media
    return record(change, 'message.edited', {
      id: eventId(change.companyId, 'message.edited', target, id, number, copyMark(source)),
      subject: target,
      time,
      data,
    })
  }

  const parties = partiesOf(message, source, change)
  const data: MessageCreatedData = {
    message_id: id,
    ...parties,
    kind,
    status: statusOf(message, parties.direction),
    raw: item,
  }
  const text = textOf(kind, message)
  const media = mediaOf(kind, message)
  const context = contextOf(message)
  const reaction = kind === 'reaction' ? reactionOf(message) : undefined
  const errors = errorsOf(message.errors)
  if (text !== undefined) data.text = text
  if (media !== undefined) data.media = media
  if (context !== undefined) data.context = context
  if (reaction !== undefined) data.reaction = reaction
  if (errors !== undefined) data.errors = errors
  record(change, 'message.created', {
    id: eventId(
      change.companyId,
      'message.created',
      id,
      number,
      parties.direction,
      // History tells a message with a file twice: first without it, later with it, under the same id.
      kind === 'media_placeholder' ? 'placeholder' : '',
      copyMark(source),
    ),
    subject: id,
    time,
    data,
  })
}
