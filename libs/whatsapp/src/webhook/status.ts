import { eventId, type StatusUpdatedData } from '@cloudapi2/contracts'
import { readCallbackData } from '../callback-data.ts'
import { asId, asObject, asPhone, asText, asTime, isEmpty, type JsonObject } from '../json-values.ts'
import { type Change, record, recordUnrecognised } from './change.ts'
import { type ContactBook, chatWith, contactOf, findContact, type Person } from './contact.ts'
import { errorsOf } from './message-content.ts'

/** How a list of statuses reached us. */
export interface StatusSource {
  origin: 'history' | 'standby' | undefined
  contacts: ContactBook
  /** True when the list holds a single status. */
  isOnlyOne: boolean
}

/** A group's status is one participant's; otherwise it is the recipient's. */
const personOf = (status: JsonObject, isGroup: boolean, isOnlyOne: boolean): Person => {
  if (isGroup)
    return {
      phone: asPhone(status.recipient_participant_id),
      userId: asText(status.recipient_participant_user_id),
      parentUserId: asText(status.recipient_participant_parent_user_id),
      isOnlyOne,
    }
  const phone = asPhone(status.recipient_id)
  return {
    phone,
    userId: asText(status.recipient_user_id) ?? (phone === undefined ? asId(status.recipient_id) : undefined),
    // Called parent_recipient_user_id in April 2026, recipient_parent_user_id since.
    parentUserId: asText(status.recipient_parent_user_id) ?? asText(status.parent_recipient_user_id),
    isOnlyOne,
  }
}

const conversationOf = (status: JsonObject): StatusUpdatedData['conversation'] => {
  const sent = asObject(status.conversation)
  const id = asText(sent?.id)
  const origin = asText(asObject(sent?.origin)?.type)
  if (id === undefined && origin === undefined) return undefined
  return { ...(id === undefined ? {} : { id }), ...(origin === undefined ? {} : { origin }) }
}

const pricingOf = (status: JsonObject): StatusUpdatedData['pricing'] => {
  const sent = asObject(status.pricing)
  if (sent === undefined) return undefined
  const pricing: NonNullable<StatusUpdatedData['pricing']> = {}
  const model = asText(sent.pricing_model)
  const type = asText(sent.type)
  const category = asText(sent.category)
  if (model !== undefined) pricing.model = model
  if (type !== undefined) pricing.type = type
  if (category !== undefined) pricing.category = category
  return isEmpty(pricing) ? undefined : pricing
}

/** Records one item of `statuses[]` of a field that carries messages. */
export const recordStatus = (item: unknown, source: StatusSource, change: Change) => {
  const sent = asObject(item)
  if (sent === undefined) return recordUnrecognised(change, 'a status that is not an object', item)
  const id = asId(sent.id)
  const status = asId(sent.status)
  if (id === undefined) return recordUnrecognised(change, 'a status without a usable message id', item)
  if (status === undefined) return recordUnrecognised(change, 'a status that does not say which', item)

  const isGroup =
    sent.recipient_type === 'group' ||
    sent.recipient_participant_id !== undefined ||
    sent.recipient_participant_user_id !== undefined
  const person = personOf(sent, isGroup, source.isOnlyOne)
  const contact = contactOf(findContact(source.contacts, person), person)
  const groupId = isGroup ? asId(sent.recipient_id) : undefined
  const chatId = groupId ?? (isGroup ? undefined : chatWith(contact))
  const participant = isGroup ? (person.phone ?? person.userId) : undefined
  const errors = errorsOf(sent.errors)
  const conversation = conversationOf(sent)
  const pricing = pricingOf(sent)
  const callbackData = asText(sent.biz_opaque_callback_data)

  const data: StatusUpdatedData = { message_id: id, status, raw: item }
  if (change.phoneNumberId !== undefined) data.phone_number_id = change.phoneNumberId
  if (change.displayPhoneNumber !== undefined) data.display_phone_number = change.displayPhoneNumber
  if (chatId !== undefined) data.chat_id = chatId
  if (groupId !== undefined) data.group_id = groupId
  if (contact !== undefined) data.contact = contact
  if (participant !== undefined) data.participant = participant
  if (errors !== undefined) data.errors = errors
  if (conversation !== undefined) data.conversation = conversation
  if (pricing !== undefined) data.pricing = pricing
  if (callbackData !== undefined) {
    const { commandId, own } = readCallbackData(callbackData)
    if (commandId !== undefined) data.command_id = commandId
    if (own !== undefined) data.callback_data = own
  }
  if (source.origin !== undefined) data.origin = source.origin
  record(change, 'status.updated', {
    id: eventId(
      change.companyId,
      'status.updated',
      id,
      change.phoneNumberId ?? '',
      status,
      asText(sent.timestamp) ?? '',
      participant ?? '',
      source.origin === 'standby' ? 'standby' : '',
    ),
    subject: id,
    time: asTime(sent.timestamp) ?? change.delivery.recordedTime,
    data,
  })
}
