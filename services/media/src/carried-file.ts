import { deterministicId, type GatewayEvent } from '@cloudapi2/contracts'

/** A file that a message carries, as the message tells of it. */
export interface CarriedFile {
  companyId: string
  channel: string
  messageId: string
  mediaId: string
  /** Of the message: `image`, `document`, … */
  kind: string
  phoneNumberId?: string
  filename?: string
  claimedMimeType?: string
  /** As the channel wrote it. */
  claimedSha256?: string
  /** When the message was sent, milliseconds since 1970: the channel keeps its file for seven days from then. */
  sentAt: number
}

/** What somebody sent to the company, or the company from its own phone. What this gateway sent came from its caller. */
const FETCHED = new Set(['inbound', 'echo'])

/** The file that a message carries to us; undefined for every other event. */
export const carriedFile = (event: GatewayEvent): CarriedFile | undefined => {
  if (event.type !== 'message.created' || !FETCHED.has(event.data.direction)) return undefined
  const { message_id, kind, phone_number_id, media } = event.data
  if (media?.id === undefined || media.id === '') return undefined
  return {
    companyId: event.companyid,
    channel: event.channel,
    messageId: message_id,
    mediaId: media.id,
    kind,
    sentAt: Date.parse(event.time),
    ...(phone_number_id === undefined ? {} : { phoneNumberId: phone_number_id }),
    ...(media.filename === undefined ? {} : { filename: media.filename }),
    ...(media.mime_type === undefined ? {} : { claimedMimeType: media.mime_type }),
    ...(media.sha256 === undefined ? {} : { claimedSha256: media.sha256 }),
  }
}

/** A media id as part of a key: itself, as the channel's ids are digits; what would not fit into a key by a name for it. */
export const mediaKey = (mediaId: string): string =>
  /^[A-Za-z0-9_-]{1,128}$/.test(mediaId) ? mediaId : deterministicId('media', mediaId)

/** Meta keeps what webhooks name for seven days. */
export const KEPT_FOR_MS = 7 * 24 * 3_600_000
