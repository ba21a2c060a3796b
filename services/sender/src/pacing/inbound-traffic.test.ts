import { expect, test } from 'vitest'
import { numberOfInbound } from './inbound-traffic.client.ts'

const event = (data: unknown) => Buffer.from(JSON.stringify({ type: 'message.created', data }))

test.each([
  ['a message that came in', { direction: 'inbound', phone_number_id: '12' }, '12'],
  ['one sent from the phone', { direction: 'echo', phone_number_id: '12' }, '12'],
  ['one of ours, counted when it was sent', { direction: 'outbound', phone_number_id: '12' }, undefined],
  ['one of ours that only talks of it', { direction: 'outbound', text: '"direction":"inbound"' }, undefined],
  ['one without a number', { direction: 'inbound' }, undefined],
])('%s', (_, data, number) => expect(numberOfInbound(event(data))).toBe(number))

test('what is no event counts for nobody', () => {
  expect(numberOfInbound(Buffer.from('{"direction":"inbound"'))).toBeUndefined()
  expect(numberOfInbound(Buffer.from('"direction":"inbound"'))).toBeUndefined()
})
