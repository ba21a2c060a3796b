import type { ChannelError, Media, MessageCreatedData } from '@cloudapi2/contracts'
import { asId, asNumber, asObject, asText, isEmpty, type JsonObject } from '../json-values.ts'

const MEDIA_KINDS = new Set(['image', 'video', 'audio', 'document', 'sticker'])

/** The title of what was tapped, or the body of a form; other answers (calls, payments, later ones) have no text. */
const interactiveText = (interactive: JsonObject | undefined): string | undefined => {
  const type = interactive?.type
  if (type === 'button_reply' || type === 'list_reply') return asText(asObject(interactive?.[type])?.title)
  if (type === 'nfm_reply') return asText(asObject(interactive?.nfm_reply)?.body)
  return undefined
}

/** What a message says in words: text, caption, or the title of what was tapped. */
export const textOf = (kind: string, message: JsonObject): string | undefined => {
  const content = asObject(message[kind])
  switch (kind) {
    case 'text':
    case 'system':
      return asText(content?.body)
    case 'button':
    case 'order':
      return asText(content?.text)
    case 'interactive':
      return interactiveText(content)
    default:
      return asText(content?.caption)
  }
}

/** The file a message carries; a kind Meta adds later counts as one when it names a MIME type. */
export const mediaOf = (kind: string, message: JsonObject): Media | undefined => {
  const content = asObject(message[kind])
  if (content === undefined || !(MEDIA_KINDS.has(kind) || content.mime_type !== undefined)) return undefined
  const media: Media = {}
  const id = asId(content.id)
  const mimeType = asText(content.mime_type)
  const sha256 = asText(content.sha256)
  const filename = asText(content.filename)
  const url = asText(content.url)
  if (id !== undefined) media.id = id
  if (mimeType !== undefined) media.mime_type = mimeType
  if (sha256 !== undefined) media.sha256 = sha256
  if (filename !== undefined) media.filename = filename
  if (typeof content.voice === 'boolean') media.voice = content.voice
  if (typeof content.animated === 'boolean') media.animated = content.animated
  if (url !== undefined) media.url = url
  return isEmpty(media) ? undefined : media
}

/** Which message this one answers, and whether it was passed on. */
export const contextOf = (message: JsonObject): MessageCreatedData['context'] => {
  const sent = asObject(message.context)
  if (sent === undefined) return undefined
  const context: NonNullable<MessageCreatedData['context']> = {}
  const messageId = asId(sent.id)
  if (messageId !== undefined) context.message_id = messageId
  if (typeof sent.forwarded === 'boolean') context.forwarded = sent.forwarded
  if (typeof sent.frequently_forwarded === 'boolean') context.frequently_forwarded = sent.frequently_forwarded
  return isEmpty(context) ? undefined : context
}

/** A reaction; one that was taken back has no emoji, which Meta writes in two ways. */
export const reactionOf = (message: JsonObject): MessageCreatedData['reaction'] => {
  const sent = asObject(message.reaction)
  const messageId = asId(sent?.message_id)
  if (messageId === undefined) return undefined
  const emoji = asText(sent?.emoji)
  return emoji === undefined || emoji === '' ? { message_id: messageId } : { message_id: messageId, emoji }
}

/** Meta's errors, with the details from wherever this generation of the API puts them. */
export const errorsOf = (list: unknown): ChannelError[] | undefined => {
  if (!Array.isArray(list)) return undefined
  const errors: ChannelError[] = []
  for (const item of list) {
    const sent = asObject(item)
    if (sent === undefined) continue
    const error: ChannelError = {}
    const code = asNumber(sent.code)
    const title = asText(sent.title) ?? asText(sent.message)
    const details = asText(asObject(sent.error_data)?.details) ?? asText(sent.error_data) ?? asText(sent.details)
    if (code !== undefined) error.code = code
    if (title !== undefined) error.title = title
    if (details !== undefined) error.details = details
    errors.push(error)
  }
  return errors.length > 0 ? errors : undefined
}
