/** How far back a company's rows go: whatever happened before this was removed on purpose. A lattice: the latest counts. */
export interface RetentionState {
  company_id: string
  /** RFC 3339, UTC, milliseconds. */
  before: string
}

/** Both must be about the same company. */
export const joinRetention = (a: RetentionState, b: RetentionState): RetentionState => (a.before >= b.before ? a : b)

/** Watermarks are full hours, so that what a second run finds is told under the same one, and few events tell of it. */
const STEP_MS = 3_600_000
const DAY_MS = 86_400_000

/**
 * The moment before which a company's rows go.
 *
 * @param nowMs milliseconds since 1970
 * @param retentionDays days a row is kept at least; it goes within the hour after them
 * @returns RFC 3339, UTC, a full hour
 */
export const retentionWatermark = (nowMs: number, retentionDays: number): string => {
  const ms = Math.floor((nowMs - retentionDays * DAY_MS) / STEP_MS) * STEP_MS
  return new Date(ms).toISOString()
}

/** What a run removed. `others`: traces that belong to no message here, such as a status of one that is gone. */
export interface Removed {
  /** Messages, each with all its rows. */
  messages: number
  sends: number
  contacts: number
  /** Files that the removed messages carried. */
  media: number
  others: number
}

export const NOTHING_REMOVED: Removed = { messages: 0, sends: 0, contacts: 0, media: 0, others: 0 }

export const isAnything = (removed: Removed): boolean => Object.values(removed).some((count) => count > 0)

export const addRemoved = (a: Removed, b: Removed): Removed => ({
  messages: a.messages + b.messages,
  sends: a.sends + b.sends,
  contacts: a.contacts + b.contacts,
  media: a.media + b.media,
  others: a.others + b.others,
})
