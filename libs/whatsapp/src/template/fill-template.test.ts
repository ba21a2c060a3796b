import { readdirSync, readFileSync } from 'node:fs'
import type { TemplateValue } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'
import {
  fillTemplate,
  fillUnknownTemplate,
  type TemplateComponent,
  TemplateDefinitionNeeded,
  type TemplateLayout,
} from './fill-template.ts'
import { body, buttons, carousel, definitionOf, fixedUrl, header, offer, url } from './template.rig.ts'
import { TemplateDataMismatch } from './template-data-mismatch.ts'
import type { TemplateData } from './template-tree.ts'

const FILES = new URL('../../fixtures/outbound/', import.meta.url)
const sent = (file: string): { components?: TemplateComponent[] } =>
  JSON.parse(readFileSync(new URL(`${file}.json`, FILES), 'utf8')).template

const LOCATION = { latitude: 52.5163, longitude: 13.3777, name: 'Corner Bakery', address: 'Pariser Platz 1, Berlin' }
const CATALOG_ID = '338109577204416'
const ID = '1460927783319058'
const card = [header('IMAGE'), body('Offer {{1}}'), buttons('QUICK_REPLY', url)]
const product = (product_retailer_id: string) => ({ product_retailer_id, catalog_id: CATALOG_ID })

describe('each kind of template is filled as Meta wants it', () => {
  const kinds: [file: string, components: object[], data: TemplateData, more?: object][] = [
    ['template-no-parameters', [body('Welcome')], {}],
    ['template-body-positional', [body('Hello {{1}}, {{2}} is ready')], { '1': 'Nora', '2': '5521' }],
    [
      'template-body-named',
      [body('{{first_name}}, {{order_number}} is ready')],
      { order_number: 5521, first_name: 'Nora' },
    ],
    ['template-header-text', [header('TEXT', 'Order {{1}}'), body('Hello {{1}}')], { '1': '5521', '2': 'Nora' }],
    ['template-header-text', [header('TEXT', 'Order {{1}}'), body('Hello {{1}}')], { header: '5521', '1': 'Nora' }],
    ['template-header-image', [header('IMAGE'), body('Hello {{1}}')], { header: ID, '1': 'Nora' }],
    ['template-header-image', [header('IMAGE'), body('Hello {{1}}')], { 'header.id': ID, 'body.1': 'Nora' }],
    ['template-header-video', [header('VIDEO')], { header: 'https://media.example.com/bakery/offer.mp4' }],
    [
      'template-header-document',
      [header('DOCUMENT'), body('Invoice {{1}}')],
      { header: { id: ID, filename: 'invoice-5521.pdf' }, '1': '5521' },
    ],
    ['template-header-location', [header('LOCATION'), body('Here we are')], { header: LOCATION }],
    [
      'template-currency-and-date',
      [body('{{1}} is due on {{2}}')],
      {
        '1': { fallback_value: 'EUR 12.50', code: 'EUR', amount_1000: 12500 },
        '2': { fallback_value: 'October 2, 2026' },
      },
    ],
    [
      'template-button-quick-reply',
      [body('Order {{1}}?'), buttons('QUICK_REPLY', 'QUICK_REPLY')],
      { '1': '5521', buttons: ['CONFIRM-5521', 'CANCEL-5521'] },
    ],
    ['template-button-url', [body('Order {{1}}'), buttons(url)], { '1': '5521', 'buttons.0': '5521-n3mtql' }],
    [
      'template-button-copy-code',
      [body('{{1}} off'), buttons('COPY_CODE')],
      { '1': '25%', buttons: { '0': 'BREAD25' } },
    ],
    [
      'template-button-flow',
      [body('Book'), buttons('FLOW')],
      { buttons: [{ flow_token: 'ft-8841', flow_action_data: { guests: '4' } }] },
    ],
    ['template-button-catalog', [body('{{1}} breads'), buttons('CATALOG')], { '1': 40, 'buttons.0': 'SKU-RYE-750' }],
    [
      'template-button-mpm',
      [header('TEXT', 'Hi {{1}}'), body('{{1}}'), buttons('MPM')],
      {
        header: 'Nora',
        '1': '10OFF',
        buttons: [
          {
            thumbnail_product_retailer_id: 'SKU-RYE-750',
            sections: [
              {
                title: 'Bread',
                product_items: [{ product_retailer_id: 'SKU-RYE-750' }, { product_retailer_id: 'SKU-ROLL-6' }],
              },
            ],
          },
        ],
      },
    ],
    [
      'template-button-voice-call',
      [body('Call'), buttons('VOICE_CALL')],
      { buttons: [{ payload: 'order-5521', ttl_minutes: 100 }] },
    ],
    [
      'template-single-product',
      [header('PRODUCT'), body('Use {{code}}'), buttons('SPM')],
      { header: product('SKU-RYE-750'), code: '25OFF' },
    ],
    [
      'template-carousel-media',
      [body('Hello {{1}}'), carousel(card, card)],
      {
        '1': 'Nora',
        cards: [
          { header: ID, '1': 'Offer 1', buttons: ['MORE-0', 'offer-1'] },
          { header: { id: ID }, body: { '1': 'Offer 2' }, buttons: { '0': 'MORE-1', '1': 'offer-2' } },
        ],
      },
    ],
    [
      'template-carousel-media',
      [body('Hello {{1}}'), carousel(card, card)],
      {
        '1': 'Nora',
        'cards.0.header': ID,
        'cards.0.1': 'Offer 1',
        'cards.0.buttons.0': 'MORE-0',
        'cards.0.buttons.1': 'offer-1',
        'cards.1.header.id': ID,
        'cards.1.body.1': 'Offer 2',
        'cards.1.buttons': ['MORE-1', 'offer-2'],
      },
    ],
    [
      'template-carousel-product',
      [body('Hello {{1}}'), carousel([header('PRODUCT'), buttons('SPM')], [header('PRODUCT'), buttons('SPM')])],
      { '1': 'Nora', cards: [{ header: product('SKU-RYE-750') }, { header: product('SKU-ROLL-6') }] },
    ],
    [
      'template-limited-time-offer',
      [header('IMAGE'), offer(), body('{{1}}, {{2}}'), buttons('COPY_CODE', url)],
      {
        header: ID,
        '1': 'Nora',
        '2': 'BREAD25',
        offer_expires_at: '2026-09-12T12:40:00+02:00',
        buttons: ['BREAD25', 'n3mtql'],
      },
    ],
    [
      'template-auth-otp',
      [{ type: 'BODY', add_security_recommendation: true }, buttons({ type: 'OTP', otp_type: 'COPY_CODE' })],
      { code: '482913' },
      { category: 'AUTHENTICATION' },
    ],
    [
      'template-group-invite',
      [body('Join {{1}}')],
      { '1': { group_id: 'Y2FwaV9ncm91cDoxNTU1MDE0Mjc2MDoxMjAzNjM0MjE3ODgwMDQ1NTIZD' } },
    ],
    ['template-marketing-messages-endpoint', [body('Hello {{1}}, this week only')], { '1': 'Nora' }],
    ['template-request-contact-info-to-bsuid', [body('Your phone?'), buttons('REQUEST_CONTACT_INFO')], {}],
  ]

  test.each(kinds)('%s', (file, components, data, more) =>
    expect(fillTemplate(definitionOf(components, more), data)).toEqual(sent(file).components ?? []),
  )

  test('none is left out', () => {
    const files = readdirSync(FILES).filter((file) => file.startsWith('template-') && file !== 'template-create.json')
    expect([...new Set(kinds.map(([file]) => `${file}.json`))].sort()).toEqual(files.sort())
  })
})

const faultsOf = (layout: TemplateLayout, data: TemplateData, cover?: string): TemplateDataMismatch => {
  try {
    fillTemplate(layout, data, cover === undefined ? {} : { cover })
  } catch (error) {
    if (error instanceof TemplateDataMismatch) return error
  }
  throw new Error('it fits')
}

describe('the text', () => {
  const named: TemplateLayout = {
    parameterFormat: 'NAMED',
    headerParameters: ['shop'],
    bodyParameters: ['name', 'order'],
  }
  const positional: TemplateLayout = {
    parameterFormat: 'POSITIONAL',
    headerParameters: ['1'],
    bodyParameters: ['1', '2'],
  }
  const texts = (layout: TemplateLayout, data: TemplateData) =>
    fillTemplate(layout, data).map(({ parameters }) => (parameters as { text: string }[]).map(({ text }) => text))

  test('names go where they belong, in any order and of any type', () =>
    expect(fillTemplate(named, { order: 5521, name: 'Nora', shop: true })).toEqual([
      { type: 'header', parameters: [{ type: 'text', text: 'true', parameter_name: 'shop' }] },
      {
        type: 'body',
        parameters: [
          { type: 'text', text: 'Nora', parameter_name: 'name' },
          { type: 'text', text: '5521', parameter_name: 'order' },
        ],
      },
    ]))

  test('positions count through the header, then the body', () =>
    expect(texts(positional, { '3': 'c', '1': 'a', '2': 'b' })).toEqual([['a'], ['b', 'c']]))

  test('words for keys of a positional template count in their own order', () =>
    expect(texts(positional, { shop: 'a', 'customer.name': 'b', order: 'c' })).toEqual([['a'], ['b', 'c']]))

  test('a header given apart leaves the positions to the body', () => {
    expect(texts(positional, { header: 'a', '1': 'b', '2': 'c' })).toEqual([['a'], ['b', 'c']])
    expect(texts(positional, { header: { '1': 'a' }, body: ['b', 'c'].reduce(byPosition, {}) })).toEqual([
      ['a'],
      ['b', 'c'],
    ])
    expect(faultsOf(positional, { 'body.1': 'b', 'body.2': 'c' }).missing).toEqual(['header'])
  })
  const byPosition = (all: Record<string, TemplateValue>, value: string, index: number) => ({
    ...all,
    [index + 1]: value,
  })

  test('a parameter may bear the name of a part that the template does not have', () => {
    const layout: TemplateLayout = { parameterFormat: 'NAMED', bodyParameters: ['header', 'buttons', 'body'] }
    expect(texts(layout, { header: 'a', buttons: 'b', body: 'c' })).toEqual([['a', 'b', 'c']])
  })
  test('a parameter that bears the name of a part of the template is given below the body', () => {
    const definition = definitionOf([header('IMAGE'), body('{{header}}')])
    expect(fillTemplate(definition, { header: ID, 'body.header': 'a' })[1]).toMatchObject({
      parameters: [{ text: 'a' }],
    })
    expect(faultsOf(definition, { header: ID }).missing).toEqual(['header'])
  })

  test.each<[TemplateLayout, TemplateData, string[], string[]]>([
    [named, {}, ['shop', 'name', 'order'], []],
    [named, { shop: 'a', nmae: 'b', order: 'c' }, ['name'], ['nmae']],
    [named, { shop: 'a', name: 'b', order: 'c', extra: 'd' }, [], ['extra']],
    [named, { shop: 'a', name: 'b', order: 'c', 'body.name': 'd' }, [], ['body.name']],
    [positional, {}, ['1', '2', '3'], []],
    [positional, { '1': 'a', '2': 'b', '4': 'd' }, ['3'], ['4']],
    [positional, { shop: 'a' }, ['2', '3'], []],
    [positional, { a: 'a', b: 'b', c: 'c', d: 'd' }, [], ['d']],
    [{ parameterFormat: 'NAMED', bodyParameters: ['toString'] }, {}, ['toString'], []],
    [{ parameterFormat: 'NAMED', bodyParameters: [] }, JSON.parse('{"__proto__":"x"}'), [], ['__proto__']],
  ])('%j with %j lacks %j and has %j too much', (layout, data, missing, surplus) =>
    expect(faultsOf(layout, data)).toMatchObject({ missing, surplus }),
  )
})

describe('the cover', () => {
  const cover = 'https://media.example.com/cover.png'
  const offerOf = (format: string) => definitionOf([header(format), body('This week only')])
  const link = (given: string) => [{ type: 'header', parameters: [{ type: 'image', image: { link: given } }] }]

  test('becomes the image of the header when the data brings none', () =>
    expect(fillTemplate(offerOf('IMAGE'), {}, { cover })).toEqual(link(cover)))
  test('stands back for an image of the data', () =>
    expect(fillTemplate(offerOf('IMAGE'), { header: `${cover}?mine` }, { cover })).toEqual(link(`${cover}?mine`)))
  test('is no video, and no header of a template without one', () => {
    expect(faultsOf(offerOf('VIDEO'), {}, cover).missing).toEqual(['header'])
    expect(fillTemplate(definitionOf([body('This week only')]), {}, { cover })).toEqual([])
  })
})

describe('what the template needs and the data lacks is named:', () => {
  test.each<[string, object[], TemplateData, string[]]>([
    ['the file of a header', [header('IMAGE')], {}, ['header']],
    ['the file of a header', [header('DOCUMENT'), body('{{1}}')], {}, ['header', '1']],
    ['half a location', [header('LOCATION')], { header: { latitude: 1 } }, ['header.longitude']],
    ['the catalog of a product', [header('PRODUCT')], { 'header.product_retailer_id': 'a' }, ['header.catalog_id']],
    ['the end of an address', [body('{{a}}'), buttons('PHONE_NUMBER', url)], { a: 'x' }, ['buttons.1']],
    ['a code to be copied', [buttons('COPY_CODE')], {}, ['buttons.0']],
    ['products', [buttons('MPM')], {}, ['buttons.0']],
    ['sections', [buttons('MPM')], { buttons: [{ thumbnail_product_retailer_id: 'a' }] }, ['buttons.0.sections']],
    ['the end of an offer', [offer()], {}, ['offer_expires_at']],
    [
      'a card',
      [carousel(card, card)],
      { cards: [{ header: ID, '1': 'a', buttons: { '1': 'b' } }] },
      ['cards.1.header', 'cards.1.1', 'cards.1.buttons.1'],
    ],
    ['an amount', [body('{{1}}')], { '1': { amount_1000: 1, code: 'EUR' } }, ['1.fallback_value']],
  ])('%s', (_, components, data, missing) =>
    expect(faultsOf(definitionOf(components), data)).toMatchObject({ missing, surplus: [] }),
  )

  test('the code of an authentication template, once', () => {
    const login = definitionOf([body('{{1}} is your code'), buttons('OTP')], { category: 'AUTHENTICATION' })
    expect(faultsOf(login, {}).missing).toEqual(['1'])
  })
})

describe('what the template does not have is named:', () => {
  test.each<[string, object[], TemplateData, string[]]>([
    ['a header', [body('x')], { header: { link: 'https://a.example' } }, ['header']],
    [
      'a name of a file that is no document',
      [header('IMAGE')],
      { header: { id: ID, filename: 'a' } },
      ['header.filename'],
    ],
    ['a button', [buttons('QUICK_REPLY')], { buttons: ['a', 'b'] }, ['buttons.1']],
    ['a value for a button that takes none', [buttons(fixedUrl)], { buttons: ['a'] }, ['buttons.0']],
    ['buttons', [body('x')], { buttons: ['a'] }, ['buttons.0']],
    ['a button by another spelling', [buttons('QUICK_REPLY')], { buttons: { '00': 'a' } }, ['buttons.00']],
    ['cards', [body('x')], { cards: [{ header: ID }] }, ['cards']],
    ['a third card', [carousel(card)], { cards: [{ header: ID, '1': 'a', buttons: ['b', 'c'] }, {}] }, ['cards.1']],
    ['an offer', [body('x')], { offer_expires_at: 1 }, ['offer_expires_at']],
    ['a field of a form', [buttons('FLOW')], { buttons: [{ token: 'a' }] }, ['buttons.0.token']],
    ['the same thing twice', [header('IMAGE')], { header: ID, 'header.link': 'https://a.example' }, ['header.link']],
  ])('%s', (_, components, data, surplus) =>
    expect(faultsOf(definitionOf(components), data)).toMatchObject({ missing: [], surplus }),
  )
})

describe('what cannot be what the template needs is told without its value:', () => {
  const long = (count: number) => 'x'.repeat(count)
  test.each<[string, object[], TemplateData, string, object?]>([
    ['header', [header('TEXT', '{{1}}'), body('x')], { '1': long(61) }, '1: expected at most 60 characters, found 61'],
    [
      'body beside others',
      [body('{{1}}'), buttons(url)],
      { '1': long(1_025), buttons: ['a'] },
      '1: expected at most 1024 characters, found 1025',
    ],
    ['body alone', [body('{{1}}')], { '1': long(32_769) }, '1: expected at most 32768 characters, found 32769'],
    ['coupon', [buttons('COPY_CODE')], { buttons: [long(21)] }, 'buttons.0: expected at most 20 characters, found 21'],
    [
      'code',
      [body('{{1}}'), buttons('OTP')],
      { '1': long(16) },
      '1: expected at most 15 characters, found 16',
      { category: 'AUTHENTICATION' },
    ],
    ['address', [buttons(url)], { buttons: [long(2_001)] }, 'buttons.0: expected at most 2000 characters, found 2001'],
    ['nothing', [body('{{a}}')], { a: '' }, 'a: expected a text that is not empty'],
    ['a list', [body('{{a}}')], { a: ['Confidential'] }, 'a: expected a text'],
    [
      'no link',
      [header('IMAGE')],
      { header: 'Confidential' },
      'header: expected an image, by link or by the id of an upload',
    ],
    [
      'both sources',
      [header('VIDEO')],
      { header: { id: ID, link: 'https://a.example' } },
      'header: expected exactly one of link and id',
    ],
    ['no place', [header('LOCATION')], { header: 'Confidential' }, 'header: expected a location'],
    [
      'no time',
      [offer()],
      { offer_expires_at: 'Confidential' },
      'offer_expires_at: expected a time as 2026-12-24T18:00:00Z, or in milliseconds since 1970',
    ],
    [
      'no list of buttons',
      [buttons('QUICK_REPLY')],
      { buttons: 'Confidential' },
      'buttons: expected a list, or positions from 0 with what belongs there',
    ],
    ['no card', [carousel(card)], { cards: ['Confidential'] }, 'cards.0: expected what fills the card, by key'],
  ])('%s', (_, components, data, told, more) => {
    const { message } = faultsOf(definitionOf(components, more), data)
    expect(message).toBe(`template_data does not fit the template: ${told}`)
  })

  test('at its limit a text fits', () => {
    const texts = (components: object[], data: TemplateData, more?: object) =>
      JSON.stringify(fillTemplate(definitionOf(components, more), data))
    expect(texts([header('TEXT', '{{1}}'), body('x')], { '1': long(60) })).toContain(long(60))
    expect(texts([body('{{1}}'), buttons(url)], { '1': long(1_024), buttons: [long(2_000)] })).toContain(long(1_024))
    expect(texts([body('{{1}}')], { '1': long(32_768) })).toContain(long(32_768))
    expect(texts([buttons('COPY_CODE')], { buttons: [long(20)] })).toContain(long(20))
    expect(texts([body('{{1}}'), buttons('OTP')], { '1': long(15) }, { category: 'AUTHENTICATION' })).toContain(
      long(15),
    )
  })
})

describe('what may be left out', () => {
  test('a payload, the product of a catalog and the settings of a call: Meta has a default', () =>
    expect(fillTemplate(definitionOf([buttons('QUICK_REPLY', 'CATALOG', 'VOICE_CALL')]), {})).toEqual([]))
  test('the token of a form, which then has Meta’s default', () =>
    expect(fillTemplate(definitionOf([buttons('FLOW')]), {})).toMatchObject([
      { sub_type: 'flow', parameters: [{ action: { flow_token: 'unused' } }] },
    ]))
  test('the end of an offer that has none', () => expect(fillTemplate(definitionOf([offer(false)]), {})).toEqual([]))
  test('a carousel of products may have more cards than the template', () =>
    expect(
      fillTemplate(definitionOf([carousel([header('PRODUCT')])]), {
        cards: [{ header: product('a') }, { header: product('b') }],
      }),
    ).toMatchObject([{ cards: [{ card_index: 0 }, { card_index: 1 }] }]))
})

test('every fault has its field and says what belongs there', () => {
  const { fields, code, retryable } = faultsOf(definitionOf([header('IMAGE'), body('{{a}}')]), { a: '', b: 'c' })
  expect([code, retryable]).toEqual(['TEMPLATE_DATA_MISMATCH', false])
  expect(fields).toEqual([
    { path: 'header', message: 'required: expected an image, by link or by the id of an upload' },
    { path: 'b', message: 'the template does not have it' },
    { path: 'a', message: 'expected a text that is not empty' },
  ])
})

describe('without a definition', () => {
  test('numbers are positions of the body in their order, words its names', () => {
    expect(fillUnknownTemplate({ '7': 'b', '2': 'a' })).toEqual([
      {
        type: 'body',
        parameters: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
    ])
    expect(fillUnknownTemplate({ name: 'Nora' })).toEqual([
      { type: 'body', parameters: [{ type: 'text', text: 'Nora', parameter_name: 'name' }] },
    ])
  })
  test.each(['header', 'buttons.0', 'cards.0.header', 'offer_expires_at'])('%s cannot be placed', (key) =>
    expect(() => fillUnknownTemplate({ [key]: 'Confidential' })).toThrowError(
      expect.objectContaining({ code: 'TEMPLATE_DEFINITION_NEEDED', message: expect.stringMatching(`: ${key}$`) }),
    ),
  )
  test('an object cannot be placed', () =>
    expect(() => fillUnknownTemplate({ total: { fallback_value: '1' } })).toThrow(TemplateDefinitionNeeded))
})
