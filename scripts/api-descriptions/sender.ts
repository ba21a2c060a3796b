import { SendCommand } from '@cloudapi2/contracts'
import type { letterSummary, letterWhole } from '../../libs/nats/src/dead-letter-views.ts'
import { Query as DeadLettersQuery, RedriveBody } from '../../services/sender/src/dead-letters/dead-letters.routes.ts'
import { DIRECT_BODIES, type DirectRoute } from '../../services/sender/src/direct-send/bodies.ts'
import { empty, jsonBody, ok, operationsOf, type Parameter, problems, queryOf, traceparent } from './operation.ts'
import { answer, dateTime, integer, listOf, orNull, ref, type Schema, schemaOf, string, uuid } from './schema.ts'

const of = operationsOf('sender', [{ apiKey: [] }, { adminToken: [] }])

const who = { 401: ['UNAUTHENTICATED'], 503: ['NOT_READY'] }

const DIRECT: Record<DirectRoute, { id: string; summary: string; example: unknown }> = {
  '/send_template_direct': {
    id: 'sendTemplate',
    summary: 'Send an approved template',
    example: {
      phone: '608684495',
      template_name: 'agendar_llamada_inicial',
      language: 'es_ES',
      template_data: { first_name: 'Paco', deal_id: 'b5078967' },
    },
  },
  '/send_text_direct': {
    id: 'sendText',
    summary: 'Send a text, inside an open customer service window',
    example: { phone: '608684495', text: 'Your invoice is ready.' },
  },
  '/send_media_direct': {
    id: 'sendMedia',
    summary: 'Send a file, by link or by the id of an upload',
    example: { phone: '608684495', kind: 'image', link: 'https://media.example.com/rye.jpg', caption: 'Rye' },
  },
}

const RATE_HEADERS = {
  'RateLimit-Limit': 'Calls of this route that the company has in its window',
  'RateLimit-Remaining': 'Calls left',
  'RateLimit-Reset': 'Seconds until there is one more',
}
const REPLAYED = { 'Idempotency-Replayed': '`true`: the command was there before; this is its outcome' }

const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'Names the command: the same key again is the same command, and is answered with its outcome',
  schema: schemaOf(SendCommand.shape.id),
}
const prefer: Parameter = {
  name: 'Prefer',
  in: 'header',
  description: '`respond-async`: 202 at once',
  schema: { type: 'string', enum: ['respond-async'] },
}

const direct = (Object.keys(DIRECT_BODIES) as DirectRoute[]).map((route) =>
  of('post', route, {
    id: DIRECT[route].id,
    summary: DIRECT[route].summary,
    description:
      'The body becomes a command. The call waits for the answer of the channel, at most `SEND_WAIT_MS` (10 s). With an API key `company_id` may be left out.',
    parameters: [idempotencyKey, prefer, traceparent],
    body: jsonBody(schemaOf(DIRECT_BODIES[route]), { example: DIRECT[route].example }),
    responses: {
      200: ok('The channel has accepted it', ref('Accepted'), { ...RATE_HEADERS, ...REPLAYED }),
      202: ok('Stored, and not settled yet', ref('Queued'), {
        ...RATE_HEADERS,
        ...REPLAYED,
        Location: 'Where to ask how it stands',
        'Preference-Applied': '`respond-async`, where it was asked for',
      }),
      ...problems({
        400: ['INVALID_JSON', 'BAD_REQUEST'],
        ...who,
        403: ['SCOPE_MISSING', 'COMPANY_OF_ANOTHER_KEY', 'PHONE_NUMBER_OF_ANOTHER_COMPANY'],
        404: ['UNKNOWN_COMPANY'],
        413: ['BODY_TOO_LARGE'],
        415: ['UNSUPPORTED_MEDIA_TYPE'],
        422: [
          'INVALID_REQUEST',
          'IDEMPOTENCY_KEY_REUSED',
          'and every other refusal for what the command says, ours or the channel’s',
        ],
        429: ['RATE_LIMITED', 'or throttled by the channel through all attempts'],
        502: ['The channel refuses the account of the company, or had a fault'],
        503: ['NOT_READY', 'COMMAND_NOT_ACCEPTED', 'CONVERSATIONS_UNAVAILABLE'],
        504: ['SEND_UNCERTAIN'],
      }),
    },
  }),
)

const letterId: Parameter = { name: 'id', in: 'path', required: true, schema: { ...integer, minimum: 1 } }

const summaryProperties = {
  id: integer,
  service: string,
  company_id: orNull(uuid),
  code: string,
  reason: string,
  attempts: integer,
  failed_at: dateTime,
  command_id: orNull(string),
  stream: string,
  sequence: integer,
} satisfies Record<keyof ReturnType<typeof letterSummary>, Schema>
const wholeProperties = {
  ...summaryProperties,
  subject: string,
  headers: { type: 'object', additionalProperties: string },
  body: { description: 'The original message; a text where it is no JSON' },
} satisfies Record<keyof ReturnType<typeof letterWhole>, Schema>

const letters = [
  of('get', '/dead-letters', {
    id: 'listDeadLetters',
    summary: 'What was given up, without its content',
    parameters: queryOf(DeadLettersQuery, {
      company_id: { description: 'A company, or `_` for what belongs to none', ...string },
      since: { description: 'At or after', ...dateTime },
      until: { description: 'Before', ...dateTime },
    }),
    responses: {
      200: ok('A page', answer({ dead_letters: listOf(ref('DeadLetter')), next_cursor: orNull(string) })),
      ...problems({
        ...who,
        403: ['SCOPE_MISSING', 'COMPANY_OF_ANOTHER_KEY'],
        422: ['INVALID_REQUEST'],
        503: ['NOT_READY', 'DEAD_LETTERS_UNAVAILABLE'],
      }),
    },
  }),
  of('get', '/dead-letters/{id}', {
    id: 'getDeadLetter',
    summary: 'One of them, whole',
    parameters: [letterId],
    responses: {
      200: ok('The dead letter', ref('DeadLetterWhole')),
      ...problems({
        ...who,
        403: ['SCOPE_MISSING'],
        404: ['DEAD_LETTER_NOT_FOUND'],
        503: ['NOT_READY', 'DEAD_LETTERS_UNAVAILABLE'],
      }),
    },
  }),
  of('post', '/dead-letters/{id}/redrive', {
    id: 'redriveDeadLetter',
    summary: 'Try it anew, with a new round of attempts',
    parameters: [letterId, traceparent],
    body: { ...jsonBody(schemaOf(RedriveBody)), required: false },
    responses: {
      202: ok(
        'It is a command again',
        answer({ status: { const: 'queued' }, command_id: string, dead_letter_id: integer }),
        {
          Location: 'Where to ask how it stands',
        },
      ),
      ...problems({
        400: ['INVALID_JSON'],
        ...who,
        403: ['SCOPE_MISSING'],
        404: ['DEAD_LETTER_NOT_FOUND'],
        409: ['DEAD_LETTER_NOT_REDRIVABLE', 'DEAD_LETTER_UNCERTAIN'],
        422: ['INVALID_REQUEST'],
        503: ['NOT_READY', 'DEAD_LETTERS_UNAVAILABLE'],
      }),
    },
  }),
  of('delete', '/dead-letters/{id}', {
    id: 'discardDeadLetter',
    summary: 'Discard it for good',
    parameters: [letterId],
    responses: {
      204: empty('It is gone'),
      ...problems({
        ...who,
        403: ['SCOPE_MISSING'],
        404: ['DEAD_LETTER_NOT_FOUND'],
        503: ['NOT_READY', 'DEAD_LETTERS_UNAVAILABLE'],
      }),
    },
  }),
]

const commands = [
  of('get', '/commands/{id}', {
    id: 'getCommand',
    summary: 'How a command stands',
    description: 'For commands over NATS as well, for seven days after they settled.',
    parameters: [
      { name: 'id', in: 'path', required: true, description: 'URL-encoded', schema: schemaOf(SendCommand.shape.id) },
      { name: 'company_id', in: 'query', description: 'Whose, for the operator', schema: uuid },
    ],
    responses: {
      200: ok('How it stands', ref('CommandStanding')),
      ...problems({
        ...who,
        403: ['SCOPE_MISSING'],
        404: ['UNKNOWN_COMMAND'],
        422: ['INVALID_REQUEST'],
        503: ['NOT_READY', 'LEDGER_UNAVAILABLE'],
      }),
    },
  }),
]

const file = (type: string, description: string): Schema => ({
  description,
  content: { [type]: { schema: string } },
})
const docs = [
  of('get', '/docs', {
    id: 'getDocs',
    summary: 'This description as a page',
    security: [],
    responses: { 200: file('text/html', 'A page that asks no other host for anything') },
  }),
  of('get', '/docs/json', {
    id: 'getOpenapiJson',
    summary: 'This description as JSON',
    security: [],
    responses: { 200: ok('OpenAPI 3.1', { type: 'object' }) },
  }),
  of('get', '/docs/yaml', {
    id: 'getOpenapiYaml',
    summary: 'This description as YAML',
    security: [],
    responses: { 200: file('application/x-yaml', 'OpenAPI 3.1') },
  }),
  of('get', '/docs/asyncapi.yaml', {
    id: 'getAsyncapiYaml',
    summary: 'What goes over NATS',
    security: [],
    responses: { 200: file('application/yaml', 'AsyncAPI 3.0') },
  }),
]

export const senderOperations = [...direct, ...commands, ...letters, ...docs]

export const senderSchemas: Record<string, Schema> = {
  DeadLetter: answer(summaryProperties),
  DeadLetterWhole: answer(wholeProperties),
  CommandStanding: answer(
    {
      status: { type: 'string', enum: ['queued', 'accepted', 'failed', 'uncertain', 'parked'] },
      command_id: string,
      message_id: string,
      error: ref('SendError'),
      company_id: uuid,
      phone_number_id: string,
      attempts: integer,
      since: dateTime,
      retry_at: dateTime,
    },
    ['message_id', 'error', 'phone_number_id', 'since', 'retry_at'],
  ),
}
