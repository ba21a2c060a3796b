import { z } from 'zod'
import { SendError } from './events.ts'
import { GatewayError } from './gateway-error.ts'
import { isCompanyId } from './ids.ts'

/** Free text, sent inside an open customer service window. */
export const TextMessage = z.strictObject({
  type: z.literal('text'),
  text: z.string().min(1).max(4096),
  preview_url: z.boolean().optional(),
})

/** What fills a parameter: a text, number or boolean, or lists and objects of them. */
export type TemplateValue = string | number | boolean | TemplateValue[] | { [key: string]: TemplateValue }

/** A product in a section of a button of a card lies nine levels down; what a form is to be opened with may go further. */
const TEMPLATE_DATA_MAX_DEPTH = 16

const NO_TEMPLATE_VALUE = 'expected a text, a number, true or false, or lists and objects of them'

/** The first thing in it that fills no parameter: where, and why. Goes no deeper than it may. */
const faultOfTemplateValue = (
  value: unknown,
  path: PropertyKey[] = [],
): { path: PropertyKey[]; message: string } | undefined => {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return undefined
  if (typeof value !== 'object' || value === null) return { path, message: NO_TEMPLATE_VALUE }
  if (path.length === TEMPLATE_DATA_MAX_DEPTH)
    return { path, message: `expected at most ${TEMPLATE_DATA_MAX_DEPTH} levels` }
  for (const [key, inner] of Object.entries(value)) {
    const fault = faultOfTemplateValue(inner, [...path, Array.isArray(value) ? Number(key) : key])
    if (fault !== undefined) return fault
  }
  return undefined
}

export const TemplateValue: z.ZodType<TemplateValue, TemplateValue> = z
  .custom<TemplateValue>()
  .superRefine((value: unknown, context) => {
    const fault = faultOfTemplateValue(value)
    if (fault !== undefined) context.addIssue({ code: 'custom', ...fault })
  })
  .meta({ type: ['string', 'number', 'boolean', 'array', 'object'] })

/**
 * An approved template. `template_data` fills its text by plain keys (names, or positions `1`, `2`), everything else by the
 * keys `header`, `body`, `buttons`, `cards` and `offer_expires_at`; lists and objects may also be written with dots
 * (`buttons.0`).
 */
export const TemplateMessage = z.strictObject({
  type: z.literal('template'),
  template_name: z.string().regex(/^[a-z0-9_]{1,512}$/, 'expected 1 to 512 characters of [a-z0-9_]'),
  template_data: z.record(z.string(), TemplateValue).default({}),
  language: z.string().regex(/^[A-Za-z]{2,3}([_-][A-Za-z]{2,4})?$/, 'expected a language such as es or es_ES'),
})

export const MEDIA_KINDS = ['image', 'video', 'audio', 'document', 'sticker'] as const

/** A file, by public link or by the id of an upload: exactly one of the two. */
export const MediaMessage = z
  .strictObject({
    type: z.literal('media'),
    kind: z.enum(MEDIA_KINDS),
    link: z
      .url({ protocol: /^https?$/ })
      .max(2048)
      .optional(),
    id: z
      .string()
      .regex(/^[0-9]{1,64}$/, 'expected digits')
      .optional(),
    caption: z.string().min(1).max(1024).optional(),
    filename: z.string().min(1).max(240).optional(),
  })
  .refine((m) => (m.link === undefined) !== (m.id === undefined), { path: ['link'], message: 'give either link or id' })
  .refine((m) => m.caption === undefined || (m.kind !== 'audio' && m.kind !== 'sticker'), {
    path: ['caption'],
    message: 'audio and sticker take no caption',
  })
  .refine((m) => m.filename === undefined || m.kind === 'document', {
    path: ['filename'],
    message: 'only a document takes a filename',
  })

/** Any body of the channel's own send call, without its recipient. */
export const RawMessage = z.strictObject({
  type: z.literal('raw'),
  body: z
    .record(z.string(), z.unknown())
    .refine(
      (body) => !('to' in body) && !('recipient' in body),
      'the recipient goes into the command, not into the body',
    ),
})

export const OutboundMessage = z.discriminatedUnion('type', [TextMessage, TemplateMessage, MediaMessage, RawMessage])
export type OutboundMessage = z.infer<typeof OutboundMessage>

const CompanyId = z.string().refine(isCompanyId, 'expected a lower-case UUID')

/** Far beyond any message of any channel; what follows from a command must fit into a stored message as well. */
export const MAX_COMMAND_BYTES = 262_144

/** 1 to 128 printable characters of ASCII, no space: it becomes a header of NATS and part of Meta's callback data. */
export const CommandId = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, 'expected 1 to 128 printable ASCII characters without spaces')

/** A request to send one message. `id` is the idempotency key: a repeat of it is the same request. */
export const SendCommand = z.strictObject({
  id: CommandId,
  company_id: CompanyId.optional(),
  channel: z.literal('whatsapp'),
  phone_number_id: z
    .string()
    .regex(/^[0-9]{1,32}$/, 'expected digits')
    .optional(),
  /** A phone in any usual notation, or the channel's user id. */
  to: z.string().min(1).max(160),
  message: OutboundMessage,
  metadata: z
    .looseObject({
      responsible_email: z.email().optional(),
      assigned_to_id: z.uuid().optional(),
      chat_url: z.string().max(2048).optional(),
    })
    .optional(),
  priority: z.enum(['high', 'normal']).default('normal'),
  expires_at: z.iso.datetime({ offset: true }).optional(),
  requested_at: z.iso.datetime({ offset: true }).optional(),
  requested_by: z.string().max(200).optional(),
})
export type SendCommand = z.infer<typeof SendCommand>

/** What a caller writes: defaults may be left out. */
export type SendCommandInput = z.input<typeof SendCommand>

/** One field of a refused command: `path` as `message.text`, `message` says what was expected, never the value found. */
export interface InvalidField {
  path: string
  message: string
}

export class InvalidCommand extends GatewayError {
  readonly fields: readonly InvalidField[]
  constructor(fields: readonly InvalidField[]) {
    super(`not a valid command: ${fields.map((f) => `${f.path}: ${f.message}`).join('; ')}`, {
      code: 'INVALID_COMMAND',
      retryable: false,
    })
    this.fields = fields
  }
}

/** Every fault of a value against a schema, by path; never its values. */
export const invalidFields = (error: z.ZodError): InvalidField[] =>
  error.issues.map((issue) => ({ path: issue.path.join('.') || 'body', message: issue.message }))

/** @throws InvalidCommand naming every field that is wrong */
export const parseSendCommand = (body: unknown): SendCommand => {
  const parsed = SendCommand.safeParse(body)
  if (!parsed.success) throw new InvalidCommand(invalidFields(parsed.error))
  return parsed.data
}

/** How a command ended, or stands: what a caller is told over HTTP, and over NATS on the subject of `Reply-To`. */
export const SendOutcome = z.discriminatedUnion('status', [
  /** `message_id`: of the message sent; of the one that was read, where the command marked one as read. */
  z.object({ status: z.literal('accepted'), command_id: z.string(), message_id: z.string() }),
  /** `error`: why it was not sent yet; the channel has refused it, and it will be tried again. */
  z.object({ status: z.literal('queued'), command_id: z.string(), error: SendError.optional() }),
  z.object({ status: z.literal('failed'), command_id: z.string(), error: SendError }),
])
export type SendOutcome = z.infer<typeof SendOutcome>
