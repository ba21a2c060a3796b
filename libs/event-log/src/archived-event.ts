import { deterministicId, isCompanyId } from '@cloudapi2/contracts'
import { binaryEvent, type EventData, jsonEvent, type RecordedEvent } from '@eventstore/db-client'
import type { ArchiveEntry } from './archive-writer.ts'
import type { LogEntry } from './event-log.ts'
import { ArchiveUnreadable } from './event-log-errors.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

const jsonObject = (body: Uint8Array): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(decoder.decode(body))
    return value !== null && typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined // it lies in EVENTS all the same, and is kept as it is
  }
}

/** The type of what names none. */
const UNTYPED = 'unreadable'

/** One event of EVENTS as the archive stores it. */
export const toArchived = ({ position, body, type }: ArchiveEntry, stream: string): EventData => {
  const data = jsonObject(body)
  const own = data?.id
  // The server takes UUIDs alone.
  const id = isCompanyId(own)
    ? own
    : typeof own === 'string'
      ? deterministicId('archived', stream, own)
      : deterministicId('archived at', stream, String(position))
  const told = type ?? (typeof data?.type === 'string' && data.type !== '' ? data.type : UNTYPED)
  const common = { id, type: told, metadata: { position } }
  return data === undefined ? binaryEvent({ ...common, data: Uint8Array.from(body) }) : jsonEvent({ ...common, data })
}

/** @throws ArchiveUnreadable */
export const positionOf = ({ metadata, streamId, revision }: RecordedEvent): number => {
  const position = (metadata as { position?: unknown } | undefined)?.position
  if (!Number.isSafeInteger(position)) throw new ArchiveUnreadable(streamId, revision)
  return position as number
}

/** @throws ArchiveUnreadable */
export const fromArchived = (event: RecordedEvent): LogEntry => ({
  position: positionOf(event),
  body: event.isJson ? Buffer.from(JSON.stringify(event.data)) : (event.data as Uint8Array),
})
