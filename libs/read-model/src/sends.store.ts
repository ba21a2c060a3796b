import type { Pool } from 'pg'
import type { Cursor } from './cursor.ts'
import { conditions, pageOf, time } from './list-query.ts'
import type { SendStatus } from './send-state.ts'

/** A command as the read API shows it. Times are RFC 3339, UTC. Absent values are null. */
export interface Send {
  id: string
  command_id: string
  company_id: string
  /** `sent`: the channel accepted it, as `message_id`. */
  status: SendStatus
  /** The error of the latest refusal, failure or unknown outcome, as in the event; null once it was sent. */
  error: unknown
  /** Calls to the channel, as far as they are told; null once it was sent. */
  attempts: number | null
  message_id: string | null
  /** `text`, `template`, `image`, …; `raw` for a body of the channel's own. */
  kind: string | null
  template: string | null
  phone_number_id: string | null
  chat_id: string | null
  requested_by: string | null
  requested_at: string
  /** Time of the event that `status` comes from. */
  updated_at: string
}

export interface SendFilter {
  companyId: string
  status?: SendStatus
  chatId?: string
  phoneNumberId?: string
  /** Requested at this time or later. */
  since?: Date
  /** Requested before this time. */
  until?: Date
  /** 1 to 200. */
  limit: number
  after?: Cursor
}

export interface SendQueries {
  /** Newest first, by request: a command keeps its place in the list, whatever happens to it later. */
  list: (filter: SendFilter) => Promise<{ sends: Send[]; nextCursor: string | undefined }>
}

export const createSendQueries = (pool: Pool): SendQueries => ({
  list: async (filter) => {
    const { and, after, parameter, values, where } = conditions()
    and((p) => `company_id = ${p}`, filter.companyId)
    and((p) => `status = ${p}`, filter.status)
    and((p) => `chat_id = ${p}`, filter.chatId)
    and((p) => `phone_number_id = ${p}`, filter.phoneNumberId)
    and((p) => `first_at >= ${p}::timestamptz`, filter.since?.toISOString())
    and((p) => `first_at < ${p}::timestamptz`, filter.until?.toISOString())
    after('first_at', 'id', filter.after)
    const { rows } = await pool.query<Send & { place?: string }>(
      `select id, command_id, company_id, status, error, case when status = 'sent' then null else attempts end as attempts,
        message_id, kind, template, phone_number_id, chat_id, requested_by, ${time('first_at')} as requested_at,
        ${time('standing_at')} as updated_at, ${time('first_at', 'US')} as place
      from gateway.sends where ${where()} order by first_at desc, id desc limit ${parameter(filter.limit + 1)}`,
      values,
    )
    const { page, nextCursor } = pageOf(rows, filter.limit)
    return { sends: page, nextCursor }
  },
})
