import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/max'

/** Whom a message goes to. `phone`: digits with country code, no plus; `user_id`: the channel's own id of a person. */
export type Recipient = { phone: string } | { user_id: string }

/** How the conversation with a recipient is called everywhere: `chat_id`. */
export const chatIdOf = (recipient: Recipient): string => ('phone' in recipient ? recipient.phone : recipient.user_id)

/** Two letters of a country, a dot, an id; `ENT` between them for the id that a portfolio of businesses shares. */
const USER_ID = /^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$/

/** Separators that people write between digits. */
const PHONE = /^\+?[0-9 ()./\u00a0-]+$/

/**
 * Reads what a caller wrote as recipient.
 *
 * @param defaultCountry ISO 3166-1 alpha-2; whose national numbers may stand without their country code
 * @returns undefined when it is neither a person's id nor a phone number that can exist
 */
export const parseRecipient = (text: string, defaultCountry: string): Recipient | undefined => {
  const trimmed = text.trim()
  if (USER_ID.test(trimmed)) return { user_id: trimmed }
  if (!PHONE.test(trimmed)) return undefined
  const digits = trimmed.replace(/\D/g, '')
  if (trimmed.startsWith('+')) return international(digits)
  if (digits.startsWith('00')) return international(digits.slice(2))
  return national(trimmed, defaultCountry) ?? international(digits)
}

const national = (text: string, defaultCountry: string): Recipient | undefined => {
  if (!isSupportedCountry(defaultCountry)) return undefined
  const parsed = parsePhoneNumberFromString(text, defaultCountry as CountryCode)
  return parsed?.isValid() ? { phone: parsed.number.slice(1) } : undefined
}

const international = (digits: string): Recipient | undefined => {
  const isReal = [digits, ...withoutHabit(digits)].some((form) => parsePhoneNumberFromString(`+${form}`)?.isValid())
  return isReal ? { phone: digits } : undefined
}

/**
 * WhatsApp still knows some people by a form of their number that their country gave up: Mexico's with a 1 after 52,
 * Brazil's mobile numbers without the 9 after the area code. Such an id comes from a webhook and must be answerable.
 */
const withoutHabit = (digits: string): string[] => {
  if (/^521\d{10}$/.test(digits)) return [`52${digits.slice(3)}`]
  if (/^55\d{2}[6-9]\d{7}$/.test(digits)) return [`${digits.slice(0, 4)}9${digits.slice(4)}`]
  return []
}
