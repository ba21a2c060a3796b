/**
 * The statuses that move a message, in their total order. A `failed` never hides a proven delivery
 * (docs/adr/0004-statuses-are-a-lattice.md).
 */
export const STATUS_RANK = { accepted: 0, sent: 1, failed: 2, delivered: 3, read: 4, played: 5 } as const

export type MovingStatus = keyof typeof STATUS_RANK

/** What an inbound message has for a status; it never moves. */
export const RECEIVED = 'received'

/** False for `deleted`, `warning` and whatever Meta adds later: kept in the history, they do not move the message. */
export const isMovingStatus = (status: string): status is MovingStatus => Object.hasOwn(STATUS_RANK, status)

/** The rank of a status; -1 when it does not move a message. */
export const statusRank = (status: string): number => (isMovingStatus(status) ? STATUS_RANK[status] : -1)

/**
 * The join of two statuses of one message: commutative, associative and idempotent, so that any order and any
 * repetition of the same statuses ends the same. A status that does not move a message gives way to any that does.
 */
export const joinStatus = (a: string, b: string): string => {
  const difference = statusRank(a) - statusRank(b)
  if (difference !== 0) return difference > 0 ? a : b
  return a >= b ? a : b // neither moves the message: any fixed choice will do
}
