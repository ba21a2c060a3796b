import { z } from 'zod'

/**
 * The events of the system, version 1. The body of a stored event is a CloudEvents 1.0 structured JSON object; its
 * `data` is one of the shapes below. Objects are loose: a key added later passes through an older reader unharmed.
 *
 * Every absent value is an absent key; there are no nulls in normalised data. What the channel itself sent is kept
 * unchanged under `raw`.
 */

/** The person at the other end. `phone`: digits with country code. `user_id`: the channel's own id (WhatsApp: BSUID). */
export const Contact = z.looseObject({
  phone: z.string().optional(),
  user_id: z.string().optional(),
  parent_user_id: z.string().optional(),
  username: z.string().optional(),
  name: z.string().optional(),
})
export type Contact = z.infer<typeof Contact>

/** An error as the channel reported it. */
export const ChannelError = z.looseObject({
  code: z.number().optional(),
  title: z.string().optional(),
  details: z.string().optional(),
})
export type ChannelError = z.infer<typeof ChannelError>

export const Media = z.looseObject({
  id: z.string().optional(),
  link: z.string().optional(),
  mime_type: z.string().optional(),
  sha256: z.string().optional(),
  filename: z.string().optional(),
})
export type Media = z.infer<typeof Media>

export const DIRECTIONS = ['inbound', 'outbound', 'echo'] as const
/** inbound: from the contact; outbound: sent by this gateway; echo: sent by the business with another device or app. */
export type Direction = (typeof DIRECTIONS)[number]

/** What a message, an edit and a deletion have in common. */
const aboutMessage = {
  /** The channel's id of the message (WhatsApp: wamid). */
  message_id: z.string().min(1),
  direction: z.enum(DIRECTIONS),
  /** The business number's id at the channel. */
  phone_number_id: z.string().optional(),
  display_phone_number: z.string().optional(),
  /** The conversation: the contact's phone digits, else its user id; the group id for a group. */
  chat_id: z.string().optional(),
  group_id: z.string().optional(),
  /** Whoever wrote it: phone digits. */
  sender_phone: z.string().optional(),
  contact: Contact.optional(),
  /** How it reached us when not as live traffic: `history`, `standby`. */
  origin: z.string().optional(),
}

export const MessageCreatedData = z.looseObject({
  ...aboutMessage,
  /** `text`, `image`, `location`, … An open set: the channel adds kinds. */
  kind: z.string().min(1),
  /** Text, caption, or the title of what was tapped. */
  text: z.string().optional(),
  /** `received` for inbound; for the rest a status of `STATUS_RANK`. */
  status: z.string().min(1),
  context: z
    .looseObject({
      message_id: z.string().optional(),
      forwarded: z.boolean().optional(),
      frequently_forwarded: z.boolean().optional(),
    })
    .optional(),
  reaction: z.looseObject({ message_id: z.string(), emoji: z.string().optional() }).optional(),
  media: Media.optional(),
  template: z
    .looseObject({ name: z.string(), language: z.string().optional(), cover: z.string().optional() })
    .optional(),
  errors: z.array(ChannelError).optional(),
  /** The contact's identity before a change of number or user id. */
  previous_contact: Contact.optional(),
  /** Outbound: the command that asked for it, and what its sender wanted the row to say. */
  command_id: z.string().optional(),
  responsible_email: z.string().optional(),
  assigned_to_id: z.string().optional(),
  chat_url: z.string().optional(),
  raw: z.unknown(),
})
export type MessageCreatedData = z.infer<typeof MessageCreatedData>

export const MessageEditedData = z.looseObject({
  ...aboutMessage,
  /** The channel's id of the edit itself; `message_id` is the message it changes. */
  edit_id: z.string().min(1),
  kind: z.string().min(1),
  text: z.string().optional(),
  media: Media.optional(),
  raw: z.unknown(),
})
export type MessageEditedData = z.infer<typeof MessageEditedData>

export const MessageDeletedData = z.looseObject({
  ...aboutMessage,
  /** The channel's id of the deletion itself; `message_id` is the message it deletes. */
  delete_id: z.string().min(1),
  raw: z.unknown(),
})
export type MessageDeletedData = z.infer<typeof MessageDeletedData>

export const StatusUpdatedData = z.looseObject({
  message_id: z.string().min(1),
  status: z.string().min(1),
  phone_number_id: z.string().optional(),
  display_phone_number: z.string().optional(),
  chat_id: z.string().optional(),
  group_id: z.string().optional(),
  contact: Contact.optional(),
  /** Whose status it is, in a group: phone digits, else user id. */
  participant: z.string().optional(),
  errors: z.array(ChannelError).optional(),
  conversation: z.looseObject({ id: z.string().optional(), origin: z.string().optional() }).optional(),
  pricing: z
    .looseObject({ model: z.string().optional(), type: z.string().optional(), category: z.string().optional() })
    .optional(),
  /** The command it was sent for, as far as the channel's callback value tells. */
  command_id: z.string().optional(),
  /** What the caller asked to be given back. */
  callback_data: z.string().optional(),
  origin: z.string().optional(),
  raw: z.unknown(),
})
export type StatusUpdatedData = z.infer<typeof StatusUpdatedData>

export const AccountNotifiedData = z.looseObject({
  /** The webhook field, such as `account_update`; `messages` for errors and user actions tied to no message. */
  field: z.string().min(1),
  /** What of it: the whole change, one error of it, or one user action of it. */
  entity: z.enum(['change', 'error', 'user_action']),
  account_id: z.string().optional(),
  phone_number_id: z.string().optional(),
  display_phone_number: z.string().optional(),
  raw: z.unknown(),
})
export type AccountNotifiedData = z.infer<typeof AccountNotifiedData>

export const WebhookUnrecognisedData = z.looseObject({
  /** Why it could not be placed, in words. */
  reason: z.string().min(1),
  field: z.string().optional(),
  account_id: z.string().optional(),
  phone_number_id: z.string().optional(),
  raw: z.unknown(),
})
export type WebhookUnrecognisedData = z.infer<typeof WebhookUnrecognisedData>

const aboutCommand = {
  command_id: z.string().min(1),
  phone_number_id: z.string().optional(),
  chat_id: z.string().optional(),
}

export const SendRequestedData = z.looseObject({
  ...aboutCommand,
  /** The command as it was accepted. */
  command: z.unknown(),
})
export type SendRequestedData = z.infer<typeof SendRequestedData>

/** The intent, stored before the call. */
export const SendAttemptedData = z.looseObject({ ...aboutCommand, attempt: z.number().int().positive() })
export type SendAttemptedData = z.infer<typeof SendAttemptedData>

export const SendError = z.looseObject({
  /** The channel's code, or ours when the channel was not asked (docs/errors.md). */
  code: z.union([z.number(), z.string()]),
  title: z.string(),
  details: z.string().optional(),
  /** What the sender should do about it. */
  action: z.string().optional(),
})
export type SendError = z.infer<typeof SendError>

/** Refused, and worth trying again. */
export const SendRefusedData = z.looseObject({
  ...aboutCommand,
  attempt: z.number().int().positive(),
  error: SendError,
  retry_at: z.iso.datetime().optional(),
})
export type SendRefusedData = z.infer<typeof SendRefusedData>

/** Given up: nothing more will be tried. */
export const SendFailedData = z.looseObject({
  ...aboutCommand,
  attempts: z.number().int().nonnegative(),
  error: SendError,
})
export type SendFailedData = z.infer<typeof SendFailedData>

/** The channel may or may not have accepted it. */
export const SendUncertainData = z.looseObject({
  ...aboutCommand,
  attempt: z.number().int().positive(),
  error: SendError,
})
export type SendUncertainData = z.infer<typeof SendUncertainData>

/** A message of the contact was marked as read, with all before it. Nothing was sent. */
export const ReceiptSentData = z.looseObject({
  ...aboutCommand,
  /** The message that was read. */
  message_id: z.string().min(1),
  /** Whether the contact was shown that somebody is typing. */
  typing: z.boolean(),
  raw: z.unknown(),
})
export type ReceiptSentData = z.infer<typeof ReceiptSentData>

/** Taken out of the dead letters: a new round of attempts begins. */
export const SendRedrivenData = z.looseObject({
  ...aboutCommand,
  /** The sequence of the dead letter. */
  dead_letter: z.number().int().positive(),
  /** Calls to the channel in the rounds before; the numbers of the new ones go on from there. */
  attempts: z.number().int().nonnegative(),
})
export type SendRedrivenData = z.infer<typeof SendRedrivenData>

/** Given up without knowing whether the channel accepted it. */
export const SendParkedData = z.looseObject({
  ...aboutCommand,
  attempts: z.number().int().positive(),
  error: SendError,
})
export type SendParkedData = z.infer<typeof SendParkedData>

/** Nothing goes out from this number any more: the channel does not accept its account. Its commands are kept. */
export const NumberPausedData = z.looseObject({
  phone_number_id: z.string().min(1),
  /** The channel's code. */
  code: z.union([z.number(), z.string()]),
  title: z.string(),
  details: z.string().optional(),
  /** What an operator should do about it. */
  action: z.string().optional(),
})
export type NumberPausedData = z.infer<typeof NumberPausedData>

/** The number sends again. */
export const NumberResumedData = z.looseObject({
  phone_number_id: z.string().min(1),
  /** Why it had been paused. */
  code: z.union([z.number(), z.string()]),
  title: z.string(),
  /** `credentials`: the company was given others; `probe`: the channel accepts the old ones again. */
  by: z.enum(['credentials', 'probe']),
})
export type NumberResumedData = z.infer<typeof NumberResumedData>

export const TenantConfiguredData = z.looseObject({
  name: z.string(),
  /** The settings with secrets masked. */
  custom_properties: z.record(z.string(), z.unknown()),
  /** Names of the properties that differ from before. */
  changed: z.array(z.string()),
})
export type TenantConfiguredData = z.infer<typeof TenantConfiguredData>

export const TenantRemovedData = z.looseObject({ name: z.string().optional() })
export type TenantRemovedData = z.infer<typeof TenantRemovedData>

const aboutMedia = {
  /** The message that carries it. */
  message_id: z.string().min(1),
  /** The channel's id of the file. */
  media_id: z.string().min(1),
  phone_number_id: z.string().optional(),
  /** The kind of the message: `image`, `document`, … */
  kind: z.string().optional(),
  /** As its sender named it. */
  filename: z.string().optional(),
  /** When the message was sent. */
  message_at: z.iso.datetime().optional(),
}

/** A file that a message carries is in our store. */
export const MediaStoredData = z.looseObject({
  ...aboutMedia,
  /** Of the content; 64 hexadecimal digits, lower case. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  size_bytes: z.number().int().nonnegative(),
  /** The type it is served with: what the content shows, or what was claimed where that is harmless. */
  mime_type: z.string(),
  /** What the channel claimed, where the content shows something else. */
  claimed_mime_type: z.string().optional(),
})
export type MediaStoredData = z.infer<typeof MediaStoredData>

/** A file that a message carries could not be had, and is not asked for any more. */
export const MediaFailedData = z.looseObject({
  ...aboutMedia,
  /** `expired`, `not_found`, `refused`, `too_large`, `sha256_mismatch`. An open set. */
  reason: z.string(),
  /** The channel's code, where it gave one. */
  code: z.number().optional(),
  details: z.string().optional(),
})
export type MediaFailedData = z.infer<typeof MediaFailedData>

export const RetentionAppliedData = z.looseObject({
  /** Whatever of the company happened before this is gone from the read model and the object store. RFC 3339, UTC. */
  before: z.iso.datetime(),
  retention_days: z.number().positive(),
  /** What was removed: messages with all their rows, commands, files. */
  removed: z.looseObject({
    messages: z.number().int().nonnegative(),
    sends: z.number().int().nonnegative(),
    media: z.number().int().nonnegative(),
  }),
})
export type RetentionAppliedData = z.infer<typeof RetentionAppliedData>

export const AuditAnchoredData = z.looseObject({
  /** How the chain is made. */
  chain: z.literal(1),
  /** The last event in it: its position in the log. */
  position: z.number().int().nonnegative(),
  /** How many events of the company it has. */
  events: z.number().int().nonnegative(),
  /** Its last hash, hex. */
  head: z.string().regex(/^[0-9a-f]{64}$/),
})
export type AuditAnchoredData = z.infer<typeof AuditAnchoredData>

/** The schema of each type's `data`, at its current version. */
export const EVENT_DATA = {
  'message.created': MessageCreatedData,
  'message.edited': MessageEditedData,
  'message.deleted': MessageDeletedData,
  'status.updated': StatusUpdatedData,
  'account.notified': AccountNotifiedData,
  'webhook.unrecognised': WebhookUnrecognisedData,
  'send.requested': SendRequestedData,
  'send.attempted': SendAttemptedData,
  'send.refused': SendRefusedData,
  'send.failed': SendFailedData,
  'send.uncertain': SendUncertainData,
  'send.redriven': SendRedrivenData,
  'send.parked': SendParkedData,
  'receipt.sent': ReceiptSentData,
  'number.paused': NumberPausedData,
  'number.resumed': NumberResumedData,
  'media.stored': MediaStoredData,
  'media.failed': MediaFailedData,
  'tenant.configured': TenantConfiguredData,
  'tenant.removed': TenantRemovedData,
  'retention.applied': RetentionAppliedData,
  'audit.anchored': AuditAnchoredData,
} as const

export type EventType = keyof typeof EVENT_DATA
export type EventData<T extends EventType> = z.infer<(typeof EVENT_DATA)[T]>

/** The current version of each type; `dataschema` is `<type>/<version>`. */
export const EVENT_VERSION: Record<EventType, number> = {
  'message.created': 1,
  'message.edited': 1,
  'message.deleted': 1,
  'status.updated': 1,
  'account.notified': 1,
  'webhook.unrecognised': 1,
  'send.requested': 1,
  'send.attempted': 1,
  'send.refused': 1,
  'send.failed': 1,
  'send.uncertain': 1,
  'send.redriven': 1,
  'send.parked': 1,
  'receipt.sent': 1,
  'number.paused': 1,
  'number.resumed': 1,
  'media.stored': 1,
  'media.failed': 1,
  'tenant.configured': 1,
  'tenant.removed': 1,
  'retention.applied': 1,
  'audit.anchored': 1,
}

/** True for a type this version of the software knows. */
export const isEventType = (type: unknown): type is EventType =>
  typeof type === 'string' && Object.hasOwn(EVENT_DATA, type)
