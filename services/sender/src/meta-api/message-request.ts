import { metaErrors } from './meta-error.ts'

export type MessageRequest =
  /** `input`: the recipient as the caller wrote it, which the answer repeats. `body`: the rest, as Meta wants it. */
  | { kind: 'message'; input: string; body: Record<string, unknown> }
  /** A message of the other side is marked as read, with or without the sign that somebody is typing. */
  | { kind: 'receipt'; body: Record<string, unknown> }

/** What nobody writes as a recipient; the command takes no more. */
const RECIPIENT_MAX_CHARACTERS = 160

/**
 * Reads the body of Meta's `POST /{phone-number-id}/messages`. Only what concerns everybody: what a message of a type
 * needs is checked where it is prepared.
 *
 * @throws MetaError naming the parameter that is missing or wrong
 */
export const parseMessageRequest = (sent: unknown): MessageRequest => {
  if (typeof sent !== 'object' || sent === null || Array.isArray(sent))
    throw metaErrors.invalidParameter('The body must be a JSON object.')
  const { to, recipient, ...body } = sent as Record<string, unknown>
  if (body.messaging_product !== 'whatsapp')
    throw metaErrors.invalidParameter('The parameter messaging_product is required, and must be "whatsapp".')
  if (body.status !== undefined) return receiptOf(body)
  return {
    kind: 'message',
    // Of both, Meta takes the phone.
    input: recipientOf('to', to) ?? recipientOf('recipient', recipient) ?? missing('to'),
    // Meta's default.
    body: body.type === undefined ? { type: 'text', ...body } : body,
  }
}

const receiptOf = (body: Record<string, unknown>): MessageRequest => {
  if (body.status !== 'read') throw metaErrors.invalidValue('status', 'expected "read"')
  if (body.message_id === undefined) throw metaErrors.missingParameter('message_id')
  if (typeof body.message_id !== 'string' || body.message_id === '')
    throw metaErrors.invalidValue('message_id', 'expected the id of a message')
  return { kind: 'receipt', body }
}

const recipientOf = (name: string, value: unknown): string | undefined => {
  if (value === undefined || value === null) return undefined
  // A phone is often a number in the caller's JSON.
  const text = typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? String(value) : value
  if (typeof text === 'string' && text !== '' && text.length <= RECIPIENT_MAX_CHARACTERS) return text
  throw metaErrors.invalidValue(name, `expected a text of 1 to ${RECIPIENT_MAX_CHARACTERS} characters`)
}

const missing = (name: string): never => {
  throw metaErrors.missingParameter(name)
}
