import {
  CommandId,
  isCompanyId,
  MediaMessage,
  parseSendCommand,
  SendCommand,
  TemplateMessage,
  TextMessage,
} from '@cloudapi2/contracts'
import { z } from 'zod'

/** A phone is often a number in the caller's JSON. */
const Phone = z.union([z.string().min(1).max(160), z.int().positive().transform(String)])

const addressed = {
  phone: Phone,
  company_id: z.string().refine(isCompanyId, 'expected a lower-case UUID').optional(),
  phone_number_id: z
    .union([z.string(), z.int().positive().transform(String)])
    .refine((id) => /^[0-9]{1,32}$/.test(id), 'expected digits')
    .optional(),
  /** The idempotency key, when the header is not at hand. */
  id: CommandId.optional(),
  metadata: SendCommand.shape.metadata,
  priority: SendCommand.shape.priority,
  expires_at: SendCommand.shape.expires_at,
}

const Template = z
  .strictObject({
    ...addressed,
    template_name: TemplateMessage.shape.template_name,
    template_data: TemplateMessage.shape.template_data,
    language: TemplateMessage.shape.language,
  })
  .transform(({ template_name, template_data, language, ...rest }) => ({
    ...rest,
    message: { type: 'template' as const, template_name, template_data, language },
  }))

const Text = z
  .strictObject({ ...addressed, text: TextMessage.shape.text, preview_url: TextMessage.shape.preview_url })
  .transform(({ text, preview_url, ...rest }) => ({
    ...rest,
    message: { type: 'text' as const, text, ...(preview_url === undefined ? {} : { preview_url }) },
  }))

const Media = z
  .strictObject({
    ...addressed,
    kind: MediaMessage.shape.kind,
    link: MediaMessage.shape.link,
    media_id: z.union([z.string(), z.int().positive().transform(String)]).optional(),
    caption: MediaMessage.shape.caption,
    filename: MediaMessage.shape.filename,
  })
  .transform(({ kind, link, media_id, caption, filename, ...rest }) => ({
    ...rest,
    message: {
      type: 'media' as const,
      kind,
      ...(link === undefined ? {} : { link }),
      ...(media_id === undefined ? {} : { id: media_id }),
      ...(caption === undefined ? {} : { caption }),
      ...(filename === undefined ? {} : { filename }),
    },
  }))

/** The bodies of the three direct routes, by route. */
export const DIRECT_BODIES = {
  '/send_template_direct': Template,
  '/send_text_direct': Text,
  '/send_media_direct': Media,
} as const

export type DirectRoute = keyof typeof DIRECT_BODIES
export type DirectBody = z.output<(typeof DIRECT_BODIES)[DirectRoute]>

/** What the caller does not write itself. */
export interface Envelope {
  id: string
  /** Undefined: still to be found out. */
  companyId: string | undefined
  requestedAt: string
  requestedBy: string
}

/** The command a direct body stands for. @throws InvalidCommand for what only the whole of it shows */
export const commandOf = (body: DirectBody, { id, companyId, requestedAt, requestedBy }: Envelope): SendCommand =>
  parseSendCommand({
    id,
    ...(companyId === undefined ? {} : { company_id: companyId }),
    channel: 'whatsapp',
    ...(body.phone_number_id === undefined ? {} : { phone_number_id: body.phone_number_id }),
    to: body.phone,
    message: body.message,
    ...(body.metadata === undefined ? {} : { metadata: body.metadata }),
    priority: body.priority,
    ...(body.expires_at === undefined ? {} : { expires_at: body.expires_at }),
    requested_at: requestedAt,
    requested_by: requestedBy,
  })
