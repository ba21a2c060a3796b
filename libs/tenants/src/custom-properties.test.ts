import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidSettings, KNOWN_PROPERTIES, parseCustomProperties } from './custom-properties.ts'

const faultsOf = (properties: unknown): string[] => {
  try {
    parseCustomProperties(properties)
    return []
  } catch (error) {
    if (error instanceof InvalidSettings) return error.fields.map(({ path }) => path)
    throw error
  }
}

describe('settings of a company', () => {
  test('a company without settings has the defaults', () => {
    expect(parseCustomProperties({})).toEqual({
      DEFAULT_COUNTRY: 'ES',
      RATE_LIMIT_MAX_CALLS: 20,
      RATE_LIMIT_WINDOW_SECONDS: 60,
      ON_UNCERTAIN: 'park',
    })
  })

  test('the properties of the first version are read as they were', () => {
    const properties = {
      WHATSAPP_ACCESS_TOKEN: 'EAA...',
      WHATSAPP_PHONE_NUMBER_ID: '674372385752523',
      WHATSAPP_BUSINESS_ID: '819700000000000',
      WHATSAPP_COVER: 'https://example.com/cover.png',
    }
    expect(parseCustomProperties(properties)).toMatchObject(properties)
  })

  test('unknown keys are no fault, whatever they hold', () => {
    expect(faultsOf({ SMTP_HOST: 1, theme: { dark: true }, whatsapp_cover: 5, '': null })).toEqual([])
  })

  test('a known property that is null is absent', () => {
    const allNull = Object.fromEntries(KNOWN_PROPERTIES.map((name) => [name, null]))
    expect(parseCustomProperties(allNull)).toEqual(parseCustomProperties({}))
  })

  test('numbers may be written as text', () => {
    expect(
      parseCustomProperties({
        RATE_LIMIT_MAX_CALLS: '5',
        RATE_LIMIT_WINDOW_SECONDS: 10,
        RETENTION_DAYS: '365',
        WHATSAPP_PHONE_NUMBER_ID: 674372385752523,
      }),
    ).toMatchObject({
      RATE_LIMIT_MAX_CALLS: 5,
      RATE_LIMIT_WINDOW_SECONDS: 10,
      RETENTION_DAYS: 365,
      WHATSAPP_PHONE_NUMBER_ID: '674372385752523',
    })
  })

  test('an app secret is one text, or a list of two while it is being changed', () => {
    expect(parseCustomProperties({ WHATSAPP_APP_SECRET: 'a' }).WHATSAPP_APP_SECRET).toEqual(['a'])
    expect(parseCustomProperties({ WHATSAPP_APP_SECRET: ['b', 'a'] }).WHATSAPP_APP_SECRET).toEqual(['b', 'a'])
  })

  test('a number without a rate sends 80 messages per second', () => {
    const { WHATSAPP_PHONE_NUMBERS } = parseCustomProperties({
      WHATSAPP_PHONE_NUMBERS: [{ id: '1' }, { id: '2', messages_per_second: '1000', display_phone_number: '+34 600' }],
    })
    expect(WHATSAPP_PHONE_NUMBERS).toEqual([
      { id: '1', messages_per_second: 80 },
      { id: '2', messages_per_second: 1000, display_phone_number: '+34 600' },
    ])
  })

  test('a country may be written in lower case', () => {
    expect(parseCustomProperties({ DEFAULT_COUNTRY: 'pt' }).DEFAULT_COUNTRY).toBe('PT')
  })

  test.each([
    [{ WHATSAPP_ACCESS_TOKEN: '' }, 'WHATSAPP_ACCESS_TOKEN'],
    [{ WHATSAPP_ACCESS_TOKEN: 'a\r\nX-Evil: 1' }, 'WHATSAPP_ACCESS_TOKEN'],
    [{ WHATSAPP_ACCESS_TOKEN: 42 }, 'WHATSAPP_ACCESS_TOKEN'],
    [{ WHATSAPP_VERIFY_TOKEN: {} }, 'WHATSAPP_VERIFY_TOKEN'],
    [{ WHATSAPP_APP_SECRET: [] }, 'WHATSAPP_APP_SECRET'],
    [{ WHATSAPP_APP_SECRET: ['a', 'b', 'c'] }, 'WHATSAPP_APP_SECRET'],
    [{ WHATSAPP_APP_SECRET: ['a', ''] }, 'WHATSAPP_APP_SECRET.1'],
    [{ WHATSAPP_PHONE_NUMBER_ID: '12/34' }, 'WHATSAPP_PHONE_NUMBER_ID'],
    [{ WHATSAPP_PHONE_NUMBER_ID: 1.5 }, 'WHATSAPP_PHONE_NUMBER_ID'],
    [{ WHATSAPP_BUSINESS_ID: 'evt.>' }, 'WHATSAPP_BUSINESS_ID'],
    [{ WHATSAPP_COVER: 'ftp://example.com/a.png' }, 'WHATSAPP_COVER'],
    [{ WHATSAPP_COVER: 'cover.png' }, 'WHATSAPP_COVER'],
    [{ WHATSAPP_PHONE_NUMBERS: [{ id: 'x' }] }, 'WHATSAPP_PHONE_NUMBERS.0.id'],
    [{ WHATSAPP_PHONE_NUMBERS: [{ id: '1' }, { id: 1 }] }, 'WHATSAPP_PHONE_NUMBERS.1.id'],
    [
      { WHATSAPP_PHONE_NUMBERS: [{ id: '1', messages_per_second: 81 }] },
      'WHATSAPP_PHONE_NUMBERS.0.messages_per_second',
    ],
    [{ WHATSAPP_PHONE_NUMBERS: '1' }, 'WHATSAPP_PHONE_NUMBERS'],
    [{ DEFAULT_COUNTRY: 'ESP' }, 'DEFAULT_COUNTRY'],
    [{ DEFAULT_COUNTRY: 'XX' }, 'DEFAULT_COUNTRY'],
    [{ RESPONSIBLE_EMAIL: 'nobody' }, 'RESPONSIBLE_EMAIL'],
    [{ CHAT_URL: 'https://example.com/chats' }, 'CHAT_URL'],
    [{ RETENTION_DAYS: 0 }, 'RETENTION_DAYS'],
    [{ RETENTION_DAYS: '1e3' }, 'RETENTION_DAYS'],
    [{ RATE_LIMIT_MAX_CALLS: 1.5 }, 'RATE_LIMIT_MAX_CALLS'],
    [{ RATE_LIMIT_WINDOW_SECONDS: '' }, 'RATE_LIMIT_WINDOW_SECONDS'],
    [{ ON_UNCERTAIN: 'drop' }, 'ON_UNCERTAIN'],
    [[], 'custom_properties'],
    ['text', 'custom_properties'],
    [null, 'custom_properties'],
  ])('%j is refused, naming %s', (properties, name) => {
    expect(faultsOf(properties)).toEqual([name])
  })

  test('every wrong property is named at once', () => {
    expect(faultsOf({ ON_UNCERTAIN: 1, RETENTION_DAYS: -1, DEFAULT_COUNTRY: 'ES' }).sort()).toEqual([
      'ON_UNCERTAIN',
      'RETENTION_DAYS',
    ])
  })

  test('a refusal never repeats the value', () => {
    // A marker no wording of ours contains, in every shape JSON has.
    const planted = fc.constantFrom(
      'Zq9Zq9',
      ['Zq9Zq9'],
      { Zq9Zq9: 'Zq9Zq9' },
      [{ id: 'Zq9Zq9', messages_per_second: 'Zq9Zq9' }],
      '\u0000Zq9Zq9',
    )
    fc.assert(
      fc.property(fc.constantFrom(...KNOWN_PROPERTIES), planted, (name, value) => {
        try {
          parseCustomProperties({ [name]: value })
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidSettings)
          expect(JSON.stringify([(error as Error).message, (error as InvalidSettings).fields])).not.toContain('Zq9Zq9')
        }
      }),
    )
  })

  test('any JSON is either read or refused by name', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...KNOWN_PROPERTIES, 'OTHER'), fc.jsonValue()), (properties) => {
        for (const path of faultsOf(properties)) expect(KNOWN_PROPERTIES).toContain(path.split('.')[0])
      }),
    )
  })
})
