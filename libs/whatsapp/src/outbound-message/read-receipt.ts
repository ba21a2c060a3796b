/**
 * True for a body that sends nothing: it marks a message of the other side, and all before it, as read, and may show
 * that somebody is typing. Meta tells it from a message by its `status`.
 */
export const isReadReceipt = (body: Readonly<Record<string, unknown>>): boolean =>
  body.status !== undefined && body.status !== null
