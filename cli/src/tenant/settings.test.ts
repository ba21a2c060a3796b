import { describe, expect, test } from 'vitest'
import { changeOf, propertyOf, secretSourceOf, secretsByName, secretText } from './settings.ts'

describe('--property', () => {
  test('keeps a value as it stands: an id of digits stays text', () => {
    expect(propertyOf('WHATSAPP_PHONE_NUMBER_ID=674372385752523')).toEqual([
      'WHATSAPP_PHONE_NUMBER_ID',
      '674372385752523',
    ])
    expect(propertyOf('CHAT_URL=https://crm.example/?a=b&id={chat_id}')).toEqual([
      'CHAT_URL',
      'https://crm.example/?a=b&id={chat_id}',
    ])
  })
  test('reads a list or an object as JSON', () => {
    expect(propertyOf('WHATSAPP_PHONE_NUMBERS=[{"id":"1"}]')).toEqual(['WHATSAPP_PHONE_NUMBERS', [{ id: '1' }]])
    expect(() => propertyOf('WHATSAPP_PHONE_NUMBERS=[{')).toThrow('begins like JSON, and is none')
  })
  test.each(['WHATSAPP_ACCESS_TOKEN', 'WHATSAPP_APP_SECRET', 'whatsapp_verify_token'])(
    'refuses the secret %s without showing it, and says how it is given',
    (name) => {
      const refusal = () => propertyOf(`${name}=EAAsecreto`)
      expect(refusal).toThrow(/--secret-from WHATSAPP_\w+=FILE .* --secret-env/)
      expect(refusal).not.toThrow(/secreto/)
    },
  )
  test('does not show what has no name: it may be a secret', () => {
    expect(() => propertyOf('EAAsecreto')).toThrow(/^--property expects NAME=VALUE$/)
  })
})

describe('a secret', () => {
  test('is read from somewhere that has a name', () => {
    expect(secretSourceOf('--secret-from', 'WHATSAPP_APP_SECRET=/run/secrets/app')).toEqual([
      'WHATSAPP_APP_SECRET',
      '/run/secrets/app',
    ])
    expect(() => secretSourceOf('--secret-from', 'DEFAULT_COUNTRY=file')).toThrow(
      'expected one of WHATSAPP_ACCESS_TOKEN',
    )
    expect(() => secretSourceOf('--secret-from', 'WHATSAPP_APP_SECRET=')).toThrow('says nowhere to read it from')
  })
  test('is one line; the end of that line is not part of it', () => {
    expect(secretText('N', 'file', 'EAA1\n')).toBe('EAA1')
    expect(secretText('N', 'file', 'EAA1\r\n')).toBe('EAA1')
    expect(() => secretText('N', 'file', '\n')).toThrow('N: file is empty')
    expect(() => secretText('N', 'file', 'EAA1\nEAA2\n')).toThrow('N: file has more than one line')
  })
  test('given twice is a list of two', () => {
    expect(
      secretsByName([
        ['A', '1'],
        ['B', '2'],
        ['A', '3'],
      ]),
    ).toEqual({ A: ['1', '3'], B: '2' })
  })
})

describe('a change', () => {
  const none = { file: undefined, name: undefined, properties: [], unset: [], secrets: {} }

  test('is of a file and of options, which win', () => {
    const file = [{ id: 'x', name: 'Old', custom_properties: { A: 1, B: 2, C: 3 }, created_at: '2026' }]
    expect(
      changeOf({ file, name: 'New', properties: [['A', '9']], unset: ['B'], secrets: { WHATSAPP_APP_SECRET: 's' } }),
    ).toEqual({ name: 'New', custom_properties: { A: '9', B: null, C: 3, WHATSAPP_APP_SECRET: 's' } })
  })
  test('must change something', () => {
    expect(() => changeOf(none)).toThrow('nothing to set')
  })
  test('cannot set and remove the same', () => {
    expect(() => changeOf({ ...none, properties: [['A', '1']], unset: ['A'] })).toThrow('A is both set and unset')
  })
  test.each([[null], ['text'], [[]], [[{}, {}]], [{ name: 1 }], [{ custom_properties: [] }]])(
    'refuses a file of %j',
    (file) => {
      expect(() => changeOf({ ...none, file })).toThrow(/^(--file|nothing to set)/)
    },
  )
})
