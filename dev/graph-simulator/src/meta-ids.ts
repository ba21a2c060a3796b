import { createHash } from 'node:crypto'
import type { Random } from './random.ts'

/** The bytes Meta's own ids decode to: a tag, the contact with its length, fixed bytes, hexadecimal digits, and a zero. */
const wamid = (contact: string, direction: number, digits: string): string => {
  const name = Buffer.from(contact.slice(0, 64), 'latin1')
  const bytes = Buffer.concat([
    Buffer.from([0x1d, 0x1a, name.length]),
    name,
    Buffer.from([0x15, 0x02, 0x00, direction, 0x18, digits.length]),
    Buffer.from(digits, 'latin1'),
    Buffer.from([0x00]),
  ])
  return `wamid.${bytes.toString('base64')}`
}

/** The id of a message the business sends. */
export const outboundMessageId = (contact: string, random: Random): string => wamid(contact, 0x11, random.hex(18))

/** The id of a message a person sends. */
export const inboundMessageId = (contact: string, random: Random): string => wamid(contact, 0x12, random.hex(20))

const digitsOf = (text: string, length: number): string => {
  const hash = createHash('sha256').update(text).digest()
  return Array.from({ length }, (_, index) => String((hash[index % hash.length] as number) % 10)).join('')
}

/** Enough of the numbering plan for a believable country; the code is opaque to everybody who reads it. */
const COUNTRIES: readonly [prefix: string, country: string][] = [
  ['34', 'ES'],
  ['44', 'GB'],
  ['49', 'DE'],
  ['33', 'FR'],
  ['351', 'PT'],
  ['52', 'MX'],
  ['55', 'BR'],
  ['91', 'IN'],
]

/** The business-scoped user id of a phone: always the same for one business account, another one for the next. */
export const userIdOf = (wabaId: string, phoneDigits: string): string => {
  const country = COUNTRIES.find(([prefix]) => phoneDigits.startsWith(prefix))?.[1] ?? 'US'
  return `${country}.${digitsOf(`${wabaId}:${phoneDigits}`, 20)}`
}

/** The id of the conversation of a number and a contact, as it stood in webhooks up to v23. */
export const conversationIdOf = (phoneNumberId: string, contact: string): string =>
  createHash('md5').update(`${phoneNumberId}:${contact}`).digest('hex')

/** The id of a template whose definition gives none. */
export const templateIdOf = (wabaId: string, name: string, language: string): string =>
  `7${digitsOf(`${wabaId}:${name}:${language}`, 14)}`
