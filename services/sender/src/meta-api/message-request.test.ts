import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseMessageRequest } from './message-request.ts'
import { MetaError } from './meta-error.ts'

const text = { messaging_product: 'whatsapp', to: '+34608684495', type: 'text', text: { body: 'Hello' } }
const refusal = (body: unknown): { code: number; details: string | undefined } => {
  try {
    parseMessageRequest(body)
  } catch (error) {
    if (!(error instanceof MetaError)) throw error
    return { code: error.error.code, details: error.error.error_data?.details }
  }
  return expect.unreachable('it was taken')
}

test('the recipient is taken out of the body, all the rest stays', () =>
  expect(
    parseMessageRequest({ ...text, context: { message_id: 'wamid.x' }, biz_opaque_callback_data: 'mine' }),
  ).toEqual({
    kind: 'message',
    input: '+34608684495',
    body: {
      messaging_product: 'whatsapp',
      type: 'text',
      text: { body: 'Hello' },
      context: { message_id: 'wamid.x' },
      biz_opaque_callback_data: 'mine',
    },
  }))
test('a recipient may be a user id, and is the phone when both are given', () => {
  const { to: _to, ...rest } = text
  expect(parseMessageRequest({ ...rest, recipient: 'US.749' })).toMatchObject({ input: 'US.749' })
  expect(parseMessageRequest({ ...text, recipient: 'US.749' })).toMatchObject({ input: '+34608684495' })
})
test('a phone may be a number in the JSON', () =>
  expect(parseMessageRequest({ ...text, to: 34608684495 })).toMatchObject({ input: '34608684495' }))
test('a message without a type is a text, as with Meta', () => {
  const { type: _type, ...rest } = text
  expect(parseMessageRequest(rest)).toMatchObject({ kind: 'message', body: { type: 'text' } })
})
test('a body with a status marks a message as read and has no recipient', () =>
  expect(
    parseMessageRequest({
      messaging_product: 'whatsapp',
      status: 'read',
      message_id: 'wamid.x',
      typing_indicator: { type: 'text' },
    }),
  ).toEqual({
    kind: 'receipt',
    body: {
      messaging_product: 'whatsapp',
      status: 'read',
      message_id: 'wamid.x',
      typing_indicator: { type: 'text' },
    },
  }))
test.each([
  ['no object', [text], 100, 'JSON object'],
  ['without messaging_product', { ...text, messaging_product: undefined }, 100, 'messaging_product'],
  ['of another product', { ...text, messaging_product: 'sms' }, 100, 'messaging_product'],
  ['without a recipient', { ...text, to: undefined }, 131008, 'to'],
  ['with an empty recipient', { ...text, to: '' }, 131009, 'to'],
  ['with a list of recipients', { ...text, to: ['+34608684495'] }, 131009, 'to'],
  ['with another status', { messaging_product: 'whatsapp', status: 'unread', message_id: 'wamid.x' }, 131009, 'status'],
  ['that reads no message', { messaging_product: 'whatsapp', status: 'read' }, 131008, 'message_id'],
  ['that reads a number', { messaging_product: 'whatsapp', status: 'read', message_id: 5 }, 131009, 'message_id'],
])('a body %s is refused with the parameter', (_, body, code, named) => {
  const refused = refusal(body)
  expect(refused.code).toBe(code)
  expect(refused.details).toContain(named)
})
test('whatever is sent is taken or refused in Meta’s words', () =>
  fc.assert(
    fc.property(
      fc.oneof(fc.jsonValue(), fc.record({ messaging_product: fc.constant('whatsapp'), to: fc.jsonValue() })),
      (body) => {
        try {
          expect(parseMessageRequest(body).body.messaging_product).toBe('whatsapp')
        } catch (error) {
          expect(error).toBeInstanceOf(MetaError)
        }
      },
    ),
  ))
