import type { OutboundMessage } from '@cloudapi2/contracts'
import { fillTemplate, fillUnknownTemplate, type TemplateLayout } from '../template/fill-template.ts'
import { isReadReceipt } from './read-receipt.ts'

/** Whom a message goes to. `phone`: digits with country code; `user_id`: business-scoped user id, parent or not. */
export type Recipient = { phone: string } | { user_id: string }

export interface BuildOptions {
  to: Recipient
  /** Public link of an image: becomes the header of a template that has an image header, or whose layout is not known. */
  cover?: string
  /** Comes back in every status of the message; at most 512 characters. Takes the place of a raw body's own. */
  callbackData?: string
  /** What the template asks for. Without it the data is trusted: numbers for keys are positions, words are names. */
  template?: TemplateLayout & { language?: string }
}

/** The body of `POST /{phone-number-id}/messages`. */
export type MessageBody = Record<string, unknown>

type TemplateMessage = Extract<OutboundMessage, { type: 'template' }>
type MediaMessage = Extract<OutboundMessage, { type: 'media' }>

// Without a + Meta puts the business number's own country code in front.
const recipientOf = (to: Recipient): MessageBody =>
  'phone' in to ? { to: to.phone.startsWith('+') ? to.phone : `+${to.phone}` } : { recipient: to.user_id }

const templateOf = (
  { template_name, template_data, language }: TemplateMessage,
  { cover, template }: BuildOptions,
): MessageBody => {
  const covered = cover === undefined ? {} : { cover }
  const components =
    template === undefined
      ? fillUnknownTemplate(template_data, covered)
      : fillTemplate(template, template_data, covered)
  return {
    name: template_name,
    // As the template is written at Meta: it has `en_US` where others write `en-US`.
    language: { code: template?.language ?? language },
    ...(components.length > 0 ? { components } : {}),
  }
}

const mediaOf = ({ id, link, caption, filename }: MediaMessage): MessageBody => ({
  ...(id === undefined ? { link } : { id }),
  ...(caption === undefined ? {} : { caption }),
  ...(filename === undefined ? {} : { filename }),
})

const contentOf = (message: OutboundMessage, options: BuildOptions): MessageBody => {
  switch (message.type) {
    case 'text':
      return {
        type: 'text',
        text: {
          ...(message.preview_url === undefined ? {} : { preview_url: message.preview_url }),
          body: message.text,
        },
      }
    case 'template':
      return { type: 'template', template: templateOf(message, options) }
    case 'media':
      return { type: message.kind, [message.kind]: mediaOf(message) }
    case 'raw':
      return message.body
  }
}

/** Neither a recipient nor anything that would come back: the message it names tells both. */
const receiptOf = (body: MessageBody): MessageBody => ({ messaging_product: 'whatsapp', ...body })

/**
 * Makes Meta's request body out of the message of a command. A raw body with a `status` marks a message as read: it gets
 * no recipient, type or callback data.
 *
 * @throws TemplateDataMismatch when `template` is given and the data does not fit it
 * @throws TemplateDefinitionNeeded when it is not given, and the data is for more than the body
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
 */
export const buildMessage = (message: OutboundMessage, options: BuildOptions): MessageBody =>
  message.type === 'raw' && isReadReceipt(message.body)
    ? receiptOf(message.body)
    : {
        messaging_product: 'whatsapp',
        recipient_type: 'individual',
        ...contentOf(message, options),
        ...recipientOf(options.to),
        ...(options.callbackData === undefined ? {} : { biz_opaque_callback_data: options.callbackData }),
      }
