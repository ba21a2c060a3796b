import { expect, test } from 'vitest'
import { acceptedAnswer, COMMAND_PREFIX, queuedAnswer } from './message-answer.ts'

const response = {
  messaging_product: 'whatsapp',
  contacts: [{ input: '+34608684495', wa_id: '34608684495' }],
  messages: [{ id: 'wamid.x', message_status: 'accepted' }],
}

test('Meta’s answer comes back with the recipient as the caller wrote it', () =>
  expect(acceptedAnswer({ response, messageId: 'wamid.x', contact: { wa_id: '34608684495' } }, '608 68 44 95')).toEqual(
    { ...response, contacts: [{ input: '608 68 44 95', wa_id: '34608684495' }] },
  ))
test('a message whose answer was lost and that a status proved is answered all the same', () =>
  expect(
    acceptedAnswer({ response: undefined, messageId: 'wamid.x', contact: { wa_id: '34608684495' } }, '+34608684495'),
  ).toEqual({ ...response, messages: [{ id: 'wamid.x' }] }))
test('what waits has the command’s id where the message’s would be, and cannot be taken for one', () =>
  expect(queuedAnswer('c-1', { user_id: 'US.749' }, 'US.749')).toEqual({
    messaging_product: 'whatsapp',
    contacts: [{ input: 'US.749', user_id: 'US.749' }],
    messages: [{ id: `${COMMAND_PREFIX}c-1` }],
  }))
