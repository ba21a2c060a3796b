import { GatewayError } from './gateway-error.ts'
import { isCompanyId } from './ids.ts'

/** The company token of what belongs to no known company: webhooks nobody could route, commands yet to be resolved. */
export const NO_COMPANY = '_'

/** The channel token of events that concern no channel, such as `tenant.configured`. */
export const SYSTEM_CHANNEL = 'system'

/** Refused because it would become syntax of a NATS subject. */
export class UnsafeSubjectToken extends GatewayError {
  constructor(what: string) {
    super(`${what} is not usable in a subject: expected a lower-case UUID or a word of [a-z0-9_-]`, {
      code: 'UNSAFE_SUBJECT_TOKEN',
      retryable: false,
    })
  }
}

const WORD = /^[a-z0-9_-]{1,64}$/
const EVENT_TYPE = /^[a-z0-9_]{1,64}\.[a-z0-9_]{1,64}$/

const companyToken = (companyId: string): string => {
  if (companyId !== NO_COMPANY && !isCompanyId(companyId)) throw new UnsafeSubjectToken('company id')
  return companyId
}

const word = (what: string, text: string): string => {
  if (!WORD.test(text)) throw new UnsafeSubjectToken(what)
  return text
}

/** Every subject of the system is built here, and nowhere else. Each throws `UnsafeSubjectToken` on a token that is not one. */
export const subjects = {
  /** `evt.<company_id>.<channel>.<noun>.<verb>` */
  event: (companyId: string, channel: string, type: string): string => {
    if (!EVENT_TYPE.test(type)) throw new UnsafeSubjectToken('event type')
    return `evt.${companyToken(companyId)}.${word('channel', channel)}.${type}`
  },
  /** Events of one type of every company and channel, for a consumer's filter. */
  eventsOfType: (type: string): string => `evt.*.*.${type}`,
  allEvents: 'evt.>',
  /** A filter of events: of one company (or of none, `NO_COMPANY`) or all, of one type or all. */
  events: (companyId?: string, type?: string): string => {
    if (type !== undefined && !EVENT_TYPE.test(type)) throw new UnsafeSubjectToken('event type')
    const company = companyId === undefined ? '*' : companyToken(companyId)
    return type === undefined ? `evt.${company}.>` : `evt.${company}.*.${type}`
  },

  /** `cmd.send.<company_id>.<channel>`; `NO_COMPANY` when the company is to be found out. */
  sendCommand: (companyId: string, channel: string): string =>
    `cmd.send.${companyToken(companyId)}.${word('channel', channel)}`,
  /** Commands of one company (or of none, `NO_COMPANY`) over any channel. */
  sendCommandsOf: (companyId: string): string => `cmd.send.${companyToken(companyId)}.*`,
  allSendCommands: 'cmd.send.>',

  /** `cmd.lane.<number>.<priority>`: commands whose number is known, on their way to whoever owns its lane. */
  laneCommand: (phoneNumberId: string, priority: 'high' | 'normal'): string =>
    `cmd.lane.${word('phone number id', phoneNumberId)}.${priority}`,
  /** Both priorities of one number's lane, as a filter. */
  laneCommands: (phoneNumberId: string): string => `cmd.lane.${word('phone number id', phoneNumberId)}.*`,
  allLaneCommands: 'cmd.lane.>',
  /** Core message between senders, body = a number: its lane was left with its work, and is free. */
  laneLeft: 'lane.left',

  /** `dlq.<service>.<company_id>` */
  deadLetter: (service: string, companyId: string): string =>
    `dlq.${word('service', service)}.${isCompanyId(companyId) ? companyId : NO_COMPANY}`,
  /** A filter of dead letters: of one service or all, of one company (or of none, `NO_COMPANY`) or all. */
  deadLetters: (service: string | undefined, companyId: string | undefined): string =>
    `dlq.${service === undefined ? '*' : word('service', service)}.${companyId === undefined ? '*' : companyToken(companyId)}`,

  /** `replay.<id>.<company_id>.<channel>.<noun>.<verb>`: an event told again, to the one receiver of a replay. */
  replayed: (replayId: string, companyId: string, channel: string, type: string): string => {
    if (!EVENT_TYPE.test(type)) throw new UnsafeSubjectToken('event type')
    return `replay.${word('replay id', replayId)}.${companyToken(companyId)}.${word('channel', channel)}.${type}`
  },
  /** What comes before the first event of a replay, and after the last one. */
  replayBegin: (replayId: string): string => `replay.${word('replay id', replayId)}.begin`,
  replayEnd: (replayId: string): string => `replay.${word('replay id', replayId)}.end`,

  /** Request to the projector: `{phone}` → `{company_id, phone_number_id}`, or `{}` when there was no conversation. */
  latestConversation: 'qry.conversation.latest',
  /** Request to the archiver at work, any body: answered with an `ArchivePosition`. Nobody at work: no answer. */
  archivePosition: 'qry.archive.position',
} as const

/** The company and channel a command's subject names: `company_id` is undefined under `_`. */
export const parseSendSubject = (subject: string): { company_id: string | undefined; channel: string } | undefined => {
  const [cmd, send, company, channel, ...rest] = subject.split('.')
  if (cmd !== 'cmd' || send !== 'send' || company === undefined || channel === undefined || rest.length > 0)
    return undefined
  return { company_id: company === NO_COMPANY ? undefined : company, channel }
}

/** Header of a command: the subject its outcome is to be published to (JetStream keeps no reply subject). */
export const REPLY_TO_HEADER = 'Reply-To'
/**
 * Header of a command: when its number is paused, its caller wants to be told at once that the command is kept, and why,
 * instead of waiting. Any value. Its outcome follows on the same subject when there is one.
 */
export const ANSWER_IF_PAUSED_HEADER = 'Answer-If-Paused'
/** The number whose lane a subject is; undefined when it is none. */
export const parseLaneSubject = (subject: string): string | undefined =>
  /^cmd\.lane\.([a-z0-9_-]{1,64})\.(?:high|normal)$/.exec(subject)?.[1]

/** Header of a command in a lane: the subject it came on. */
export const COMMAND_SUBJECT_HEADER = 'Command-Subject'
/** Header of a command given back to its worker: a status proved that it was sent, what remains is to tell the log. */
export const SETTLED_HEADER = 'Settled-By-Status'
/** Header of an event told again: the id of the replay. A live event never has it. */
export const REPLAY_HEADER = 'Replay'
/** Header of an event told again: its position in the log. */
export const REPLAY_POSITION_HEADER = 'Replay-Position'
/** W3C trace context, on every message. */
export const TRACEPARENT_HEADER = 'traceparent'
/** Command id, or the id of the webhook delivery, on everything that follows from it. */
export const CORRELATION_HEADER = 'Correlation-Id'
