import {
  CORRELATION_HEADER,
  eventId,
  newEvent,
  type SendCommand,
  type StoredEvent,
  TRACEPARENT_HEADER,
  withoutNul,
} from '@cloudapi2/contracts'
import type { MessageSummary, PreparedMessage } from '../channel/channel.ts'
import type { Receipt, Round, SendEvent } from './send-command.ts'

export const SOURCE = '/sender'

/** What the events of one command have in common. */
export interface About {
  companyId: string
  command: SendCommand
  phoneNumberId?: string | undefined
  /** Where the conversation is kept; unknown while the recipient could not be read. */
  chatId?: string | undefined
  displayPhoneNumber?: string | undefined
  /** What the company's settings say of messages whose command does not. */
  responsibleEmail?: string | undefined
  /** With `{chat_id}` in it. */
  chatUrl?: string | undefined
  /** Unknown when it could not be built again after a crash: the event then says less. */
  message?: PreparedMessage | undefined
}

/** The event to store for something that happened to a command. `recordedTime`: now. */
export const storedEvent = (event: SendEvent, about: About, recordedTime: string): StoredEvent => {
  const { companyId, command } = about
  const common = { source: SOURCE, companyId, channel: command.channel, time: event.at, recordedTime }
  if (event.type === 'send.accepted') {
    const { messageId, read, response } = event.receipt
    if (read !== undefined)
      return newEvent({
        ...common,
        // With the command: a message may be read, or answered by typing, again.
        id: eventId(companyId, 'receipt.sent', command.id),
        type: 'receipt.sent',
        subject: messageId,
        data: present({
          command_id: command.id,
          message_id: messageId,
          phone_number_id: about.phoneNumberId,
          chat_id: about.chatId,
          typing: read.isTyping,
          raw: present({ request: about.message?.body, response }),
        }),
      }) as StoredEvent
    return newEvent({
      ...common,
      id: eventId(companyId, 'message.created', messageId),
      type: 'message.created',
      subject: messageId,
      data: outboundMessage(event.receipt, about),
    }) as StoredEvent
  }
  const subject = command.id
  const of = present({ command_id: command.id, phone_number_id: about.phoneNumberId, chat_id: about.chatId })
  const id = (...distinct: string[]) => eventId(companyId, event.type, command.id, ...distinct)
  switch (event.type) {
    case 'send.requested':
      return newEvent({ ...common, id: id(), type: event.type, subject, data: { ...of, command } }) as StoredEvent
    case 'send.attempted':
      return newEvent({
        ...common,
        id: id(String(event.attempt)),
        type: event.type,
        subject,
        data: { ...of, attempt: event.attempt },
      }) as StoredEvent
    case 'send.refused':
      return newEvent({
        ...common,
        id: id(String(event.attempt)),
        type: event.type,
        subject,
        data: { ...of, attempt: event.attempt, error: event.error, retry_at: event.retryAt },
      }) as StoredEvent
    case 'send.uncertain':
      return newEvent({
        ...common,
        id: id(String(event.attempt)),
        type: event.type,
        subject,
        data: { ...of, attempt: event.attempt, error: event.error },
      }) as StoredEvent
    case 'send.parked':
      return newEvent({
        ...common,
        id: id(...roundOf(event)),
        type: event.type,
        subject,
        data: { ...of, attempts: event.attempts, error: event.error },
      }) as StoredEvent
    case 'send.redriven':
      return newEvent({
        ...common,
        id: id(String(event.letter)),
        type: event.type,
        subject,
        data: { ...of, dead_letter: event.letter, attempts: event.attempts },
      }) as StoredEvent
    case 'send.failed':
      return newEvent({
        ...common,
        id: id(...roundOf(event)),
        type: event.type,
        subject,
        data: { ...of, attempts: event.attempts, error: event.error },
      }) as StoredEvent
  }
}

/** Each round may end once; those of before there were rounds keep their ids. */
const roundOf = ({ round }: { round?: Round }): string[] => (round === undefined ? [] : [String(round.letter)])

const outboundMessage = (receipt: Receipt, about: About) => {
  const { command, message } = about
  // The channel's own idea of the recipient is the one that its webhooks will use.
  const chatId = receipt.contact?.phone ?? receipt.contact?.user_id ?? about.chatId
  const chatUrl =
    command.metadata?.chat_url ??
    (chatId === undefined ? undefined : about.chatUrl?.replaceAll('{chat_id}', encodeURIComponent(chatId)))
  const { text, ...summary }: MessageSummary = message?.summary ?? summaryOf(command)
  return {
    ...present({
      message_id: receipt.messageId,
      direction: 'outbound' as const,
      phone_number_id: about.phoneNumberId,
      display_phone_number: about.displayPhoneNumber,
      chat_id: chatId,
      sender_phone: about.displayPhoneNumber?.replace(/\D/g, '') || undefined,
      contact: receipt.contact && present(receipt.contact),
      status: 'accepted',
      text: text === undefined ? undefined : withoutNul(text),
      command_id: command.id,
      responsible_email: command.metadata?.responsible_email ?? about.responsibleEmail,
      assigned_to_id: command.metadata?.assigned_to_id,
      chat_url: chatUrl,
    }),
    ...summary,
    raw: present({ request: message?.body, response: receipt.response }),
  }
}

/** What the command itself tells of a message whose wire form cannot be had any more. */
const summaryOf = ({ message }: SendCommand): MessageSummary => {
  switch (message.type) {
    case 'text':
      return { kind: 'text', text: message.text }
    case 'template':
      return { kind: 'template', template: { name: message.template_name, language: message.language } }
    case 'media':
      return { kind: message.kind, ...(message.caption === undefined ? {} : { text: message.caption }) }
    case 'raw':
      return { kind: 'unknown' }
  }
}

/** The headers of everything that follows from a command. */
export const headersOf = (commandId: string, traceparent: string): Record<string, string> => ({
  [TRACEPARENT_HEADER]: traceparent,
  [CORRELATION_HEADER]: commandId,
})

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Drops the keys that are undefined: an absent value is an absent key. */
const present = <T extends object>(fields: T): Present<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>
