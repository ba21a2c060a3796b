import { RECEIVED, STATUS_RANK } from '@cloudapi2/contracts'
import { compareText } from './storable.ts'

/**
 * What is known of one message, as a lattice: `joinMessages` is commutative, associative and idempotent, so that any
 * order, repetition and batching of the same events gives the same state. The rows of `gateway.message_states` and
 * `gateway.message_details` are this state, their upserts are this join in SQL, and the row of `external_messages`
 * follows from it.
 *
 * Wherever two events compete for a column, the winner is decided by what the events themselves say, ending with the
 * sequence in the log, which no two share. Nothing here reads a clock.
 */
export interface MessageState {
  company_id: string
  message_id: string
  /** The winning `message.created`; undefined while there was none: the state of a message that others spoke of first. */
  created: CreatedVersion | undefined
  /** The winning `message.edited`. */
  edit: EditVersion | undefined
  /** The earliest time of all `message.created`. */
  created_at: string | undefined
  /** The highest rank of all statuses seen, the messages' own included; -1: none that moves. */
  status_rank: number
  /** The earliest deletion; final. */
  deleted_at: string | undefined
  /** The latest time of all events. */
  latest_at: string
}

/** A `message.created` as columns. `contact` … `errors` are JSON text. */
export interface CreatedVersion {
  created_rank: number
  created_event_id: string
  /** Where the event is in the log; of an event stored twice, the first. */
  created_sequence: number
  row_id: string
  channel: string
  direction: string
  phone_number_id: string | null
  chat_id: string | null
  sender_phone: string | null
  kind: string
  text: string | null
  /** What `external_messages.message` says. */
  message: string
  own_status: string
  origin: string | null
  command_id: string | null
  responsible_email: string | null
  assigned_to_id: string | null
  chat_url: string | null
  contact: string | null
  context: string | null
  reaction: string | null
  media: string | null
  template: string | null
  errors: string | null
}

export interface EditVersion {
  edit_time: string
  edit_event_id: string
  edit_sequence: number
  edit_kind: string
  edit_text: string | null
  edit_message: string
  edit_media: string | null
}

/** What the channel sends in place of a message whose content comes later, under the same id. */
export const PLACEHOLDER_KIND = 'media_placeholder'

/**
 * Which of several `message.created` for one id counts: the real one before the placeholder, what we sent ourselves
 * (it carries the command and what its sender wanted the row to say) before what the channel tells us of it.
 */
export const createdRank = (kind: string, direction: string): number => {
  if (kind === PLACEHOLDER_KIND) return 0
  return direction === 'outbound' ? 2 : 1
}

/** `message` of a row: the text, or what kind of thing it is when it has none. */
export const messageText = (kind: string, text: string | null): string =>
  text === null || text === '' ? `[${kind}]` : text

const winningCreated = (a: CreatedVersion, b: CreatedVersion): CreatedVersion => {
  if (a.created_rank !== b.created_rank) return a.created_rank > b.created_rank ? a : b
  const order = compareText(a.created_event_id, b.created_event_id)
  if (order !== 0) return order < 0 ? a : b
  return a.created_sequence <= b.created_sequence ? a : b
}

const winningEdit = (a: EditVersion, b: EditVersion): EditVersion => {
  if (a.edit_time !== b.edit_time) return a.edit_time > b.edit_time ? a : b
  const order = compareText(a.edit_event_id, b.edit_event_id)
  if (order !== 0) return order > 0 ? a : b
  return a.edit_sequence <= b.edit_sequence ? a : b
}

const join = <T>(a: T | undefined, b: T | undefined, winner: (a: T, b: T) => T): T | undefined => {
  if (a === undefined) return b
  return b === undefined ? a : winner(a, b)
}

const earlier = (a: string, b: string): string => (a <= b ? a : b)
const later = (a: string, b: string): string => (a >= b ? a : b)

/** Both must be about the same message. */
export const joinMessages = (a: MessageState, b: MessageState): MessageState => ({
  company_id: a.company_id,
  message_id: a.message_id,
  created: join(a.created, b.created, winningCreated),
  edit: join(a.edit, b.edit, winningEdit),
  created_at: join(a.created_at, b.created_at, earlier),
  status_rank: Math.max(a.status_rank, b.status_rank),
  deleted_at: join(a.deleted_at, b.deleted_at, earlier),
  latest_at: later(a.latest_at, b.latest_at),
})

/** The statuses that move a message, by rank. */
export const STATUS_OF_RANK: readonly string[] = Object.entries(STATUS_RANK)
  .sort(([, a], [, b]) => a - b)
  .map(([status]) => status)

/** A row of `public.external_messages`, times as canonical text. */
export interface ExternalMessage {
  id: string
  message: string
  sender_phone: string | null
  responsible_email: string | null
  last_message_uid: string
  last_message_timestamp: string
  from_me: boolean
  status: string
  created_at: string
  updated_at: string
  is_deleted: boolean
  chat_url: string | null
  chat_id: string | null
  assigned_to_id: string | null
  company_id: string
}

/**
 * The row a state stands for, as long as no other application has changed it; undefined while the message itself has
 * not come.
 */
export const externalMessage = (state: MessageState): ExternalMessage | undefined => {
  const { created, created_at } = state
  if (created === undefined || created_at === undefined) return undefined
  return {
    id: created.row_id,
    message: state.edit?.edit_message ?? created.message,
    sender_phone: created.sender_phone,
    responsible_email: created.responsible_email,
    last_message_uid: state.message_id,
    last_message_timestamp: state.latest_at,
    from_me: created.direction !== 'inbound',
    status: currentStatus(created, state.status_rank),
    created_at,
    updated_at: state.latest_at,
    is_deleted: state.deleted_at !== undefined,
    chat_url: created.chat_url,
    chat_id: created.chat_id,
    assigned_to_id: created.assigned_to_id,
    company_id: state.company_id,
  }
}

const currentStatus = (created: CreatedVersion, rank: number): string => {
  if (created.direction === 'inbound') return RECEIVED
  return STATUS_OF_RANK[rank] ?? created.own_status
}
