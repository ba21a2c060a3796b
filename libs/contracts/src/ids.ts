import { hash } from 'node:crypto'

/** The namespace of every id made here. Chosen once, at random; changing it would change every id of every event. */
const NAMESPACE = Buffer.from('6f2d0a0c9b5e4b7f8f0e5a1c3d7e9b42', 'hex')

/**
 * The UUID version 5 (RFC 9562 §5.5) of a list of parts: the same parts give the same id, for ever, on every machine.
 *
 * @param parts what makes the thing distinct, in a fixed order; absent parts are written as ''
 * @returns 36 characters, lower case
 */
export const deterministicId = (...parts: readonly string[]): string => {
  // Each part with its length in front, so that ("ab", "c") and ("a", "bc") differ whatever they contain.
  let name = ''
  for (const part of parts) name += name === '' ? `${part.length}:${part}` : `,${part.length}:${part}`
  // In one call: a Hash object for each id would cost more in the garbage collector than the hashing itself.
  const hex = hash('sha1', Buffer.concat([NAMESPACE, Buffer.from(name)]), 'hex')
  // Digits 12 and 16 tell version and variant.
  const variant = VARIANT[Number.parseInt(hex[16] as string, 16) & 3] as string
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const VARIANT = ['8', '9', 'a', 'b']

/**
 * The id of an event: of the company, the type, the thing it is about, and whatever else makes this fact distinct
 * (for a status: the status, its timestamp and the participant). A fact delivered twice has one id.
 */
export const eventId = (companyId: string, type: string, subject: string, ...distinct: readonly string[]): string =>
  deterministicId('event', companyId, type, subject, ...distinct)

/** The id of a row of `external_messages`: a rebuild gives the same one. */
export const messageRowId = (companyId: string, messageId: string): string =>
  deterministicId('external_messages', companyId, messageId)

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** True for a lower-case UUID of any version: the only form a company id has here, and safe as a token of a subject. */
export const isCompanyId = (text: unknown): text is string => typeof text === 'string' && UUID.test(text)
