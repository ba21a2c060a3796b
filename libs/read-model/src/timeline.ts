/**
 * An event that speaks of a message: where in the log it is, and what it says of the message's status. Its whole payload
 * stays in the log. The history of statuses (`gateway.message_statuses`) is a view of these rows.
 */
export interface TimelineRow {
  company_id: string
  message_id: string
  event_id: string
  sequence: number
  type: string
  occurred_at: string
  recorded_at: string
  /** The status told, for `status.updated`; null for the others, like what follows. */
  status: string | null
  /** In a group, whose status it is. */
  participant: string | null
  /** JSON text, as `conversation` and `pricing`. */
  errors: string | null
  conversation: string | null
  pricing: string | null
  callback_data: string | null
}

/** One event stored twice (outside the window in which the log itself refuses repeats): its first place counts. */
export const joinTimelineRows = (a: TimelineRow, b: TimelineRow): TimelineRow => (a.sequence <= b.sequence ? a : b)
