import { asObject, asTime, isEmpty, type JsonObject } from '../json-values.ts'
import { affordable, type Change, recordUnrecognised } from './change.ts'
import { type ContactBook, contactBook } from './contact.ts'
import { type MessageSource, recordMessage } from './message.ts'
import { recordNotification } from './notification.ts'
import { recordStatus } from './status.ts'

/** The fields whose values carry messages and statuses; all others are told as one notification per change. */
export const TRAFFIC_FIELDS: ReadonlySet<string> = new Set([
  'messages',
  'message_echoes',
  'smb_message_echoes',
  'history',
  'standby',
])

/** The lists of a value that hold facts. */
const LISTS = new Set(['messages', 'message_echoes', 'statuses', 'errors', 'user_actions', 'history'])

type TrafficChange = Change & { field: string }

/** How far one value has been read: what its lists held, and what is in it beside them. */
interface Reading {
  origin: MessageSource['origin']
  contacts: ContactBook
  itemCount: number
  leftovers: JsonObject
}

/** Tells the address, or whom the other keys are about: no fact of its own. */
const isDescription = (key: string, member: unknown): boolean =>
  key === 'messaging_product' ||
  (key === 'metadata' && asObject(member) !== undefined) ||
  (key === 'contacts' && Array.isArray(member))

const recordThread = (item: unknown, reading: Reading, change: TrafficChange) => {
  const thread = asObject(item)
  if (thread === undefined || !Array.isArray(thread.messages)) {
    reading.itemCount++
    return recordUnrecognised(change, 'a thread of the history without messages', item)
  }
  const context = asObject(thread.context) ?? {}
  const source: MessageSource = {
    direction: 'inbound',
    origin: 'history',
    contacts: reading.contacts,
    isOnlyOne: false,
    // The thread's own id is the phone number, where it has one.
    thread: context.wa_id === undefined && thread.id !== undefined ? { ...context, wa_id: thread.id } : context,
  }
  reading.itemCount += thread.messages.length
  for (const message of affordable(thread.messages, change.delivery, () => change))
    recordMessage(message, source, change)
}

/** One chunk of a chat history: threads of messages, or the reason why there are none. */
const recordHistory = (item: unknown, reading: Reading, change: TrafficChange) => {
  const chunk = asObject(item)
  if (chunk === undefined) return recordUnrecognised(change, 'a chunk of the history that is not an object', item)
  const within: Reading = { ...reading, itemCount: 0 }
  if (Array.isArray(chunk.threads))
    for (const thread of affordable(chunk.threads, change.delivery, () => change)) recordThread(thread, within, change)
  if (Array.isArray(chunk.errors))
    for (const error of affordable(chunk.errors, change.delivery, () => change)) {
      within.itemCount++
      recordNotification(change, 'error', error, undefined)
    }
  // A chunk may say no more than how far the synchronisation has come.
  if (within.itemCount === 0) recordNotification(change, 'change', item, undefined)
}

/** Records the items of one list of a value. @returns false when no such list is known */
const recordList = (key: string, list: readonly unknown[], reading: Reading, change: TrafficChange): boolean => {
  if (!LISTS.has(key)) return false
  const { origin, contacts } = reading
  const source = { origin, contacts, isOnlyOne: list.length === 1, thread: undefined }
  const items = affordable(list, change.delivery, () => change)
  switch (key) {
    case 'messages':
      for (const item of items) recordMessage(item, { ...source, direction: 'inbound' }, change)
      break
    case 'message_echoes':
      for (const item of items) recordMessage(item, { ...source, direction: 'echo' }, change)
      break
    case 'statuses':
      for (const item of items) recordStatus(item, source, change)
      break
    case 'errors':
      for (const item of items) recordNotification(change, 'error', item, undefined)
      break
    case 'user_actions':
      for (const item of items) recordNotification(change, 'user_action', item, asTime(asObject(item)?.timestamp))
      break
    case 'history':
      for (const item of items) recordHistory(item, reading, change)
      break
  }
  return true
}

/** Records the lists of a value, each by itself. */
const recordLists = (value: JsonObject, reading: Reading, change: TrafficChange) => {
  for (const key in value) {
    const member = value[key]
    if (member === null || isDescription(key, member)) continue
    if (Array.isArray(member) && recordList(key, member, reading, change)) reading.itemCount += member.length
    else reading.leftovers[key] = member
  }
}

// A null prototype, so that a key named __proto__ stays a key.
const nothingLeft = (): JsonObject => Object.create(null)

/**
 * Records everything in a change of a field that carries messages. What is in it beside the known lists is kept whole.
 *
 * @param raw the change as sent
 */
export const recordTraffic = (value: JsonObject, raw: unknown, change: TrafficChange) => {
  const contacts = contactBook(value.contacts)
  const origin = change.field === 'history' || change.field === 'standby' ? change.field : undefined
  const reading: Reading = { origin, contacts, itemCount: 0, leftovers: nothingLeft() }
  recordLists(value, reading, change)

  // The same lists one level deeper: copies of what another agent handles.
  const standby = asObject(reading.leftovers.standby)
  if (standby !== undefined) {
    const copies: Reading = {
      origin: 'standby',
      contacts: standby.contacts === undefined ? contacts : contactBook(standby.contacts),
      itemCount: 0,
      leftovers: nothingLeft(),
    }
    recordLists(standby, copies, change)
    reading.itemCount += copies.itemCount
    if (isEmpty(copies.leftovers)) delete reading.leftovers.standby
    else reading.leftovers.standby = copies.leftovers
  }

  if (reading.itemCount === 0) recordUnrecognised(change, 'a change with nothing in it that is known', raw)
  else if (!isEmpty(reading.leftovers))
    recordUnrecognised(change, 'parts of a change beside the known ones', reading.leftovers)
}
