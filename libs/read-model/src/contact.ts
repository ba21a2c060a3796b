import type { Contact } from '@cloudapi2/contracts'
import { compareText, storableText } from './storable.ts'

/** What is known of a contact, column by column, each with the event time it was said at. */
export const CONTACT_FIELDS = ['phone', 'wa_id', 'user_id', 'parent_user_id', 'username', 'name'] as const
export type ContactField = (typeof CONTACT_FIELDS)[number]

interface Said {
  value: string
  at: string
}

/**
 * A contact as a lattice. Each column is the value said last, by event time (of two at the same time, the greater text),
 * on its own: a later event that leaves a column out says nothing about it, and joining whole rows by time would then
 * depend on how the events were batched.
 */
export interface ContactState {
  company_id: string
  /** Phone digits, else the channel's user id: the `chat_id` of the conversation with it. */
  contact_key: string
  said: Partial<Record<ContactField, Said>>
  /** Latest time the contact itself did something; undefined when it never has. */
  last_seen: string | undefined
}

const lastSaid = (a: Said | undefined, b: Said): Said => {
  if (a === undefined) return b
  if (a.at !== b.at) return a.at > b.at ? a : b
  return compareText(a.value, b.value) >= 0 ? a : b
}

/** Both must be about the same contact. */
export const joinContacts = (a: ContactState, b: ContactState): ContactState => {
  const said = { ...a.said }
  for (const field of CONTACT_FIELDS) {
    const other = b.said[field]
    if (other !== undefined) said[field] = lastSaid(said[field], other)
  }
  const last_seen =
    a.last_seen === undefined || (b.last_seen !== undefined && b.last_seen > a.last_seen) ? b.last_seen : a.last_seen
  return { company_id: a.company_id, contact_key: a.contact_key, said, last_seen }
}

/** The digits of a text; undefined when it has none. */
export const digitsOf = (text: unknown): string | undefined => {
  if (typeof text !== 'string') return undefined
  const digits = text.replace(/\D/g, '')
  return digits === '' ? undefined : digits
}

/**
 * What an event says about its contact.
 *
 * @returns undefined when it names nobody
 */
export const contactSaid = (
  company_id: string,
  contact: Contact,
  at: string,
  isActing: boolean,
): ContactState | undefined => {
  const phone = digitsOf(contact.phone)
  const contact_key = phone ?? (contact.user_id === undefined ? undefined : storableText(contact.user_id))
  if (contact_key === undefined || contact_key === '') return undefined
  const said: ContactState['said'] = {}
  for (const field of CONTACT_FIELDS) {
    const value = field === 'phone' ? phone : contact[field]
    if (typeof value === 'string' && value !== '') said[field] = { value: storableText(value), at }
  }
  return { company_id, contact_key, said, last_seen: isActing ? at : undefined }
}
