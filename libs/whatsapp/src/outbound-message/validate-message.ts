import type { InvalidField } from '@cloudapi2/contracts'
import { z } from 'zod'
import {
  audio,
  contacts,
  document,
  image,
  location,
  reaction,
  readReceipt,
  sticker,
  textContent,
  video,
} from './content-schemas.ts'
import { absent, bool, constant, expected, isObject, object, oneOf, optional, text } from './field-schemas.ts'
import { interactiveContent } from './interactive-schema.ts'
import { isReadReceipt } from './read-receipt.ts'
import { templateContent } from './template-schema.ts'

const CALLBACK_DATA_MAX = 512
/** So many faults say enough, and a refusal stays small however wrong a body is. */
const MAX_FAULTS = 20

/** What stands beside the content, whatever its kind. */
const common = {
  messaging_product: constant('whatsapp').optional(),
  recipient_type: z.enum(['individual', 'group'], expected('individual or group')).optional(),
  biz_opaque_callback_data: optional(text({ min: 0, max: CALLBACK_DATA_MAX })),
  recipient_identity_key_hash: optional(text()),
  message_activity_sharing: optional(bool),
}
const context = optional(object({ message_id: text() }))
const noContext = absent('a reaction names its message itself')

const CONTENTS: Readonly<Record<string, z.ZodType>> = {
  text: textContent,
  image,
  video,
  audio,
  document,
  sticker,
  location,
  contacts,
  reaction,
  interactive: interactiveContent,
  template: templateContent,
}
const TYPES = Object.keys(CONTENTS)

const SCHEMAS = new Map<string, z.ZodType>(
  Object.entries(CONTENTS).map(([type, content]) => [
    type,
    object({ ...common, context: type === 'reaction' ? noContext : context, [type]: content }),
  ]),
)
const unknownContent = object({ ...common, context })

const faultsOf = (schema: z.ZodType, body: unknown): InvalidField[] => {
  const checked = schema.safeParse(body)
  if (checked.success) return []
  return checked.error.issues
    .slice(0, MAX_FAULTS)
    .map(({ path, message }) => ({ path: path.map(String).join('.') || 'body', message }))
}

/**
 * What Meta would refuse in a body of `POST /{phone-number-id}/messages`, whoever receives it: a message of any type, or a
 * receipt (`status: read`). `to` and `recipient` are not looked at. Whether a template's parameters fit its definition,
 * or an id exists, only Meta or the definition can tell.
 *
 * Unknown fields pass, as Meta adds them. An unknown `type` passes when the body has an object of that name: Meta may
 * have added it. Without one it is a slip of the pen, and is refused with the types there are.
 *
 * @returns the faults, by path from the body (`interactive.action.buttons.3.reply.title`), at most 20; empty when there
 *   are none. Names and lengths only, never a value. It never throws
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
 */
export const validateMessage = (body: unknown): InvalidField[] => {
  if (!isObject(body)) return [{ path: 'body', message: 'expected an object' }]
  if (isReadReceipt(body)) return faultsOf(readReceipt, body)
  const { type = 'text' } = body
  if (typeof type !== 'string') return [{ path: 'type', message: `expected ${oneOf(TYPES)}` }]
  const schema = SCHEMAS.get(type.toLowerCase())
  if (schema !== undefined) return faultsOf(schema, body)
  const isNew = type !== 'type' && Object.hasOwn(body, type) && typeof body[type] === 'object' && body[type] !== null
  if (isNew) return faultsOf(unknownContent, body)
  return [{ path: 'type', message: `expected ${oneOf(TYPES)}, or the name of an object in the body` }]
}
