import { z } from 'zod'
import {
  absent,
  bool,
  charactersOf,
  constant,
  expected,
  httpUrl,
  id,
  listOf,
  numberWithin,
  object,
  optional,
  text,
} from './field-schemas.ts'

/**
 * The free-form kinds of a message, each the object that bears its kind's name.
 *
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
 */

export const CAPTION_MAX = 1_024
const TEXT_MAX = 4_096
const CONTACTS_MAX = 257

export const textContent = object({ body: text({ max: TEXT_MAX }), preview_url: optional(bool) })

const fileShape = { id: optional(id), link: optional(httpUrl) }
type File = { id?: unknown; link?: unknown }

const hasOneSource = ({ id, link }: File): boolean =>
  ((id ?? undefined) !== undefined) !== ((link ?? undefined) !== undefined)
const ONE_SOURCE = 'required: expected exactly one of id and link'

/** A file where it takes nothing but itself, such as in a header. */
export const file = object(fileShape).refine(hasOneSource, ONE_SOURCE)

const caption = optional(text({ min: 0, max: CAPTION_MAX }))
const noCaption = absent('only image, video and document take a caption')
const noVoice = absent('only audio can be a voice message')

const media = (shape: z.ZodRawShape) => object({ ...fileShape, ...shape }).refine(hasOneSource, ONE_SOURCE)

export const image = media({ caption, voice: noVoice })
export const video = media({ caption, voice: noVoice })
export const document = media({ caption, voice: noVoice, filename: optional(text()) })
export const audio = media({ caption: noCaption, voice: optional(bool) })
export const sticker = media({ caption: noCaption, voice: noVoice })

const place = z.string(expected('a text'))
export const location = object({
  latitude: numberWithin(-90, 90),
  longitude: numberWithin(-180, 180),
  name: optional(place),
  address: optional(place),
})

const NAME_PARTS = ['first_name', 'last_name', 'middle_name', 'suffix', 'prefix'] as const
const line = optional(z.string(expected('a text')))
const entries = (shape: z.ZodRawShape) => optional(z.array(object(shape), expected('a list')))

const contact = object({
  name: object({
    formatted_name: text(),
    ...Object.fromEntries(NAME_PARTS.map((part) => [part, line])),
  }).refine(
    (name) => NAME_PARTS.some((part) => typeof name[part] === 'string' && name[part] !== ''),
    `required: expected one of ${NAME_PARTS.join(', ')} beside formatted_name`,
  ),
  phones: entries({ phone: line, type: line, wa_id: line }),
  emails: entries({ email: line, type: line }),
  urls: entries({ url: line, type: line }),
  addresses: entries({
    street: line,
    city: line,
    state: line,
    zip: line,
    country: line,
    country_code: line,
    type: line,
  }),
  org: optional(object({ company: line, department: line, title: line })),
  birthday: optional(
    z.string(expected('a date such as 2012-05-04')).regex(/^\d{4}-\d{2}-\d{2}$/, 'expected a date such as 2012-05-04'),
  ),
})
export const contacts = listOf(contact, { min: 1, max: CONTACTS_MAX, what: 'contacts' })

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
/** Also those that Unicode has only reserved so far: an emoji newer than this software is one. */
const EMOJI = /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u
/** No emoji is longer; and nothing long is taken apart to find that out. */
const EMOJI_MAX = 32

const isEmoji = (value: string): boolean =>
  charactersOf(value) <= EMOJI_MAX && EMOJI.test(value) && [...graphemes.segment(value)].length === 1

export const reaction = object({
  message_id: text(),
  emoji: z
    .string(expected('one emoji, or an empty text to take the reaction back'))
    .refine(
      (value) => value === '' || isEmoji(value),
      'expected one emoji, or an empty text to take the reaction back',
    ),
})

/** `POST /{phone-number-id}/messages` as a receipt: a message of the other side was read, and somebody may be typing. */
export const readReceipt = object({
  messaging_product: constant('whatsapp').optional(),
  status: constant('read'),
  message_id: text({ max: 512 }),
  typing_indicator: optional(object({ type: constant('text') })),
})
