import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isSameLanguage, parseTemplateDefinition } from './template-definition.ts'

const fixture = (path: string): { data: unknown[] } =>
  JSON.parse(readFileSync(new URL(`../../fixtures/${path}`, import.meta.url), 'utf8'))

describe('a definition', () => {
  const definitions = fixture('graph/templates.list.json').data.map(parseTemplateDefinition)

  test('of a positional template', () =>
    expect(definitions[0]).toEqual({
      id: '772104938815520',
      name: 'order_ready',
      language: 'en_US',
      status: 'APPROVED',
      category: 'UTILITY',
      parameterFormat: 'POSITIONAL',
      headerParameters: [],
      bodyParameters: ['1', '2'],
      buttons: [],
      cards: [],
    }))

  test('of a named template with an image', () =>
    expect(definitions[1]).toEqual({
      id: '772104938815999',
      name: 'week_offer',
      language: 'en_US',
      status: 'PAUSED',
      category: 'MARKETING',
      parameterFormat: 'NAMED',
      headerFormat: 'IMAGE',
      headerParameters: [],
      bodyParameters: ['first_name'],
      buttons: [],
      cards: [],
    }))

  test('of a text header counts its parameters apart', () =>
    expect(parseTemplateDefinition(fixture('outbound/template-create.json'))).toMatchObject({
      parameterFormat: 'POSITIONAL',
      headerFormat: 'TEXT',
      headerParameters: ['1'],
      bodyParameters: ['1', '2'],
    }))

  test('names each parameter once, positions in their order', () => {
    const body = (text: string) =>
      parseTemplateDefinition({ name: 'a', language: 'es', components: [{ type: 'BODY', text }] })
    expect(body('{{10}} {{2}} {{1}} {{2}}')).toMatchObject({
      parameterFormat: 'POSITIONAL',
      bodyParameters: ['1', '2', '10'],
    })
    expect(body('{{ b }} {{a}} {{b}}')).toMatchObject({ parameterFormat: 'NAMED', bodyParameters: ['b', 'a'] })
    expect(body('no parameters')).toMatchObject({ bodyParameters: [] })
  })

  test.each([[null], [3], [{}], [{ name: 'a' }], [{ language: 'es' }]])('%j is none', (item) =>
    expect(parseTemplateDefinition(item)).toBeUndefined(),
  )

  test.each([[undefined], ['x'], [[null, 3, { type: 7 }, { type: 'BODY' }]]])(
    'components of %j ask for nothing',
    (components) =>
      expect(parseTemplateDefinition({ name: 'a', language: 'es', components })).toMatchObject({
        headerParameters: [],
        bodyParameters: [],
      }),
  )

  test('en_US and en-US are one language, en is another', () => {
    expect(isSameLanguage('en_US', 'en-us')).toBe(true)
    expect(isSameLanguage('en_US', 'en')).toBe(false)
  })

  const withButtons = (category: string, ...buttons: object[]) =>
    parseTemplateDefinition({
      name: 'a',
      language: 'es',
      category,
      components: [{ type: 'BODY' }, { type: 'BUTTONS', buttons }],
    })

  test('tells by position what each button takes', () =>
    expect(
      withButtons(
        'MARKETING',
        { type: 'QUICK_REPLY', text: 'Yes' },
        { type: 'URL', url: 'https://example.com/{{1}}' },
        { type: 'URL', url: 'https://example.com/' },
        { type: 'PHONE_NUMBER', phone_number: '+34608684495' },
        { type: 'COPY_CODE' },
        { type: 'FLOW' },
        { type: 'CATALOG' },
        { type: 'MPM' },
        { type: 'VOICE_CALL' },
        { type: 'SOMETHING_NEW' },
      )?.buttons,
    ).toEqual(['quick_reply', 'url', 'none', 'none', 'copy_code', 'flow', 'catalog', 'mpm', 'voice_call', 'none']))

  test('of an authentication template takes the code in its text and in its button, however Meta writes them', () => {
    const url = { type: 'URL', url: 'https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}' }
    for (const button of [url, { type: 'OTP', otp_type: 'ONE_TAP' }])
      expect(withButtons('AUTHENTICATION', button)).toMatchObject({ bodyParameters: ['1'], buttons: ['otp'] })
    expect(withButtons('UTILITY', url)).toMatchObject({ bodyParameters: [], buttons: ['url'] })
  })

  test('of a carousel has a layout for each card', () =>
    expect(
      parseTemplateDefinition({
        name: 'a',
        language: 'es',
        components: [
          { type: 'BODY', text: 'Hello {{1}}' },
          {
            type: 'CAROUSEL',
            cards: [
              {
                components: [
                  { type: 'HEADER', format: 'IMAGE' },
                  { type: 'BODY', text: 'Offer {{1}}' },
                  {
                    type: 'BUTTONS',
                    buttons: [{ type: 'QUICK_REPLY' }, { type: 'URL', url: 'https://a.example/{{1}}' }],
                  },
                ],
              },
              { components: [{ type: 'HEADER', format: 'PRODUCT' }] },
            ],
          },
        ],
      }),
    ).toMatchObject({
      parameterFormat: 'POSITIONAL',
      cards: [
        { headerFormat: 'IMAGE', bodyParameters: ['1'], buttons: ['quick_reply', 'url'] },
        { headerFormat: 'PRODUCT', bodyParameters: [], buttons: [] },
      ],
    }))

  test('of a limited-time offer tells whether it ends', () => {
    const offer = (limited_time_offer: unknown) =>
      parseTemplateDefinition({
        name: 'a',
        language: 'es',
        components: [{ type: 'LIMITED_TIME_OFFER', limited_time_offer }],
      })?.offer
    expect(offer({ text: 'Expiring!', has_expiration: true })).toEqual({ expires: true })
    expect(offer({ text: 'Expiring!', has_expiration: false })).toEqual({ expires: false })
    expect(offer(undefined)).toEqual({ expires: true })
  })
})
