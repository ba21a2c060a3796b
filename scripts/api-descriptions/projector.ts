import { MAX_PAGE, type Message, type MessageWithTimeline, SEND_STATUSES, type Send } from '@cloudapi2/read-model'
import { DEFAULT_PAGE } from '../../services/projector/src/listing/list-parameters.ts'
import { Query as MessagesQuery } from '../../services/projector/src/messages/message-filter.ts'
import { Query as SendsQuery } from '../../services/projector/src/sends/send-filter.ts'
import { companyInPath, ok, operationsOf, pagingNotes, problems, queryOf } from './operation.ts'
import { answer, boolean, dateTime, integer, listOf, orNull, ref, type Schema, string, uuid } from './schema.ts'

const of = operationsOf('projector', [{ apiKey: [] }, { adminToken: [] }])

const paging = pagingNotes(MAX_PAGE, DEFAULT_PAGE)
const refusals = {
  400: ['INVALID_REQUEST'],
  401: ['UNAUTHENTICATED'],
  403: ['SCOPE_MISSING', 'COMPANY_OF_ANOTHER_KEY'],
  503: ['NOT_READY', 'DATABASE_UNAVAILABLE'],
}
const page = (name: string, items: string) =>
  ok('A page, newest first', answer({ [name]: listOf(ref(items)), next_cursor: orNull(string) }))

export const projectorOperations = [
  of('get', '/companies/{company_id}/messages', {
    id: 'listMessages',
    summary: 'The messages of a company',
    parameters: [companyInPath, ...queryOf(MessagesQuery, { ...paging, from_me: boolean })],
    responses: { 200: page('messages', 'Message'), ...problems(refusals) },
  }),
  of('get', '/companies/{company_id}/messages/{id}', {
    id: 'getMessage',
    summary: 'One message, with every status it had and every event that speaks of it',
    parameters: [
      companyInPath,
      {
        name: 'id',
        in: 'path',
        required: true,
        description: 'Of the row, or the message id of the channel; URL-encoded',
        schema: string,
      },
    ],
    responses: {
      200: ok('The message', ref('MessageWithTimeline')),
      ...problems({ ...refusals, 404: ['UNKNOWN_MESSAGE'] }),
    },
  }),
  of('get', '/companies/{company_id}/sends', {
    id: 'listSends',
    summary: 'The commands of a company, those included that never became a message',
    parameters: [companyInPath, ...queryOf(SendsQuery, paging)],
    responses: { 200: page('sends', 'Send'), ...problems(refusals) },
  }),
]

const message = {
  id: uuid,
  company_id: uuid,
  message_id: { ...string, description: 'The id at the channel' },
  message: orNull(string),
  kind: orNull(string),
  direction: { type: ['string', 'null'], enum: ['inbound', 'outbound', 'echo', null] },
  channel: orNull(string),
  phone_number_id: orNull(string),
  from_me: boolean,
  status: orNull(string),
  chat_id: orNull(string),
  sender_phone: orNull(string),
  created_at: dateTime,
  last_message_timestamp: orNull(dateTime),
  updated_at: dateTime,
  is_deleted: boolean,
  responsible_email: orNull(string),
  assigned_to_id: orNull(string),
  chat_url: orNull(string),
} satisfies Record<keyof Message, Schema>

const status = {
  status: string,
  time: dateTime,
  participant: orNull(string),
  errors: {},
  conversation: {},
  pricing: {},
  event_id: uuid,
  sequence: integer,
} satisfies Record<keyof MessageWithTimeline['statuses'][number], Schema>

const timeline = {
  type: string,
  time: dateTime,
  recorded_time: dateTime,
  sequence: integer,
  event_id: uuid,
  status: orNull(string),
} satisfies Record<keyof MessageWithTimeline['timeline'][number], Schema>

const whole = {
  ...message,
  text: { ...orNull(string), description: 'What it said before any edit' },
  contact: {},
  context: {},
  reaction: {},
  media: {},
  template: {},
  errors: {},
  command_id: orNull(string),
  origin: orNull(string),
  edited_at: orNull(dateTime),
  deleted_at: orNull(dateTime),
  statuses: listOf(answer(status)),
  timeline: listOf(answer(timeline)),
} satisfies Record<keyof MessageWithTimeline, Schema>

const send = {
  id: uuid,
  command_id: string,
  company_id: uuid,
  status: { type: 'string', enum: [...SEND_STATUSES] },
  error: { anyOf: [ref('SendError'), { type: 'null' }] },
  attempts: orNull(integer),
  message_id: orNull(string),
  kind: orNull(string),
  template: orNull(string),
  phone_number_id: orNull(string),
  chat_id: orNull(string),
  requested_by: orNull(string),
  requested_at: dateTime,
  updated_at: dateTime,
} satisfies Record<keyof Send, Schema>

export const projectorSchemas: Record<string, Schema> = {
  Message: answer(message),
  MessageWithTimeline: answer(whole),
  Send: answer(send),
}
