import { deterministicId, type EventType, type StoredEvent } from '@cloudapi2/contracts'
import { compareText, storableJson, textOrNull } from './storable.ts'

/** The types of events that tell how a command stands, beside a `message.created` or `receipt.sent` that names its command. */
export const SEND_TYPES = [
  'send.requested',
  'send.attempted',
  'send.refused',
  'send.uncertain',
  'send.parked',
  'send.failed',
  'send.redriven',
] as const satisfies readonly EventType[]
export type SendType = (typeof SEND_TYPES)[number]

export const SEND_STATUSES = [
  'requested',
  'attempted',
  'refused',
  'uncertain',
  'parked',
  'failed',
  'redriven',
  'sent',
] as const
/** How a command stands, as far as the log tells. `sent`: the channel accepted it. */
export type SendStatus = (typeof SEND_STATUSES)[number]

/** Of two facts about the same number of attempts, the greater one came later; of equal ones, their times tell. */
const ORDER: Record<Exclude<SendStatus, 'sent'>, number> = {
  requested: 0,
  attempted: 1,
  refused: 2,
  uncertain: 3,
  parked: 4,
  failed: 4,
  redriven: 4,
}
/** An acceptance counts whatever was believed before and after. */
const SENT_RANK = 1_000_000

/** What was asked for. */
export interface RequestedVersion {
  requested_event_id: string
  requested_sequence: number
  kind: string | null
  template: string | null
  requested_by: string | null
}

/** How it stands. Total order by rank, time and event id: the same whatever was folded first. */
export interface Standing {
  standing_rank: number
  standing_event_id: string
  standing_sequence: number
  status: SendStatus
  standing_at: string
  attempts: number
  /** JSON text. */
  error: string | null
  message_id: string | null
  phone_number_id: string | null
  chat_id: string | null
}

/** A command as a lattice: a refused one is in no table of messages, and shows here. */
export interface SendState {
  company_id: string
  command_id: string
  /** Time of the earliest event about it. */
  first_at: string
  requested: RequestedVersion | undefined
  standing: Standing
}

/** The id of a row of `gateway.sends`: a rebuild gives the same one. */
export const sendRowId = (companyId: string, commandId: string): string =>
  deterministicId('gateway.sends', companyId, commandId)

/** Both must be about the same command. */
export const joinSends = (a: SendState, b: SendState): SendState => ({
  company_id: a.company_id,
  command_id: a.command_id,
  first_at: earlier(a.first_at, b.first_at),
  requested: firstRequested(a.requested, b.requested),
  standing: higher(a.standing, b.standing),
})

/** Times are texts of one form. */
const earlier = (a: string, b: string): string => (a < b ? a : b)

const firstRequested = (a: RequestedVersion | undefined, b: RequestedVersion | undefined) => {
  if (a === undefined || b === undefined) return a ?? b
  return isBefore(a.requested_event_id, a.requested_sequence, b.requested_event_id, b.requested_sequence) ? a : b
}

const higher = (a: Standing, b: Standing): Standing => {
  if (a.standing_rank !== b.standing_rank) return a.standing_rank > b.standing_rank ? a : b
  if (a.standing_at !== b.standing_at) return a.standing_at > b.standing_at ? a : b
  return isBefore(a.standing_event_id, a.standing_sequence, b.standing_event_id, b.standing_sequence) ? a : b
}

const isBefore = (idA: string, sequenceA: number, idB: string, sequenceB: number): boolean =>
  idA === idB ? sequenceA <= sequenceB : compareText(idA, idB) < 0

type SendEvent = { [T in SendType]: StoredEvent<T> }[SendType]

/** What one event of a command says. `command_id`, `event_id`: as they go into a key. */
export const sendSaid = (
  event: SendEvent,
  command_id: string,
  event_id: string,
  sequence: number,
  at: string,
): SendState => {
  const { data, type } = event
  const status = type.slice('send.'.length) as Exclude<SendStatus, 'sent'>
  const attempts = attemptsOf(event)
  return {
    company_id: event.companyid,
    command_id,
    first_at: at,
    requested: event.type === 'send.requested' ? requestedOf(event.data.command, event_id, sequence) : undefined,
    standing: {
      standing_rank: Math.min(attempts, 10_000) * 10 + ORDER[status],
      standing_event_id: event_id,
      standing_sequence: sequence,
      status,
      standing_at: at,
      attempts,
      error: 'error' in data ? storableJson(data.error) : null,
      message_id: null,
      phone_number_id: textOrNull(data.phone_number_id),
      chat_id: textOrNull(data.chat_id),
    },
  }
}

/** What a message says of the command it was sent for, or a receipt, of which there is no message: `message_id` null. */
export const sendAccepted = (
  event: StoredEvent<'message.created'> | StoredEvent<'receipt.sent'>,
  keys: { command_id: string; event_id: string; message_id: string | null; sequence: number },
  at: string,
): SendState => ({
  company_id: event.companyid,
  command_id: keys.command_id,
  first_at: at,
  requested: undefined,
  standing: {
    standing_rank: SENT_RANK,
    standing_event_id: keys.event_id,
    standing_sequence: keys.sequence,
    status: 'sent',
    standing_at: at,
    attempts: 0,
    error: null,
    message_id: keys.message_id,
    phone_number_id: textOrNull(event.data.phone_number_id),
    chat_id: textOrNull(event.data.chat_id),
  },
})

const attemptsOf = (event: SendEvent): number => {
  switch (event.type) {
    case 'send.requested':
      return 0
    case 'send.attempted':
    case 'send.refused':
    case 'send.uncertain':
      return event.data.attempt
    case 'send.parked':
    case 'send.failed':
    case 'send.redriven':
      return event.data.attempts
  }
}

const requestedOf = (command: unknown, requested_event_id: string, requested_sequence: number): RequestedVersion => {
  const { message, requested_by } = (command ?? {}) as { message?: unknown; requested_by?: unknown }
  const { type, kind, template_name } = (message ?? {}) as { type?: unknown; kind?: unknown; template_name?: unknown }
  return {
    requested_event_id,
    requested_sequence,
    kind: textOrNull(type === 'media' ? kind : type),
    template: textOrNull(template_name),
    requested_by: textOrNull(requested_by),
  }
}
