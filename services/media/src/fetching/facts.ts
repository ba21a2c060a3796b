import { eventId, type MediaFailedData, type MediaStoredData, newEvent } from '@cloudapi2/contracts'
import { eventPublication, type Publication } from '@cloudapi2/nats'
import type { CarriedFile } from '../carried-file.ts'
import type { Content } from '../store/media-store.ts'
import type { FailureReason } from './attempt.ts'

const about = ({ messageId, mediaId, kind, phoneNumberId, filename, sentAt }: CarriedFile) => ({
  message_id: messageId,
  media_id: mediaId,
  kind,
  message_at: new Date(sentAt).toISOString(),
  ...(phoneNumberId === undefined ? {} : { phone_number_id: phoneNumberId }),
  ...(filename === undefined ? {} : { filename }),
})

/** One per message and file, however often it is told: an attempt repeated after a crash tells the same fact. */
const envelope = <T extends 'media.stored' | 'media.failed'>(type: T, file: CarriedFile, now: number) => ({
  id: eventId(file.companyId, type, file.messageId, file.mediaId),
  source: '/media',
  type,
  subject: file.messageId,
  time: new Date(now).toISOString(),
  companyId: file.companyId,
  channel: file.channel,
  recordedTime: new Date(now).toISOString(),
})

export const mediaStored = (
  file: CarriedFile,
  content: Content & { mimeType: string; mismatched: string | undefined },
  now: number,
): Publication => {
  const data: MediaStoredData = {
    ...about(file),
    sha256: content.sha256,
    size_bytes: content.sizeBytes,
    mime_type: content.mimeType,
    ...(content.mismatched === undefined ? {} : { claimed_mime_type: content.mismatched }),
  }
  return eventPublication(newEvent({ ...envelope('media.stored', file, now), data }))
}

export const mediaFailed = (
  file: CarriedFile,
  failure: { reason: FailureReason; code?: number; details?: string },
  now: number,
): Publication => {
  const { reason, code, details } = failure
  const data: MediaFailedData = {
    ...about(file),
    reason,
    ...(code === undefined ? {} : { code }),
    ...(details === undefined ? {} : { details }),
  }
  return eventPublication(newEvent({ ...envelope('media.failed', file, now), data }))
}
