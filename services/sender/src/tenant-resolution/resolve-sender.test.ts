import type { Tenant } from '@cloudapi2/tenants'
import { expect, test } from 'vitest'
import { resolveSender, senderOfConversation } from './resolve-sender.ts'

const company = (companyId: string, ...numbers: string[]): Tenant => ({
  companyId,
  name: companyId,
  appSecrets: [],
  phoneNumbers: numbers.map((id) => ({ id, messagesPerSecond: 80 })),
  ...(numbers[0] === undefined ? {} : { defaultPhoneNumberId: numbers[0] }),
  defaultCountry: 'ES',
  rateLimit: { maxCalls: 20, windowSeconds: 60 },
  onUncertain: 'park',
  apiKeys: [],
})
const [one, two, none] = [company('one', '11', '12'), company('two', '21'), company('none')]
const tenants = {
  get: (id: string) => [one, two, none].find(({ companyId }) => companyId === id),
  byPhoneNumberId: (id: string) =>
    [one, two].find(({ phoneNumbers }) => phoneNumbers.some((number) => number.id === id)),
}
const resolve = (companyId?: string, phoneNumberId?: string) => resolveSender({ companyId, phoneNumberId }, tenants)
const conversation = (companyId?: string, phoneNumberId?: string) =>
  senderOfConversation({ companyId, phoneNumberId }, tenants)

test('a company named sends from the number named, or from its default one', () => {
  expect(resolve('one', '12')).toEqual({ kind: 'found', tenant: one, phoneNumberId: '12' })
  expect(resolve('one')).toEqual({ kind: 'found', tenant: one, phoneNumberId: '11' })
})
test('a company does not send from the number of another, nor from one of nobody', () => {
  for (const number of ['21', '99'])
    expect(resolve('one', number)).toMatchObject({
      kind: 'refused',
      tenant: one,
      error: { code: 'PHONE_NUMBER_OF_ANOTHER_COMPANY' },
    })
})
test('a company that is not there sends nothing', () =>
  expect(resolve('three')).toMatchObject({ kind: 'refused', error: { code: 'UNKNOWN_COMPANY' } }))
test('a number alone tells its company', () =>
  expect(resolve(undefined, '21')).toEqual({ kind: 'found', tenant: two, phoneNumberId: '21' }))
test('a number that nobody has tells nothing, and no conversation is asked instead', () =>
  expect(resolve(undefined, '99')).toMatchObject({ kind: 'refused', error: { code: 'UNKNOWN_PHONE_NUMBER' } }))
test('with neither, the recipient’s latest conversation is to be asked', () =>
  expect(resolve()).toEqual({ kind: 'ask' }))
test('the latest conversation tells company and number', () =>
  expect(conversation('one', '12')).toEqual({ kind: 'found', tenant: one, phoneNumberId: '12' }))
test('a conversation over a number that the company has no more goes on over its default one', () =>
  expect(conversation('one', '99')).toEqual({ kind: 'found', tenant: one, phoneNumberId: '11' }))
test('no conversation, or one with a company that is gone, is refused', () => {
  expect(conversation()).toMatchObject({ kind: 'refused', error: { code: 'SENDER_NOT_FOUND' } })
  expect(conversation('three', '1')).toMatchObject({ kind: 'refused', error: { code: 'SENDER_NOT_FOUND' } })
})
test('a company without any number is found all the same: the refusal belongs into its log', () =>
  expect(resolve('none')).toEqual({ kind: 'found', tenant: none, phoneNumberId: undefined }))
