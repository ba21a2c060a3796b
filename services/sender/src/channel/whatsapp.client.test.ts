import type { OutboundMessage } from '@cloudapi2/contracts'
import type { SendResult as GraphResult, TemplatesResult } from '@cloudapi2/whatsapp'
import { describe, expect, test } from 'vitest'
import { whatsappChannel } from './whatsapp.client.ts'

const answering = (result: unknown) =>
  whatsappChannel({
    sendMessage: async () => result as GraphResult,
    getTemplates: async () => result as TemplatesResult,
    close: async () => {},
  })
const account = { phoneNumberId: '1', token: 'EAA' }
const refusedWith = (code: number, more: Record<string, unknown> = {}) => ({
  kind: 'refused',
  httpStatus: 400,
  error: { code, title: 'title', message: 'message', isTransient: false, httpStatus: 400, ...more },
})

describe('a refusal of Meta', () => {
  test.each([
    [131047, 'no', 'request'],
    [132000, 'no', 'request'],
    [130429, 'backoff', 'throttled'],
    [131056, 'backoff', 'throttled'],
    [131000, 'backoff', 'channel'],
    [131016, 'backoff', 'channel'],
    [190, 'no', 'account'],
    [131031, 'no', 'account'],
    [131042, 'no', 'account'],
    [135002, 'once', 'channel'],
  ])('%i is treated as the table of codes says: %s, %s', async (code, retry, fault) => {
    const result = await answering(refusedWith(code)).send(account, {})
    expect(result).toMatchObject({ kind: 'refused', retry, error: { code, fault, action: expect.any(String) } })
  })
  test('of a code that nobody knows is final, unless Meta says that it passes', async () => {
    expect(await answering(refusedWith(999_999)).send(account, {})).toMatchObject({ retry: 'no' })
    expect(await answering(refusedWith(999_999, { isTransient: true })).send(account, {})).toMatchObject({
      retry: 'backoff',
    })
  })
  test('keeps what is needed to ask Meta about it, and how long it wants to be left alone', async () => {
    const refusal = { ...refusedWith(130429, { details: 'slow down', fbtraceId: 'A1' }), retryAfterMs: 4_000 }
    expect(await answering(refusal).send(account, {})).toMatchObject({
      retryAfterMs: 4_000,
      error: { details: 'slow down', fbtrace_id: 'A1' },
    })
  })
})

describe('what is not known', () => {
  test('is whether a server in between passed the message on before it answered for Meta', async () => {
    const page = { ...refusedWith(504, { type: 'HTTP', httpStatus: 504 }), httpStatus: 504 }
    expect(await answering(page).send(account, {})).toMatchObject({ kind: 'unknown', error: { details: 'HTTP_504' } })
  })
  test('is told apart from what never left', async () => {
    const cause = { code: 'ECONNREFUSED', message: '' }
    expect((await answering({ kind: 'unknown', cause }).send(account, {})).kind).toBe('unknown')
    expect((await answering({ kind: 'unreachable', cause }).send(account, {})).kind).toBe('unreachable')
  })
})

test('a template comes in all its languages, or not at all; one that cannot be asked for is an error', async () => {
  const wanted = { businessId: '1', token: 'EAA', name: 'a' }
  const found = { kind: 'found', templates: [{ name: 'a', language: 'es-ES', status: 'PAUSED' }] }
  expect(await answering(found).fetchTemplates(wanted)).toEqual([
    { name: 'a', language: 'es_es', writtenAs: 'es-ES', definition: found.templates[0], isLasting: false },
  ])
  expect(await answering({ kind: 'found', templates: [] }).fetchTemplates(wanted)).toEqual([])
  await expect(answering(refusedWith(200)).fetchTemplates(wanted)).rejects.toMatchObject({
    code: 'TEMPLATE_NOT_FETCHED',
  })
})

test.each([132000, 132001, 132012, 132015, 132016])(
  '%i says that the template is not what we take it for',
  async (code) => expect(await answering(refusedWith(code)).send(account, {})).toMatchObject({ doubtsTemplate: true }),
)
test('131047 says nothing about the template', async () =>
  expect(await answering(refusedWith(131047)).send(account, {})).not.toHaveProperty('doubtsTemplate'))

describe('a message that Meta would refuse', () => {
  const refusalOf = (message: OutboundMessage) => {
    const prepared = answering({}).prepare({
      message,
      recipient: { phone: '34608684495' },
      callbackId: 'c-1',
      cover: undefined,
      template: { kind: 'unknown' },
    })
    return prepared.ok ? undefined : prepared.error
  }
  test('names every place in the command, and none of its values', () => {
    const text = 'Confidential words'
    const body = { type: 'text', text: { body: [text] }, context: { message_id: '' } }
    const error = refusalOf({ type: 'raw', body })
    expect(error).toMatchObject({
      code: 'INVALID_MESSAGE',
      fault: 'request',
      fields: [{ path: 'message.body.context.message_id' }, { path: 'message.body.text.body' }],
      details: expect.stringContaining('message.body.text.body: expected a text of 1 to 4096 characters'),
    })
    expect(JSON.stringify(error)).not.toContain(text)
  })
  test('is found where a short form was filled in, too', () =>
    expect(
      refusalOf({
        type: 'template',
        template_name: 'order_ready',
        template_data: { first_name: 'x'.repeat(40_000) },
        language: 'en_US',
      }),
    ).toMatchObject({ code: 'INVALID_MESSAGE', fields: [{ path: 'template.components.0.parameters.0.text' }] }))
  test('is one to a group, as the recipient is a person', () =>
    expect(
      refusalOf({ type: 'raw', body: { type: 'text', text: { body: 'hi' }, recipient_type: 'group' } }),
    ).toMatchObject({ fields: [{ path: 'message.body.recipient_type' }] }))
})

test('marking as read gives the message that was read, and whether typing is shown', async () => {
  const marked = { kind: 'marked', response: { success: true } }
  const body = { status: 'read', message_id: 'wamid.1' }
  expect(await answering(marked).send(account, body)).toEqual({
    kind: 'accepted',
    receipt: { messageId: 'wamid.1', read: { isTyping: false }, response: { success: true } },
  })
  expect(await answering(marked).send(account, { ...body, typing_indicator: { type: 'text' } })).toMatchObject({
    receipt: { read: { isTyping: true } },
  })
})
test('only a receipt does no harm when it is sent twice', () => {
  const channel = answering({})
  expect(channel.isHarmlessTwice({ type: 'raw', body: { status: 'read', message_id: 'wamid.1' } })).toBe(true)
  expect(channel.isHarmlessTwice({ type: 'raw', body: { type: 'text', text: { body: 'hi' } } })).toBe(false)
  expect(channel.isHarmlessTwice({ type: 'text', text: 'hi' })).toBe(false)
})

describe('a prepared message', () => {
  const prepare = (message: OutboundMessage) => {
    const prepared = answering({}).prepare({
      message,
      recipient: { phone: '34608684495' },
      callbackId: 'c-1',
      cover: undefined,
      template: { kind: 'unknown' },
    })
    if (!prepared.ok) throw new Error('expected it to be built')
    return prepared.message
  }
  test.each<[OutboundMessage, Record<string, unknown>]>([
    [
      { type: 'text', text: 'hi' },
      { kind: 'text', text: 'hi' },
    ],
    [
      { type: 'media', kind: 'document', id: '12', filename: 'a.pdf', caption: 'c' },
      { kind: 'document', text: 'c', media: { id: '12', filename: 'a.pdf' } },
    ],
    [
      {
        type: 'raw',
        body: {
          type: 'interactive',
          interactive: {
            type: 'location_request_message',
            body: { text: 'When?' },
            action: { name: 'send_location' },
          },
        },
      },
      { kind: 'interactive', text: 'When?' },
    ],
    [
      { type: 'raw', body: { type: 'reaction', reaction: { message_id: 'wamid.1', emoji: '👍' } } },
      { kind: 'reaction', reaction: { message_id: 'wamid.1', emoji: '👍' } },
    ],
    [
      { type: 'raw', body: { text: { body: 'hi' }, context: { message_id: 'wamid.1' } } },
      { kind: 'text', text: 'hi', context: { message_id: 'wamid.1' } },
    ],
    [{ type: 'raw', body: { type: 'later', later: { id: '7' } } }, { kind: 'later' }],
    [
      { type: 'raw', body: { type: 'IMAGE', image: { id: 12, caption: 'c' } } },
      { kind: 'image', text: 'c', media: { id: '12' } },
    ],
    [{ type: 'raw', body: { type: 'location', location: { latitude: 1, longitude: 2 } } }, { kind: 'location' }],
    [{ type: 'raw', body: { status: 'read', message_id: 'wamid.1' } }, { kind: 'receipt' }],
  ])('%j says what it is', (message, summary) => expect(prepare(message).summary).toEqual(summary))

  test('gives back our id, and the caller’s own value behind it', () => {
    const own = (value: unknown) =>
      prepare({ type: 'raw', body: { text: { body: 'hi' }, biz_opaque_callback_data: value } }).body
        .biz_opaque_callback_data
    expect(prepare({ type: 'text', text: 'hi' }).body.biz_opaque_callback_data).toBe('c-1')
    expect(own('order 5521')).toBe('c-1 cb=order 5521')
    expect(own('x'.repeat(512))).toBe('c-1') // both would not fit
  })
})
