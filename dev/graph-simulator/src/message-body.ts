import { type GraphRefusal, invalidParameter, invalidValue, missingParameter } from './graph-refusal.ts'
import { isObject, type JsonObject, objectsOf, textOf } from './json.ts'
import { checkTemplate } from './template-message.ts'
import type { Template } from './tenants.ts'

/** Whom a message is for; `input` is what the caller wrote, `id` what Meta makes of it. */
export type Recipient = { kind: 'phone' | 'user' | 'group'; input: string; id: string }

export type SendRequest = {
  type: string
  recipient: Recipient
  callbackData: string | undefined
  /** Price category: the template's, else `service`. */
  category: string
}

const TEXT_MAX = 4096
const CAPTION_MAX = 1024
const CALLBACK_DATA_MAX = 512
const MEDIA = ['image', 'video', 'audio', 'document', 'sticker']
const TYPES = ['text', 'template', 'interactive', 'location', 'contacts', 'reaction', ...MEDIA]

const lengthOf = (text: string): number => [...text].length

/** `+`, digits, spaces, hyphens, dots and brackets; E.164 has 15 digits at most. */
const phoneDigits = (input: string): string | undefined => {
  if (!/^\+?[\d\s().-]+$/.test(input)) return undefined
  const digits = input.replace(/\D/g, '')
  return digits.length >= 7 && digits.length <= 15 ? digits : undefined
}

const recipientOf = (body: JsonObject, type: string): Recipient | GraphRefusal => {
  const to = typeof body.to === 'number' ? String(body.to) : textOf(body.to)
  const user = textOf(body.recipient)
  if (body.recipient_type === 'group')
    return to
      ? { kind: 'group', input: to, id: to }
      : missingParameter(`Parameter 'to' is mandatory for type '${type}'`)
  // With both, `to` wins.
  if (to) {
    const digits = phoneDigits(to)
    return digits ? { kind: 'phone', input: to, id: digits } : invalidValue('to')
  }
  if (!user) return missingParameter(`Parameter 'to' is mandatory for type '${type}'`)
  return /^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$/.test(user)
    ? { kind: 'user', input: user, id: user }
    : invalidValue('recipient')
}

const checkContent = (type: string, content: unknown): GraphRefusal | undefined => {
  if (type === 'contacts')
    return objectsOf(content).length > 0
      ? undefined
      : missingParameter("Parameter 'contacts' is mandatory for type 'contacts'")
  if (!isObject(content)) return missingParameter(`Parameter '${type}' is mandatory for type '${type}'`)
  if (type === 'text') {
    const text = textOf(content.body)
    if (text === undefined) return missingParameter("Parameter 'body' is mandatory for type 'text'")
    return text.trim() === '' || lengthOf(text) > TEXT_MAX ? invalidValue('text.body') : undefined
  }
  if (MEDIA.includes(type)) {
    if (!textOf(content.id) && !textOf(content.link))
      return missingParameter(`One of 'id' or 'link' is mandatory for type '${type}'`)
    return lengthOf(textOf(content.caption) ?? '') > CAPTION_MAX ? invalidValue(`${type}.caption`) : undefined
  }
  if (type === 'reaction' && !textOf(content.message_id))
    return missingParameter("Parameter 'message_id' is mandatory for type 'reaction'")
  if (type === 'location' && !(content.latitude !== undefined && content.longitude !== undefined))
    return missingParameter("Parameters 'latitude' and 'longitude' are mandatory for type 'location'")
  if (type === 'interactive' && !(textOf(content.type) && isObject(content.action)))
    return missingParameter("Parameters 'type' and 'action' are mandatory for type 'interactive'")
  return undefined
}

/** Marks a message of the contact as read; it sends nothing. */
export const isReadReceipt = (body: unknown): body is JsonObject => isObject(body) && body.status === 'read'

/** @returns undefined when the receipt is in order */
export const checkReadReceipt = (body: JsonObject): GraphRefusal | undefined => {
  if (body.messaging_product !== 'whatsapp') return invalidParameter('The parameter messaging_product is required.')
  return textOf(body.message_id) ? undefined : missingParameter("Parameter 'message_id' is mandatory")
}

/**
 * Checks the body of `POST /{phone-number-id}/messages` in Meta's order: envelope, recipient, type, content.
 *
 * @param templates those of the business account
 * @returns what is to be sent, or what Meta would answer
 */
export const checkSend = (
  body: unknown,
  templates: readonly Template[],
): { send: SendRequest } | { refusal: GraphRefusal } => {
  if (!isObject(body)) return { refusal: invalidParameter('The body is not a JSON object.') }
  if (body.messaging_product === undefined)
    return { refusal: invalidParameter('The parameter messaging_product is required.') }
  if (body.messaging_product !== 'whatsapp')
    return { refusal: invalidParameter('Param messaging_product must be one of {WHATSAPP}.') }
  const type = body.type === undefined ? 'text' : textOf(body.type)?.toLowerCase()
  if (type === undefined || !TYPES.includes(type)) return { refusal: invalidValue('type') }
  const recipient = recipientOf(body, type)
  if ('error' in recipient) return { refusal: recipient }
  const callbackData = textOf(body.biz_opaque_callback_data)
  if (callbackData !== undefined && callbackData.length > CALLBACK_DATA_MAX)
    return { refusal: invalidValue('biz_opaque_callback_data') }
  const refusal = type === 'template' && isObject(body.template) ? undefined : checkContent(type, body[type])
  if (refusal) return { refusal }
  if (type !== 'template') return { send: { type, recipient, callbackData, category: 'service' } }
  const checked = checkTemplate(body.template as JsonObject, templates)
  if ('refusal' in checked) return checked
  return { send: { type, recipient, callbackData, category: checked.template.category.toLowerCase() } }
}
