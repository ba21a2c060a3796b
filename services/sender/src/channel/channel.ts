import type { OutboundMessage, SendError } from '@cloudapi2/contracts'
import type { Recipient } from '../recipient/recipient.ts'
import type { Receipt, Retry } from '../send-command/send-command.ts'

/**
 * Whose fault a failure is, so that an edge can choose its answer: the command's own, the company's account with the
 * channel, too much at a time, or the channel itself. Travels in `SendError.fault`.
 */
export type Fault = 'request' | 'account' | 'throttled' | 'channel'

/** With whose credentials, from which number. */
export interface Account {
  phoneNumberId: string
  token: string
}

/** What the log is to say of a message, in words that every channel shares. */
export interface MessageSummary {
  kind: string
  text?: string
  media?: { id?: string; link?: string; filename?: string }
  template?: { name: string; language?: string; cover?: string }
  context?: { message_id: string }
  reaction?: { message_id: string; emoji?: string }
}

/** A message ready to be sent: the body is the channel's own, and of no interest to anybody else. */
export interface PreparedMessage {
  body: Record<string, unknown>
  summary: MessageSummary
}

/** A template's definition as the channel gave it: kept, and handed back to the channel. */
export type TemplateDefinition = Record<string, unknown>

/** Which template a message is made of. `language`: in the one spelling that the channel knows it by. */
export interface TemplateName {
  name: string
  language: string
}

/** A template in one of its languages. */
export interface FetchedTemplate extends TemplateName {
  /** The language as the channel writes it, for people. */
  writtenAs: string
  definition: TemplateDefinition
  /** False for one that cannot be sent as it stands now: that may be over soon. */
  isLasting: boolean
}

/** What is known of a template: all that is to be filled in, or that there is none; or nothing. */
export type TemplateKnowledge =
  | { kind: 'found'; definition: TemplateDefinition }
  /** `languages`: those in which it does exist. */
  | { kind: 'missing'; languages: readonly string[] }
  | { kind: 'unknown' }

/**
 * Whom a refusal concerns: this message alone; all to this recipient, or all of this number, of which there are too
 * many; all of this account, which is not accepted; everybody, as the channel itself does not work.
 */
export type Concern = 'message' | 'recipient' | 'number' | 'account' | 'channel'

export type SendResult =
  | { kind: 'accepted'; receipt: Receipt }
  /** `doubtsTemplate`: its template may not be as it was known. */
  | { kind: 'refused'; error: SendError; retry: Retry; concerns: Concern; retryAfterMs?: number; doubtsTemplate?: true }
  /** The request may have reached the channel; what became of it is not known. */
  | { kind: 'unknown'; error: SendError }
  /** The request certainly did not reach the channel. */
  | { kind: 'unreachable'; error: SendError }

/** The message cannot be built: the channel would refuse it. The code is ours; the text names fields, never values. */
export type Preparation = { ok: true; message: PreparedMessage } | { ok: false; error: SendError }

/** A messaging channel, as far as the sender knows one. Its adapter alone knows the channel's wire format. */
export interface Channel {
  readonly name: string
  /** True for what reaches nobody as a message, such as a receipt: it may be sent again whatever became of it. */
  isHarmlessTwice: (message: OutboundMessage) => boolean
  prepare: (request: {
    message: OutboundMessage
    recipient: Recipient
    /** Comes back with every status of the message. */
    callbackId: string
    cover: string | undefined
    template: TemplateKnowledge
  }) => Preparation
  /** Never throws for anything the network or the channel may do. */
  send: (account: Account, body: Record<string, unknown>) => Promise<SendResult>
  /** Undefined for a message that is made of no template. */
  templateOf: (message: OutboundMessage) => TemplateName | undefined
  /** A template in all languages in which there is one. @throws when the channel cannot be asked */
  fetchTemplates: (request: { businessId: string; token: string; name: string }) => Promise<FetchedTemplate[]>
  /** The template that an account notification of the channel tells a change of. `raw`: as it was notified. */
  changedTemplate: (field: string, raw: unknown) => TemplateName | undefined
}
