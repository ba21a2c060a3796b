import { decodeEvent, GatewayError, type GatewayEvent } from '@cloudapi2/contracts'
import type { LogEntry } from '@cloudapi2/event-log'
import { printable } from '../output/table.ts'

/** An event of the log, brought up to the current version of its type, or why this software cannot read it. */
export type ReadEntry =
  | { position: number; event: GatewayEvent }
  | { position: number; unreadable: { code: string; reason: string } }

export const readEntry = ({ position, body }: LogEntry): ReadEntry => {
  try {
    return { position, event: decodeEvent(body) }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return { position, unreadable: { code: error.code, reason: error.message } }
  }
}

const decoder = new TextDecoder()

/** The stored JSON, unchanged; a body that is none becomes a JSON text. */
const storedJson = ({ body }: LogEntry): string => {
  const text = decoder.decode(body)
  try {
    JSON.parse(text)
    // One event, one line, however it was written.
    return /[\r\n]/.test(text) ? JSON.stringify(JSON.parse(text)) : text
  } catch {
    return JSON.stringify(text)
  }
}

export interface JsonOptions {
  /** As it is stored, in place of brought up to the current version of its type. */
  asStored?: boolean
  /** With its position around it. */
  positions?: boolean
}

/** One event as a line of JSON; what this software cannot read, as it is stored. */
export const eventJson = (
  entry: LogEntry,
  { asStored = false, positions = false }: JsonOptions,
  read: ReadEntry | undefined = asStored ? undefined : readEntry(entry),
): string => {
  const json = !asStored && read !== undefined && 'event' in read ? JSON.stringify(read.event) : storedJson(entry)
  return positions ? `{"position":${entry.position},"event":${json}}` : json
}

/** What routing needs of a stored event of any version; undefined for what is none. */
export const routeOf = ({ body }: LogEntry): { companyId: string; channel: string; type: string } | undefined => {
  try {
    const { companyid, channel, type } = JSON.parse(decoder.decode(body)) as Record<string, unknown>
    return typeof companyid === 'string' && typeof channel === 'string' && typeof type === 'string'
      ? { companyId: companyid, channel, type }
      : undefined
  } catch {
    return undefined
  }
}

export interface LineOptions {
  /** Also texts, names and phone numbers. */
  showContent: boolean
}

/** One line for the eye: position, time, company, type, subject, and what matters. */
export const eventLine = (entry: ReadEntry, options: LineOptions): string => {
  const at = String(entry.position).padStart(8)
  if ('unreadable' in entry) return printable(`${at}  cannot be read: ${entry.unreadable.reason}`)
  const { recordedtime, companyid, type, subject } = entry.event
  const what = [...matters(entry.event), ...(options.showContent ? contents(entry.event) : [])]
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => (name === '' ? `${value}` : `${name}=${value}`))
  const columns = [at, recordedtime, companyid, type.padEnd(17), subject, what.join(' ')]
  return printable(columns.join('  ').trimEnd())
}

type Fact = readonly [name: string, value: string | number | undefined]

/** What tells this event from others of its type: no text, no name and no phone number. */
const matters = (event: GatewayEvent): Fact[] => {
  switch (event.type) {
    case 'message.created': {
      const { direction, kind, status, phone_number_id, command_id, template, media } = event.data
      return [
        ['', direction],
        ['', kind],
        ['', status],
        ['number', phone_number_id],
        ['template', template?.name],
        ['media', media?.id],
        ['command', command_id],
      ]
    }
    case 'message.edited':
      return [
        ['', event.data.direction],
        ['edit', event.data.edit_id],
      ]
    case 'message.deleted':
      return [
        ['', event.data.direction],
        ['deletion', event.data.delete_id],
      ]
    case 'status.updated': {
      const { status, errors, phone_number_id, command_id, pricing } = event.data
      return [
        ['', status],
        ['error', errors?.[0]?.code],
        ['number', phone_number_id],
        ['category', pricing?.category],
        ['command', command_id],
      ]
    }
    case 'account.notified':
      return [
        ['', event.data.field],
        ['', event.data.entity],
        ['number', event.data.phone_number_id],
      ]
    case 'webhook.unrecognised':
      return [
        ['', event.data.reason],
        ['field', event.data.field],
      ]
    case 'send.requested':
      return [['number', event.data.phone_number_id]]
    case 'send.attempted':
      return [
        ['attempt', event.data.attempt],
        ['number', event.data.phone_number_id],
      ]
    case 'send.refused':
      return [
        ['attempt', event.data.attempt],
        ['error', event.data.error.code],
        ['', event.data.error.title],
        ['again', event.data.retry_at],
      ]
    case 'send.uncertain':
      return [
        ['attempt', event.data.attempt],
        ['error', event.data.error.code],
        ['', event.data.error.title],
      ]
    case 'send.failed':
    case 'send.parked':
      return [
        ['attempts', event.data.attempts],
        ['error', event.data.error.code],
        ['', event.data.error.title],
      ]
    case 'send.redriven':
      return [
        ['letter', event.data.dead_letter],
        ['attempts', event.data.attempts],
      ]
    case 'receipt.sent':
      return [['message', event.data.message_id]]
    case 'number.paused':
      return [
        ['error', event.data.code],
        ['', event.data.title],
      ]
    case 'number.resumed':
      return [['by', event.data.by]]
    case 'media.stored':
      return [
        ['media', event.data.media_id],
        ['type', event.data.mime_type],
        ['bytes', event.data.size_bytes],
      ]
    case 'media.failed':
      return [
        ['media', event.data.media_id],
        ['', event.data.reason],
        ['error', event.data.code],
      ]
    case 'tenant.configured':
      return [['changed', event.data.changed.join(',') || undefined]]
    case 'tenant.removed':
      return []
    case 'retention.applied':
      return [
        ['before', event.data.before],
        ['messages', event.data.removed.messages],
        ['sends', event.data.removed.sends],
        ['media', event.data.removed.media],
      ]
    case 'audit.anchored':
      return [
        ['position', event.data.position],
        ['events', event.data.events],
        ['head', event.data.head.slice(0, 12)],
      ]
  }
}

/** What was written, and by whom. */
const contents = (event: GatewayEvent): Fact[] => {
  switch (event.type) {
    case 'message.created':
    case 'message.edited': {
      const { chat_id, sender_phone, contact, text } = event.data
      return [
        ['chat', chat_id],
        ['from', sender_phone],
        ['name', quoted(contact?.name)],
        ['text', quoted(text)],
      ]
    }
    case 'message.deleted':
      return [
        ['chat', event.data.chat_id],
        ['from', event.data.sender_phone],
      ]
    case 'status.updated':
      return [
        ['chat', event.data.chat_id],
        ['participant', event.data.participant],
      ]
    case 'send.requested':
    case 'send.attempted':
    case 'send.refused':
    case 'send.uncertain':
    case 'send.failed':
    case 'send.parked':
    case 'send.redriven':
    case 'receipt.sent':
      return [['chat', event.data.chat_id]]
    default:
      return []
  }
}

const quoted = (text: string | undefined): string | undefined => (text === undefined ? undefined : JSON.stringify(text))
