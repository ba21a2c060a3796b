import { describe, expect, test } from 'vitest'
import { parseRecipient } from './recipient.ts'

describe('a phone number', () => {
  test.each([
    '608684495',
    '+34 608 68 44 95',
    '0034608684495',
    '34608684495',
    '608-684-495',
    '(608) 684.495',
    ' 34 608684495 ',
  ])('of the company’s own country is the same however it is written: %s', (text) =>
    expect(parseRecipient(text, 'ES')).toEqual({ phone: '34608684495' }),
  )
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('of a test recipient is a Spanish mobile number: …000%i', (n) =>
    expect(parseRecipient(`3460000000${n}`, 'ES')).toEqual({ phone: `3460000000${n}` }),
  )
  test('of another country needs its country code, with or without a plus', () => {
    expect(parseRecipient('+16285550137', 'ES')).toEqual({ phone: '16285550137' })
    expect(parseRecipient('16285550137', 'ES')).toEqual({ phone: '16285550137' })
    expect(parseRecipient('442071234560', 'ES')).toEqual({ phone: '442071234560' })
  })
  test('without a country code is of the company’s country', () => {
    expect(parseRecipient('2071234560', 'GB')).toEqual({ phone: '442071234560' })
    expect(parseRecipient('608684495', 'GB')).toBeUndefined()
  })
  test('may have the form that WhatsApp kept and its country gave up', () => {
    expect(parseRecipient('5215512345678', 'ES')).toEqual({ phone: '5215512345678' })
    expect(parseRecipient('551187654321', 'ES')).toEqual({ phone: '551187654321' })
  })
  test.each([
    '',
    ' ',
    '12',
    '+34 123',
    '+999608684495',
    'not a phone',
    '608684495; drop',
    '+34 608 68 44 95 00',
    '60868٤٤95',
  ])('that cannot exist is none: %j', (text) => expect(parseRecipient(text, 'ES')).toBeUndefined())
  test('of a company whose country nobody knows needs its country code', () => {
    expect(parseRecipient('608684495', 'XX')).toBeUndefined()
    expect(parseRecipient('+34608684495', 'XX')).toEqual({ phone: '34608684495' })
  })
})

describe('a user id', () => {
  test.each(['US.7492016538847201', 'GB.20561934877402915563', 'US.ENT.7492016538847201', 'ES.aB3'])('%s', (text) =>
    expect(parseRecipient(text, 'ES')).toEqual({ user_id: text }),
  )
  test.each(['us.7492', 'USA.7492', 'US.', 'US.74 92', 'US.ENT.', 'US.74>92'])('is not %j', (text) =>
    expect(parseRecipient(text, 'ES')).toBeUndefined(),
  )
})
