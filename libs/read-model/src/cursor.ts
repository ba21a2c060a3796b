/** A place in a list ordered by time and id. */
export interface Cursor {
  /** RFC 3339, UTC, with the microseconds that PostgreSQL orders by and a JavaScript date has not. */
  time: string
  /** uuid of the row. */
  id: string
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Opaque to callers: base64url. */
export const encodeCursor = ({ time, id }: Cursor): string => Buffer.from(`${time}|${id}`).toString('base64url')

/** @returns undefined for what was never a cursor of ours */
export const decodeCursor = (text: string): Cursor | undefined => {
  const [time, id, ...rest] = Buffer.from(text, 'base64url').toString().split('|')
  if (time === undefined || id === undefined || rest.length > 0) return undefined
  return TIME.test(time) && !time.startsWith('0000') && !Number.isNaN(Date.parse(time)) && UUID.test(id)
    ? { time, id }
    : undefined
}
