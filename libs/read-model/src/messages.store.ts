import type { Pool } from 'pg'
import type { Cursor } from './cursor.ts'
import { conditions, pageOf, time } from './list-query.ts'

/** A message as the read API shows it. Times are RFC 3339, UTC. Absent values are null. */
export interface Message {
  id: string
  company_id: string
  /** The channel's id (WhatsApp: wamid). */
  message_id: string
  message: string | null
  /** Null, like everything of the channel, for rows that other software inserted. */
  kind: string | null
  direction: 'inbound' | 'outbound' | 'echo' | null
  channel: string | null
  phone_number_id: string | null
  from_me: boolean
  status: string | null
  chat_id: string | null
  sender_phone: string | null
  created_at: string
  last_message_timestamp: string | null
  updated_at: string
  is_deleted: boolean
  responsible_email: string | null
  assigned_to_id: string | null
  chat_url: string | null
}

/** One status a message had. `participant`: in a group, whose. `errors`, `conversation`, `pricing` as in the event. */
export interface StatusEntry {
  status: string
  time: string
  participant: string | null
  errors: unknown
  conversation: unknown
  pricing: unknown
  event_id: string
  sequence: number
}

/** One event that speaks of a message: where the log has it. The payload stays there. */
export interface TimelineEntry {
  type: string
  time: string
  recorded_time: string
  sequence: number
  event_id: string
  /** For `status.updated`. */
  status: string | null
}

export interface MessageWithTimeline extends Message {
  /** What it said before any edit. */
  text: string | null
  contact: unknown
  context: unknown
  reaction: unknown
  media: unknown
  template: unknown
  errors: unknown
  command_id: string | null
  origin: string | null
  edited_at: string | null
  deleted_at: string | null
  /** By time. */
  statuses: StatusEntry[]
  /** By time, then sequence. */
  timeline: TimelineEntry[]
}

export interface MessageFilter {
  companyId: string
  chatId?: string
  status?: string
  direction?: 'inbound' | 'outbound' | 'echo'
  fromMe?: boolean
  phoneNumberId?: string
  /** Created at this time or later. */
  since?: Date
  /** Created before this time. */
  until?: Date
  /** 1 to 200. */
  limit: number
  after?: Cursor
}

export interface MessagePage {
  messages: Message[]
  /** Undefined at the end. */
  nextCursor: string | undefined
}

export interface MessageQueries {
  /** Newest first, by creation: a message keeps its place in the list, whatever happens to it later. */
  list: (filter: MessageFilter) => Promise<MessagePage>
  /** @param id the row's uuid, or the channel's message id */
  get: (companyId: string, id: string) => Promise<MessageWithTimeline | undefined>
  /**
   * The business number of the latest message exchanged with a phone, of whichever company.
   *
   * @param phone digits with country code
   */
  latestConversation: (phone: string) => Promise<{ company_id: string; phone_number_id: string } | undefined>
}

export const MAX_PAGE = 200

const MESSAGE = `e.id, e.company_id, e.last_message_uid as message_id, e.message, d.kind, d.direction, d.channel,
  d.phone_number_id, e.from_me, e.status, e.chat_id, e.sender_phone, ${time('e.created_at')} as created_at,
  ${time('e.last_message_timestamp')} as last_message_timestamp, ${time('e.updated_at')} as updated_at, e.is_deleted,
  e.responsible_email, e.assigned_to_id, e.chat_url`

const FROM = `from public.external_messages e
  left join gateway.message_details d on d.company_id = e.company_id and d.message_id = e.last_message_uid`

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export const createMessageQueries = (pool: Pool): MessageQueries => ({
  list: async (filter) => {
    const { text, values } = listQuery(filter)
    const { rows } = await pool.query<Message & { place?: string }>(text, values)
    const { page, nextCursor } = pageOf(rows, filter.limit)
    return { messages: page, nextCursor }
  },

  get: async (companyId, id) => {
    // A text with U+0000 is no id, and PostgreSQL would refuse the question.
    if (id.includes('\u0000')) return undefined
    const found = await pool.query<Omit<MessageWithTimeline, 'statuses' | 'timeline'>>({
      name: UUID.test(id) ? 'message_by_row' : 'message_by_uid',
      text: `select ${MESSAGE}, d.text, d.contact, d.context, d.reaction, d.media, d.template, d.errors, d.command_id,
          d.origin, ${time('d.edit_time')} as edited_at, ${time('s.deleted_at')} as deleted_at
        ${FROM} left join gateway.message_states s on s.company_id = e.company_id and s.message_id = e.last_message_uid
        where e.company_id = $1 and ${UUID.test(id) ? 'e.id = $2' : 'e.last_message_uid = $2'}`,
      values: [companyId, id],
    })
    const message = found.rows[0]
    if (message === undefined) return undefined
    const key = [companyId, message.message_id]
    const [statuses, timeline] = await Promise.all([
      pool.query<StatusEntry>({
        name: 'statuses_of_message',
        text: `select status, ${time('occurred_at')} as time, participant, errors, conversation,
            pricing, event_id, sequence::float8 as sequence
          from gateway.message_statuses where company_id = $1 and message_id = $2 order by occurred_at, sequence`,
        values: key,
      }),
      pool.query<TimelineEntry>({
        name: 'timeline_of_message',
        text: `select type, ${time('occurred_at')} as time, ${time('recorded_at')} as recorded_time,
            sequence::float8 as sequence, event_id, status
          from gateway.message_timeline where company_id = $1 and message_id = $2 order by occurred_at, sequence`,
        values: key,
      }),
    ])
    return { ...message, statuses: statuses.rows, timeline: timeline.rows }
  },

  latestConversation: async (phone) => {
    const { rows } = await pool.query<{ company_id: string; phone_number_id: string }>({
      name: 'latest_conversation',
      text: `select m.company_id, m.phone_number_id
        from gateway.contacts c cross join lateral (
          select e.company_id, e.created_at, e.id, d.phone_number_id
          from public.external_messages e
          join gateway.message_details d on d.company_id = e.company_id and d.message_id = e.last_message_uid
          where e.company_id = c.company_id and e.chat_id = c.contact_key and d.phone_number_id is not null
          order by e.created_at desc, e.id desc limit 1
        ) m
        where c.contact_key = $1
        order by m.created_at desc, m.id desc limit 1`,
      values: [phone],
    })
    return rows[0]
  },
})

const listQuery = (filter: MessageFilter): { text: string; values: unknown[] } => {
  const { and, after, parameter, values, where } = conditions()
  and((p) => `e.company_id = ${p}`, filter.companyId)
  and((p) => `e.chat_id = ${p}`, filter.chatId)
  and((p) => `e.status = ${p}`, filter.status)
  and((p) => `e.from_me = ${p}`, filter.fromMe)
  and((p) => `d.direction = ${p}`, filter.direction)
  and((p) => `d.phone_number_id = ${p}`, filter.phoneNumberId)
  and((p) => `e.created_at >= ${p}::timestamptz`, filter.since?.toISOString())
  and((p) => `e.created_at < ${p}::timestamptz`, filter.until?.toISOString())
  after('e.created_at', 'e.id', filter.after)
  return {
    text: `select ${MESSAGE}, ${time('e.created_at', 'US')} as place
      ${FROM} where ${where()} order by e.created_at desc, e.id desc limit ${parameter(filter.limit + 1)}`,
    values,
  }
}
