import { json, operationsOf, type Parameter, traceparent } from './operation.ts'
import { answer, boolean, integer, listOf, ref, type Schema, string } from './schema.ts'

const operation = operationsOf('sender', [{ apiKey: [] }, { adminToken: [] }])
const of: typeof operation = (method, path, options) =>
  operation(method, path, { ...options, tag: 'sender: Graph API' })

const version: Parameter = {
  name: 'version',
  in: 'path',
  required: true,
  schema: { type: 'string', pattern: '^v[1-9]\\d{0,2}\\.\\d{1,2}$', examples: ['v22.0'] },
}
const id = (name: string, description: string): Parameter => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string', pattern: '^[0-9]{1,64}$' },
})
const ofNumber: Parameter = {
  name: 'phone_number_id',
  in: 'query',
  description: 'The number whose file it is; the operator has to say',
  schema: string,
}

const errors = {
  default: {
    description:
      'Meta’s own error where Meta refused; where we did, one of the same form, with `error_data.gateway_code`. 400, 401, 403, 404, 413, 429, 500 or 503',
    content: json(ref('MetaError')),
  },
} as Record<string, Schema>
const taken = (description: string, schema: Schema): Schema => ({ description, content: json(schema) })
const binary: Schema = { description: 'The file', content: { '*/*': { schema: { type: 'string', format: 'binary' } } } }

/** Meta's own requests, answered as by Meta. */
export const metaApiOperations = [
  of('post', '/{version}/{phone_number_id}/messages', {
    id: 'metaSendMessage',
    summary: 'Send a message of any type, or mark one as read',
    description:
      'The request of Meta’s own `POST /messages`. See https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages',
    parameters: [
      version,
      id('phone_number_id', 'The business number’s id at Meta'),
      {
        name: 'Idempotency-Key',
        in: 'header',
        description: 'Makes a repeat the same message',
        schema: string,
      },
      traceparent,
    ],
    body: {
      required: true,
      content: json(ref('MetaMessageRequest'), {
        text: {
          value: {
            messaging_product: 'whatsapp',
            to: '34608684495',
            type: 'text',
            text: { body: 'Your invoice is ready.' },
          },
        },
      }),
    },
    responses: {
      200: taken('Meta’s answer', { oneOf: [ref('MetaMessageAnswer'), ref('MetaSuccess')] }),
      202: taken('Stored, and not settled yet: `command:<command id>` stands in the place of the message id', {
        oneOf: [ref('MetaMessageAnswer'), ref('MetaSuccess')],
      }),
      ...errors,
    },
  }),
  of('post', '/{version}/{phone_number_id}/media', {
    id: 'metaUploadMedia',
    summary: 'Upload a file; passed on as it comes, at most 101 MB',
    parameters: [version, id('phone_number_id', 'The business number’s id at Meta')],
    body: {
      required: true,
      content: {
        'multipart/form-data': {
          schema: {
            type: 'object',
            properties: {
              messaging_product: { const: 'whatsapp' },
              file: { type: 'string', format: 'binary' },
              type: string,
            },
            required: ['messaging_product', 'file'],
          },
        },
      },
    },
    responses: { 200: taken('Its id', answer({ id: string })), ...errors },
  }),
  of('get', '/{version}/{waba_id}/message_templates', {
    id: 'metaListTemplates',
    summary: 'The templates of an account, page by page',
    description: 'Every parameter of Meta’s own is passed on.',
    parameters: [version, id('waba_id', 'The WhatsApp Business account’s id')],
    responses: {
      200: taken('Meta’s page', answer({ data: listOf({ type: 'object' }), paging: { type: 'object' } }, ['paging'])),
      ...errors,
    },
  }),
  of('get', '/{version}/{media_id}', {
    id: 'metaGetMedia',
    summary: 'Where a file is',
    parameters: [version, id('media_id', 'The file’s id at Meta'), ofNumber],
    responses: {
      200: taken('`url` leads here, lives five minutes, and opens for whoever has it', ref('MetaMedia')),
      ...errors,
    },
  }),
  of('delete', '/{version}/{media_id}', {
    id: 'metaDeleteMedia',
    summary: 'Delete a file',
    parameters: [version, id('media_id', 'The file’s id at Meta'), ofNumber],
    responses: { 200: taken('It is gone', ref('MetaSuccess')), ...errors },
  }),
  of('get', '/{version}/{media_id}/content', {
    id: 'metaDownloadMedia',
    summary: 'The file itself: only ever by the `url` that `GET /{version}/{media_id}` gave',
    security: [{}, { apiKey: [] }, { adminToken: [] }],
    parameters: [
      version,
      id('media_id', 'The file’s id at Meta'),
      { name: 'Range', in: 'header', description: 'A part of it', schema: string },
    ],
    responses: { 200: binary, 206: { ...binary, description: 'A part of the file' }, ...errors },
  }),
]

export const metaApiSchemas: Record<string, Schema> = {
  MetaMessageRequest: {
    type: 'object',
    description: 'Meta’s own. What a type needs is checked before Meta is asked',
    properties: {
      messaging_product: { const: 'whatsapp' },
      to: { type: ['string', 'integer'] },
      recipient: { ...string, description: 'In place of `to`: a business-scoped user id' },
      type: string,
      status: { const: 'read', description: 'With `message_id`: no message, but a receipt' },
      message_id: string,
      biz_opaque_callback_data: string,
    },
    required: ['messaging_product'],
  },
  MetaMessageAnswer: answer({
    messaging_product: { const: 'whatsapp' },
    contacts: listOf(answer({ input: string, wa_id: string, user_id: string }, ['wa_id', 'user_id'])),
    messages: listOf(answer({ id: string, message_status: string }, ['message_status'])),
  }),
  MetaSuccess: answer({ success: boolean }),
  MetaMedia: answer({
    messaging_product: { const: 'whatsapp' },
    id: string,
    url: { type: 'string', format: 'uri' },
    mime_type: string,
    sha256: string,
    file_size: { type: ['integer', 'string'] },
  }),
  MetaError: answer({
    error: answer(
      {
        message: string,
        type: string,
        code: integer,
        error_subcode: integer,
        error_data: {
          type: 'object',
          properties: { details: string, gateway_code: string, command_id: string, messaging_product: string },
        },
        is_transient: boolean,
        fbtrace_id: string,
      },
      ['error_subcode', 'error_data', 'is_transient'],
    ),
  }),
}
