import {
  ANSWER_IF_PAUSED_HEADER,
  CORRELATION_HEADER,
  Envelope,
  EVENT_CONTENT_TYPE,
  EVENT_DATA,
  EVENT_VERSION,
  type EventType,
  MAX_COMMAND_BYTES,
  REPLY_TO_HEADER,
  SendCommand,
  type SendCommandInput,
  SendOutcome,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import { COMMANDS, DEADLETTERS, EVENTS } from '@cloudapi2/nats'
import { answer, ref, type Schema, schemaOf, string } from './schema.ts'

/** Of each channel, what a reader is to know of the moment it comes. */
const WHEN: Record<EventType, string> = {
  'message.created': 'A message came in, went out, or was sent by the business with another device',
  'message.edited': 'Its author changed a message',
  'message.deleted': 'Its author deleted a message',
  'status.updated': 'The channel told how far an outbound message got',
  'account.notified': 'Any other webhook: templates, quality, account, groups, calls',
  'webhook.unrecognised': 'A part of a webhook could not be placed',
  'send.requested': 'A command was taken in hand',
  'send.attempted': 'The channel is about to be called',
  'send.refused': 'The channel refused, and it will be tried again',
  'send.failed': 'A command was given up, or never tried',
  'send.uncertain': 'Nobody knows whether the channel has it',
  'send.redriven': 'A command was taken out of the dead letters, and is tried anew',
  'send.parked': 'Given up without knowing whether the channel accepted it',
  'receipt.sent': 'A message of the contact was marked as read',
  'number.paused': 'The channel does not accept the account of a number: nothing goes out from it until that is mended',
  'number.resumed': 'The number sends again',
  'tenant.configured': 'The settings of a company changed',
  'tenant.removed': 'A company was removed',
  'media.stored': 'A file that a message carried is stored',
  'media.failed': 'A file that a message carried is not to be had',
  'retention.applied': 'What a company keeps no longer was removed from the read model and the object store',
  'audit.anchored': "The head of the chain of a company's events was recorded, for audits to be held against",
}

const EVENT_TYPES = Object.keys(EVENT_DATA) as EventType[]

/** `message.created` → `messageCreated`: names in a document hold no dots. */
const named = (type: string): string => type.replace(/\.(\w)/, (_match, letter: string) => letter.toUpperCase())
const upper = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)

const company = {
  description: 'The company; `_`: of no known company',
  examples: ['a9242a58-4f5d-494c-8a74-45f8cee150e6', '_'],
}
const channel = { description: 'The channel; `system` for what concerns none', enum: ['whatsapp', 'system'] }

const COMMAND_EXAMPLE: SendCommandInput = {
  id: 'invoice-5522',
  company_id: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
  channel: 'whatsapp',
  to: '608684495',
  message: { type: 'text', text: 'Your invoice is ready.' },
  requested_by: 'billing',
}

const header = (description: string, schema: Schema = string): Schema => ({ ...schema, description })
const trace = header('W3C trace context')

const eventChannel = (type: EventType): Schema => ({
  address: `evt.{company_id}.{channel}.${type}`,
  title: type,
  description: WHEN[type],
  parameters: { company_id: company, channel },
  messages: { [named(type)]: { $ref: `#/components/messages/${named(type)}` } },
})

const eventMessage = (type: EventType): Schema => ({
  name: type,
  title: type,
  summary: WHEN[type],
  contentType: EVENT_CONTENT_TYPE,
  headers: {
    type: 'object',
    properties: {
      'Nats-Msg-Id': header('The event’s `id`'),
      [TRACEPARENT_HEADER]: trace,
      [CORRELATION_HEADER]: header('The command id, or one id for all events of one webhook'),
    },
    required: ['Nats-Msg-Id'],
  },
  payload: {
    allOf: [
      ref('Event'),
      {
        type: 'object',
        properties: {
          type: { const: type },
          dataschema: { const: `${type}/${EVENT_VERSION[type]}` },
          data: ref(`${upper(named(type))}Data`),
        },
      },
    ],
  },
})

const byType = (of: (type: EventType) => Schema, name = named): Schema =>
  Object.fromEntries(EVENT_TYPES.map((type) => [name(type), of(type)]))

/** What goes over NATS between the gateway and other software, as AsyncAPI 3.0. Seen from the gateway: it receives commands. */
export const asyncapi = (): Schema => ({
  asyncapi: '3.0.0',
  info: {
    title: 'CloudAPI2 over NATS',
    version: '1',
    description:
      'Commands in, events out, all of them messages of JetStream. How to do it without a library: docs/plain-nats.md.',
    license: { name: 'Apache-2.0' },
  },
  defaultContentType: 'application/json',
  servers: {
    development: {
      host: '127.0.0.1:4222',
      protocol: 'nats',
      description: '`npm start`: no credentials needed there',
    },
  },
  channels: {
    sendCommand: {
      address: 'cmd.send.{company_id}.{channel}',
      title: 'Commands',
      description: `Stream ${COMMANDS}. Publish with JetStream: its confirmation says that the command is stored and will be worked on. At most ${MAX_COMMAND_BYTES} bytes.`,
      parameters: { company_id: company, channel: { description: 'The channel', enum: ['whatsapp'] } },
      messages: { sendCommand: { $ref: '#/components/messages/sendCommand' } },
    },
    sendOutcome: {
      address: null,
      title: 'Outcomes',
      description: `The subject that the header ${REPLY_TO_HEADER} of the command names; core NATS, sent once and not stored.`,
      messages: { sendOutcome: { $ref: '#/components/messages/sendOutcome' } },
    },
    ...byType(eventChannel),
    deadLetter: {
      address: 'dlq.{service}.{company_id}',
      title: 'Dead letters',
      description: `Stream ${DEADLETTERS}. What was given up, whole, with its reason.`,
      parameters: {
        service: { description: 'Who gave it up', examples: ['sender', 'projector'] },
        company_id: company,
      },
      messages: { deadLetter: { $ref: '#/components/messages/deadLetter' } },
    },
  },
  operations: {
    receiveSendCommand: {
      action: 'receive',
      channel: { $ref: '#/channels/sendCommand' },
      summary: 'Send a message',
      reply: {
        address: { location: `$message.header#/${REPLY_TO_HEADER}`, description: 'Under `_INBOX.`' },
        channel: { $ref: '#/channels/sendOutcome' },
      },
    },
    ...Object.fromEntries(
      EVENT_TYPES.map((type) => [
        `send${upper(named(type))}`,
        { action: 'send', channel: { $ref: `#/channels/${named(type)}` }, summary: WHEN[type] },
      ]),
    ),
    sendDeadLetter: { action: 'send', channel: { $ref: '#/channels/deadLetter' }, summary: 'Something was given up' },
  },
  components: {
    messages: {
      sendCommand: {
        name: 'sendCommand',
        title: 'A request to send one message',
        headers: {
          type: 'object',
          properties: {
            'Nats-Msg-Id': header(
              'The stream drops a repeat within 100 ms, whatever the company: `<company_id>:<id>`. Later repeats are known by `id`',
            ),
            [REPLY_TO_HEADER]: header('Where the outcome is to go', {
              type: 'string',
              pattern: '^_INBOX(\\.[A-Za-z0-9_-]+)+$',
            }),
            [ANSWER_IF_PAUSED_HEADER]: header(
              'Any value: be told at once when the number is paused and the command kept, and of the outcome later',
            ),
            [TRACEPARENT_HEADER]: trace,
          },
        },
        payload: ref('SendCommand'),
        examples: [{ name: 'text', payload: COMMAND_EXAMPLE }],
      },
      sendOutcome: {
        name: 'sendOutcome',
        title: 'How a command ended, or stands',
        payload: ref('SendOutcome'),
        examples: [
          { name: 'accepted', payload: { status: 'accepted', command_id: 'invoice-5522', message_id: 'wamid.HBgL' } },
        ],
      },
      deadLetter: {
        name: 'deadLetter',
        title: 'The original message, with headers that say why',
        headers: answer(
          {
            Reason: string,
            Code: header('docs/errors.md, or the number that the channel gave'),
            Attempts: header('Calls of the channel, or deliveries'),
            Stream: header('Where it came from'),
            Sequence: header('Its place there'),
            Subject: header('The subject it came on'),
          },
          [],
        ),
        payload: { description: 'The original body, whatever it is' },
      },
      ...byType(eventMessage),
    },
    schemas: {
      SendCommand: schemaOf(SendCommand, 'input'),
      SendOutcome: schemaOf(SendOutcome, 'output'),
      Event: { ...schemaOf(Envelope, 'output'), description: `CloudEvents 1.0. A message of the stream ${EVENTS}` },
      ...Object.fromEntries(
        EVENT_TYPES.map((type) => [`${upper(named(type))}Data`, schemaOf(EVENT_DATA[type], 'output')]),
      ),
    },
  },
})
