import type { Contact } from '@cloudapi2/contracts'
import { asObject, asPhone, asText, isEmpty, type JsonObject, storable } from '../json-values.ts'

/**
 * The `contacts[]` of a value, to look a sender or recipient up in. Any key of an entry can be missing: a user with a
 * username hides the phone number, older payloads have no user id.
 */
export interface ContactBook {
  entries: readonly unknown[]
  byUserId: Map<string, JsonObject>
  byPhone: Map<string, JsonObject>
}

export const contactBook = (contacts: unknown): ContactBook => {
  const book: ContactBook = {
    entries: Array.isArray(contacts) ? contacts : [],
    byUserId: new Map(),
    byPhone: new Map(),
  }
  for (const entry of book.entries) {
    const contact = asObject(entry)
    if (contact === undefined) continue
    const userId = asText(contact.user_id)
    const phone = asPhone(contact.wa_id)
    if (userId !== undefined && !book.byUserId.has(userId)) book.byUserId.set(userId, contact)
    if (phone !== undefined && !book.byPhone.has(phone)) book.byPhone.set(phone, contact)
  }
  return book
}

/**
 * What a message or status itself says about the person. `isOnlyOne`: the value holds one contact and one message, so
 * that the two belong together even where no id matches (Brazil and Mexico write a phone number in two ways).
 */
export interface Person {
  phone: string | undefined
  userId: string | undefined
  parentUserId: string | undefined
  isOnlyOne: boolean
}

/** The entry of the book about a person: by user id, then by phone, then because there is no other. */
export const findContact = (book: ContactBook, person: Person): JsonObject | undefined =>
  (person.userId === undefined ? undefined : book.byUserId.get(person.userId)) ??
  (person.phone === undefined ? undefined : book.byPhone.get(person.phone)) ??
  (person.isOnlyOne && book.entries.length === 1 ? asObject(book.entries[0]) : undefined)

/** Keys of an entry that are read one by one, or that would overwrite what we made of them. */
const TAKEN = new Set(['profile', 'wa_id', 'user_id', 'parent_user_id', 'phone', 'name', 'username', '__proto__'])

/** Values of keys we do not know, with every text in them fit to be stored. */
const storableJson = (value: unknown): unknown => {
  if (typeof value === 'string') return storable(value)
  if (Array.isArray(value)) return value.map(storableJson)
  const object = asObject(value)
  if (object === undefined) return value
  return Object.fromEntries(Object.entries(object).map(([key, member]) => [storable(key), storableJson(member)]))
}

/**
 * One contact out of Meta's entry and what the message says. The entry's `wa_id` is the user's phone key, even where the
 * message's own number is written differently.
 *
 * @returns undefined when nothing at all is known
 */
export const contactOf = (entry: JsonObject | undefined, person: Person): Contact | undefined => {
  const contact: Contact = {}
  const phone = asPhone(entry?.wa_id) ?? person.phone
  const userId = asText(entry?.user_id) ?? person.userId
  const parentUserId = asText(entry?.parent_user_id) ?? person.parentUserId
  if (phone !== undefined) contact.phone = phone
  if (userId !== undefined) contact.user_id = userId
  if (parentUserId !== undefined) contact.parent_user_id = parentUserId
  if (entry !== undefined) {
    const profile = asObject(entry.profile)
    const username = asText(profile?.username) ?? asText(entry.username)
    const name = asText(profile?.name) ?? asText(entry.name)
    // Meta's samples disagree about the leading @.
    if (username !== undefined) contact.username = username.startsWith('@') ? username.slice(1) : username
    if (name !== undefined) contact.name = name
    for (const key in entry) if (!TAKEN.has(key)) contact[storable(key)] = storableJson(entry[key])
  }
  return isEmpty(contact) ? undefined : contact
}

/** The conversation with one person: phone digits, else the channel's user id. */
export const chatWith = (contact: Contact | undefined): string | undefined => contact?.phone ?? contact?.user_id
