import {
  CORRELATION_HEADER,
  type EventData,
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
  const { distinct, data } = detailsOf(event, command)
  return newEvent({
    ...common,
    id: eventId(companyId, event.type, command.id, ...distinct),
    type: event.type,
    subject: command.id,
    data: {
      ...present({ command_id: command.id, phone_number_id: about.phoneNumberId, chat_id: about.chatId }),
      ...data,
    } as EventData<typeof event.type>,
  }) as StoredEvent
}

/** What makes an event of a command distinct from the others of its type, and what it says beside whose it is. */
const detailsOf = (
  event: Exclude<SendEvent, { type: 'send.accepted' }>,
  command: SendCommand,
): { distinct: string[]; data: object } => {
  switch (event.type) {
    case 'send.requested':
      return { distinct: [], data: { command } }
    case 'send.attempted':
      return { distinct: [String(event.attempt)], data: { attempt: event.attempt } }
    case 'send.refused':
      return {
        distinct: [String(event.attempt)],
        data: { attempt: event.attempt, error: event.error, retry_at: event.retryAt },
      }
    case 'send.uncertain':
      return { distinct: [String(event.attempt)], data: { attempt: event.attempt, error: event.error } }
    case 'send.parked':
    case 'send.failed':
      return { distinct: roundOf(event), data: { attempts: event.attempts, error: event.error } }
    case 'send.redriven':
      return { distinct: [String(event.letter)], data: { dead_letter: event.letter, attempts: event.attempts } }
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
