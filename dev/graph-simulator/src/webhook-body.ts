import type { JsonObject } from './json.ts'
import type { SendRequest } from './message-body.ts'
import { conversationIdOf, userIdOf } from './meta-ids.ts'
import type { PhoneNumber, Tenant } from './tenants.ts'
import type { StatusStep } from './test-recipient.ts'

const seconds = (ms: number): string => String(Math.floor(ms / 1_000))

/** One POST with one change of the field `messages`. */
const envelope = (tenant: Tenant, phone: PhoneNumber, rest: JsonObject) => ({
  object: 'whatsapp_business_account',
  entry: [
    {
      id: tenant.waba_id,
      changes: [
        {
          value: {
            messaging_product: 'whatsapp',
            // Formatted in answers, digits only in webhooks.
            metadata: {
              display_phone_number: phone.display_phone_number.replace(/\D/g, ''),
              phone_number_id: phone.id,
            },
            ...rest,
          },
          field: 'messages',
        },
      ],
    },
  ],
})

/** An accepted message on its way. */
export interface SentMessage extends SendRequest {
  messageId: string
  acceptedAtMs: number
  /** Of the version in the request's path: up to 23 the webhooks carry `conversation`. */
  majorVersion: number
}

const FAILED_131026 = [
  {
    code: 131026,
    title: 'Message undeliverable',
    message: 'Message undeliverable',
    error_data: { details: 'Message Undeliverable.' },
    href: '/documentation/business-messaging/whatsapp/support/error-codes',
  },
]

const contactName = 'Simulated Contact'
/** Somebody has to have read what was sent to a group: the simulator knows no members, so it is always this one. */
const GROUP_MEMBER = '16285550137'

const recipientKeys = (tenant: Tenant, { recipient: { kind, id } }: SentMessage, status: string): JsonObject => {
  if (kind === 'user') return { recipient_user_id: id }
  if (kind === 'phone')
    // A failure of a message to a phone number names no user.
    return { recipient_id: id, ...(status === 'failed' ? {} : { recipient_user_id: userIdOf(tenant.waba_id, id) }) }
  return {
    recipient_id: id,
    recipient_type: 'group',
    recipient_participant_id: GROUP_MEMBER,
    recipient_participant_user_id: userIdOf(tenant.waba_id, GROUP_MEMBER),
  }
}

const contactOf = (tenant: Tenant, { recipient: { kind, id } }: SentMessage): JsonObject => {
  if (kind === 'user') return { profile: { name: contactName }, user_id: id }
  const phone = kind === 'group' ? GROUP_MEMBER : id
  return { profile: { name: contactName }, wa_id: phone, user_id: userIdOf(tenant.waba_id, phone) }
}

/** The body of a status webhook as Meta sends it: price and conversation with `sent` and `delivered` only. */
export const statusBody = (tenant: Tenant, phone: PhoneNumber, message: SentMessage, step: StatusStep) => {
  const { status } = step
  const isPriced = status === 'sent' || status === 'delivered'
  const isService = message.category === 'service'
  const conversation = {
    id: conversationIdOf(phone.id, message.recipient.id),
    ...(status === 'sent' ? { expiration_timestamp: seconds(message.acceptedAtMs + 24 * 3_600_000) } : {}),
    origin: { type: message.category },
  }
  const pricing = {
    billable: !isService,
    pricing_model: 'PMP',
    type: isService ? 'free_customer_service' : 'regular',
    category: message.category,
  }
  return envelope(tenant, phone, {
    ...(status === 'failed' ? {} : { contacts: [contactOf(tenant, message)] }),
    statuses: [
      {
        id: message.messageId,
        status,
        timestamp: seconds(message.acceptedAtMs + step.happenedAfterMs),
        ...recipientKeys(tenant, message, status),
        ...(message.callbackData === undefined ? {} : { biz_opaque_callback_data: message.callbackData }),
        ...(isPriced && message.majorVersion < 24 ? { conversation } : {}),
        ...(isPriced ? { pricing } : {}),
        ...(status === 'failed' ? { errors: FAILED_131026 } : {}),
      },
    ],
  })
}

/** Who writes: a phone, or a business-scoped user id of somebody whose phone Meta hides. */
export type Author = { waId?: string; userId: string; name: string }

export const authorOf = (tenant: Tenant, from: string, name: string | undefined): Author =>
  /^[A-Z]{2}\./.test(from)
    ? { userId: from, name: name ?? contactName }
    : {
        waId: from.replace(/\D/g, ''),
        userId: userIdOf(tenant.waba_id, from.replace(/\D/g, '')),
        name: name ?? contactName,
      }

/** A message of the author's; an `id` and a `timestamp` of the given object are kept. */
export const inboundMessage = (author: Author, message: JsonObject, id: string, nowMs: number): JsonObject => ({
  ...(author.waId === undefined ? {} : { from: author.waId }),
  from_user_id: author.userId,
  id,
  timestamp: seconds(nowMs),
  ...message,
})

/** The body of a webhook with messages of one author. */
export const messagesBody = (tenant: Tenant, phone: PhoneNumber, author: Author, messages: JsonObject[]) =>
  envelope(tenant, phone, {
    contacts: [
      {
        profile: { name: author.name },
        ...(author.waId === undefined ? {} : { wa_id: author.waId }),
        user_id: author.userId,
      },
    ],
    messages,
  })
