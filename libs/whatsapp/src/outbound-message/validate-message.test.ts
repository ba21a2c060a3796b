import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { validateMessage } from './validate-message.ts'

type Json = Record<string, unknown>

const FIXTURES = new URL('../../fixtures/outbound/', import.meta.url)
const fixture = (name: string): Json => JSON.parse(readFileSync(new URL(`${name}.json`, FIXTURES), 'utf8'))
/** Bodies of other calls. */
const OTHERS = [
  'block-users',
  'business-profile',
  'phone-number-webhook-override',
  'register',
  'subscribed-apps-override',
  'template-create',
]
const MESSAGES = readdirSync(FIXTURES)
  .map((file) => file.replace('.json', ''))
  .filter((name) => !OTHERS.includes(name))

const x = (length: number) => 'x'.repeat(length)
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
const paths = (body: unknown) => validateMessage(body).map(({ path }) => path)
const faults = (body: unknown) => validateMessage(body).map(({ path, message }) => `${path}: ${message}`)

test('there are bodies of every type among the fixtures', () => expect(MESSAGES.length).toBeGreaterThan(55))
test.each(MESSAGES)('%s is a message as Meta wants it', (name) => expect(validateMessage(fixture(name))).toEqual([]))
test.each(MESSAGES)('%s is one without its recipient, and with fields that Meta adds tomorrow, too', (name) => {
  const { to: _, recipient: __, recipient_type: ___, messaging_product: ____, ...body } = fixture(name)
  expect(validateMessage({ ...body, added_later: { a: [1] } })).toEqual([])
})

const interactive = (content: Json): Json => ({
  type: 'interactive',
  interactive: { body: { text: 'When?' }, ...content },
})
const reply = (id: string, title: string) => ({ type: 'reply', reply: { id, title } })
const buttons = (list: unknown[], more: Json = {}) =>
  interactive({ type: 'button', action: { buttons: list }, ...more })
const button = (title: string, id = 'yes') => buttons([reply(id, title)])
const row = (id: string, more: Json = {}) => ({ id, title: 'Rye', ...more })
const list = (sections: unknown[], more: Json = {}, action: Json = {}) =>
  interactive({ type: 'list', action: { button: 'Choose', sections, ...action }, ...more })
const rows = (count: number) => times(count, (i) => row(`r${i}`))
const cta = (parameters: Json, more: Json = {}) =>
  interactive({
    type: 'cta_url',
    action: { name: 'cta_url', parameters: { display_text: 'See', url: 'https://example.com', ...parameters } },
    ...more,
  })
const products = (count: number) => times(count, (i) => ({ product_retailer_id: `SKU-${i}` }))
const productList = (sections: unknown[]) =>
  interactive({
    type: 'product_list',
    header: { type: 'text', text: 'Bread' },
    action: { catalog_id: '1', sections },
  })
const card = (index: unknown, more: Json = {}) => ({
  card_index: index,
  type: 'cta_url',
  header: { type: 'image', image: { link: 'https://example.com/a.png' } },
  action: { name: 'cta_url', parameters: { display_text: 'See', url: 'https://example.com' } },
  ...more,
})
const carousel = (cards: unknown[]) => interactive({ type: 'carousel', action: { cards } })
const template = (components: unknown[], more: Json = {}): Json => ({
  type: 'template',
  template: { name: 'order_ready', language: { code: 'en_US' }, components, ...more },
})
const bodyOf = (text: unknown) => ({ type: 'body', parameters: [{ type: 'text', text }] })
const quickReply = (index: unknown) => ({
  type: 'button',
  sub_type: 'quick_reply',
  index,
  parameters: [{ type: 'payload', payload: 'YES' }],
})
const image = (content: Json): Json => ({ type: 'image', image: { id: '1', ...content } })
const contact = { name: { formatted_name: 'Corner Bakery', first_name: 'Corner' } }
const inText = (more: Json): Json => ({ type: 'text', text: { body: 'Hi' }, ...more })

describe('each limit of Meta', () => {
  test.each<[what: string, atTheLimit: Json, beyond: Json, path: string]>([
    ['a text has 4,096 characters', { text: { body: x(4096) } }, { text: { body: x(4097) } }, 'text.body'],
    ['a text has something in it', { text: { body: 'x' } }, { text: { body: '' } }, 'text.body'],
    [
      'callback data has 512 characters',
      inText({ biz_opaque_callback_data: x(512) }),
      inText({ biz_opaque_callback_data: x(513) }),
      'biz_opaque_callback_data',
    ],
    ['a caption has 1,024 characters', image({ caption: x(1024) }), image({ caption: x(1025) }), 'image.caption'],
    [
      '257 contacts go into a message',
      { type: 'contacts', contacts: times(257, () => contact) },
      { type: 'contacts', contacts: times(258, () => contact) },
      'contacts',
    ],
    [
      'a latitude is at most 90',
      { type: 'location', location: { latitude: 90, longitude: '-180' } },
      { type: 'location', location: { latitude: 90.1, longitude: '-180' } },
      'location.latitude',
    ],
    [
      'a longitude is at least -180',
      { type: 'location', location: { latitude: 0, longitude: -180 } },
      { type: 'location', location: { latitude: 0, longitude: '-180.1' } },
      'location.longitude',
    ],
    [
      'a body of buttons has 1,024 characters',
      buttons([reply('y', 'Yes')], { body: { text: x(1024) } }),
      buttons([reply('y', 'Yes')], { body: { text: x(1025) } }),
      'interactive.body.text',
    ],
    [
      'a body of a list has 4,096 characters',
      list([{ rows: rows(1) }], { body: { text: x(4096) } }),
      list([{ rows: rows(1) }], { body: { text: x(4097) } }),
      'interactive.body.text',
    ],
    [
      'a header has 60 characters',
      cta({}, { header: { type: 'text', text: x(60) } }),
      cta({}, { header: { type: 'text', text: x(61) } }),
      'interactive.header.text',
    ],
    [
      'a footer has 60 characters',
      cta({}, { footer: { text: x(60) } }),
      cta({}, { footer: { text: x(61) } }),
      'interactive.footer.text',
    ],
    [
      'there are 3 buttons',
      buttons(times(3, (i) => reply(`b${i}`, `B${i}`))),
      buttons(times(4, (i) => reply(`b${i}`, `B${i}`))),
      'interactive.action.buttons',
    ],
    ['there is 1 button', button('Yes'), buttons([]), 'interactive.action.buttons'],
    ['a button’s title has 20 characters', button(x(20)), button(x(21)), 'interactive.action.buttons.0.reply.title'],
    [
      'a button’s id has 256 characters',
      button('Yes', x(256)),
      button('Yes', x(257)),
      'interactive.action.buttons.0.reply.id',
    ],
    [
      'a list’s button has 20 characters',
      list([{ rows: rows(1) }], {}, { button: x(20) }),
      list([{ rows: rows(1) }], {}, { button: x(21) }),
      'interactive.action.button',
    ],
    [
      'a list has 10 sections',
      list(times(10, (i) => ({ title: `S${i}`, rows: [row(`r${i}`)] }))),
      list(times(11, (i) => ({ title: `S${i}`, rows: [row(`r${i}`)] }))),
      'interactive.action.sections',
    ],
    ['a list has 10 rows', list([{ rows: rows(10) }]), list([{ rows: rows(11) }]), 'interactive.action.sections'],
    ['a section has a row', list([{ rows: rows(1) }]), list([{ rows: [] }]), 'interactive.action.sections.0.rows'],
    [
      'a section’s title has 24 characters',
      list([{ title: x(24), rows: rows(1) }]),
      list([{ title: x(25), rows: rows(1) }]),
      'interactive.action.sections.0.title',
    ],
    [
      'a row’s id has 200 characters',
      list([{ rows: [row(x(200))] }]),
      list([{ rows: [row(x(201))] }]),
      'interactive.action.sections.0.rows.0.id',
    ],
    [
      'a row’s title has 24 characters',
      list([{ rows: [row('a', { title: x(24) })] }]),
      list([{ rows: [row('a', { title: x(25) })] }]),
      'interactive.action.sections.0.rows.0.title',
    ],
    [
      'a row’s description has 72 characters',
      list([{ rows: [row('a', { description: x(72) })] }]),
      list([{ rows: [row('a', { description: x(73) })] }]),
      'interactive.action.sections.0.rows.0.description',
    ],
    [
      'the text of a link has 20 characters',
      cta({ display_text: x(20) }),
      cta({ display_text: x(21) }),
      'interactive.action.parameters.display_text',
    ],
    [
      'a list of products has 10 sections',
      productList(times(10, (i) => ({ title: `S${i}`, product_items: products(1) }))),
      productList(times(11, (i) => ({ title: `S${i}`, product_items: products(1) }))),
      'interactive.action.sections',
    ],
    [
      'a list of products has 30 products',
      productList([{ product_items: products(30) }]),
      productList([{ product_items: products(31) }]),
      'interactive.action.sections',
    ],
    [
      'a carousel has 10 cards',
      carousel(times(10, (i) => card(i))),
      carousel(times(11, (i) => card(Math.min(i, 9)))),
      'interactive.action.cards',
    ],
    ['a carousel has 2 cards', carousel([card(0), card(1)]), carousel([card(0)]), 'interactive.action.cards'],
    [
      'the index of a card is at most 9',
      carousel([card(0), card('9')]),
      carousel([card(0), card(10)]),
      'interactive.action.cards.1.card_index',
    ],
    [
      'a card’s body has 160 characters',
      carousel([card(0, { body: { text: x(160) } }), card(1)]),
      carousel([card(0, { body: { text: x(161) } }), card(1)]),
      'interactive.action.cards.0.body.text',
    ],
    [
      'a card’s body has 2 line breaks',
      carousel([card(0, { body: { text: 'a\nb\r\nc' } }), card(1)]),
      carousel([card(0, { body: { text: 'a\nb\nc\nd' } }), card(1)]),
      'interactive.action.cards.0.body.text',
    ],
    [
      'a template’s name has 512 characters',
      template([], { name: x(512) }),
      template([], { name: x(513) }),
      'template.name',
    ],
    [
      'a header parameter has 60 characters',
      template([{ type: 'header', parameters: [{ type: 'text', text: x(60) }] }]),
      template([{ type: 'header', parameters: [{ type: 'text', text: x(61) }] }]),
      'template.components.0.parameters.0.text',
    ],
    [
      'a header has one parameter',
      template([{ type: 'header', parameters: [{ type: 'text', text: 'a' }] }]),
      template([{ type: 'header', parameters: times(2, () => ({ type: 'text', text: 'a' })) }]),
      'template.components.0.parameters',
    ],
    [
      'a body parameter has 32,768 characters where nothing else is filled in',
      template([bodyOf(x(32_768))]),
      template([bodyOf(x(32_769))]),
      'template.components.0.parameters.0.text',
    ],
    [
      'a body parameter has 1,024 characters where something else is',
      template([quickReply(0), bodyOf(x(1024))]),
      template([quickReply(0), bodyOf(x(1025))]),
      'template.components.1.parameters.0.text',
    ],
    [
      'the index of a button is at most 9',
      template([quickReply('9')]),
      template([quickReply('10')]),
      'template.components.0.index',
    ],
    [
      'a coupon code has 20 characters',
      ...([20, 21].map((length) =>
        template([
          {
            type: 'button',
            sub_type: 'copy_code',
            index: 0,
            parameters: [{ type: 'coupon_code', coupon_code: x(length) }],
          },
        ]),
      ) as [Json, Json]),
      'template.components.0.parameters.0.coupon_code',
    ],
    [
      'a carousel template has 10 cards',
      ...([10, 11].map((count) =>
        template([
          { type: 'carousel', cards: times(count, (i) => ({ card_index: i % 10, components: [bodyOf('a')] })) },
        ]),
      ) as [Json, Json]),
      'template.components.0.cards',
    ],
  ])('%s, and not one more or less', (_, atTheLimit, beyond, path) => {
    expect(validateMessage(atTheLimit)).toEqual([])
    expect(paths(beyond)).toContain(path)
  })

  test('is told with what was found, and without the text itself', () =>
    expect(faults(button('Confidential words, so it is'))).toEqual([
      'interactive.action.buttons.0.reply.title: expected at most 20 characters, found 28',
    ]))
  test('counts characters, not their halves', () => {
    expect(validateMessage(button('😀'.repeat(20)))).toEqual([])
    expect(paths(button('😀'.repeat(21)))).toEqual(['interactive.action.buttons.0.reply.title'])
  })
})

describe('what each type needs, and what it does not take', () => {
  const loaf = { title: 'Loaves', rows: [row('a')] }
  test.each<[what: string, body: unknown, path: string]>([
    ['anything else than an object', [], 'body'],
    ['a text without its object', { type: 'text' }, 'text'],
    ['a text that is a text alone', { text: 'Hi' }, 'text'],
    ['a text without words', { text: {} }, 'text.body'],
    ['another product', inText({ messaging_product: 'sms' }), 'messaging_product'],
    ['an unknown kind of recipient', inText({ recipient_type: 'herd' }), 'recipient_type'],
    ['a reply to nothing', inText({ context: {} }), 'context.message_id'],
    ['a file by id and link', image({ link: 'https://example.com/a.png' }), 'image'],
    ['a file by neither', { type: 'video', video: {} }, 'video'],
    ['a link to no server', { type: 'document', document: { link: 'file:///etc/passwd' } }, 'document.link'],
    ['a caption of a sound', { type: 'audio', audio: { id: '1', caption: 'la' } }, 'audio.caption'],
    ['a caption of a sticker', { type: 'sticker', sticker: { id: '1', caption: 'hi' } }, 'sticker.caption'],
    ['a picture that is a voice message', image({ voice: true }), 'image.voice'],
    ['a voice message that may be one', { type: 'audio', audio: { id: '1', voice: 'perhaps' } }, 'audio.voice'],
    ['a place without its longitude', { type: 'location', location: { latitude: 1 } }, 'location.longitude'],
    ['a place in words', { type: 'location', location: { latitude: 'north', longitude: 1 } }, 'location.latitude'],
    ['nobody as contact', { type: 'contacts', contacts: [] }, 'contacts'],
    [
      'a contact with one form of its name',
      { type: 'contacts', contacts: [{ name: { formatted_name: 'A' } }] },
      'contacts.0.name',
    ],
    [
      'a birthday in words',
      { type: 'contacts', contacts: [{ ...contact, birthday: 'in May' }] },
      'contacts.0.birthday',
    ],
    ['a reaction to nothing', { type: 'reaction', reaction: { emoji: '👍' } }, 'reaction.message_id'],
    ['a reaction in words', { type: 'reaction', reaction: { message_id: 'wamid.1', emoji: 'ok' } }, 'reaction.emoji'],
    [
      'two reactions at once',
      { type: 'reaction', reaction: { message_id: 'wamid.1', emoji: '👍👍' } },
      'reaction.emoji',
    ],
    [
      'a reaction that replies',
      { type: 'reaction', reaction: { message_id: 'wamid.1', emoji: '' }, context: { message_id: 'wamid.2' } },
      'context',
    ],
    [
      'buttons with one title',
      buttons([reply('a', 'Yes'), reply('b', 'Yes')]),
      'interactive.action.buttons.1.reply.title',
    ],
    ['buttons with one id', buttons([reply('a', 'Yes'), reply('a', 'No')]), 'interactive.action.buttons.1.reply.id'],
    ['a button’s id with a space at its end', button('Yes', 'yes '), 'interactive.action.buttons.0.reply.id'],
    [
      'a button that is no reply',
      buttons([{ type: 'url', reply: { id: 'a', title: 'A' } }]),
      'interactive.action.buttons.0.type',
    ],
    [
      'buttons without a body',
      { type: 'interactive', interactive: { type: 'button', action: { buttons: [reply('a', 'A')] } } },
      'interactive.body',
    ],
    [
      'a sound as header',
      buttons([reply('a', 'A')], { header: { type: 'audio', audio: { id: '1' } } }),
      'interactive.header.type',
    ],
    [
      'a header whose file is missing',
      buttons([reply('a', 'A')], { header: { type: 'image' } }),
      'interactive.header.image',
    ],
    [
      'a picture over a list',
      list([loaf], { header: { type: 'image', image: { id: '1' } } }),
      'interactive.header.type',
    ],
    ['a second section without a title', list([loaf, { rows: [row('b')] }]), 'interactive.action.sections.1.title'],
    [
      'rows with one id, in whichever sections',
      list([loaf, { title: 'Rolls', rows: [row('a')] }]),
      'interactive.action.sections.1.rows.0.id',
    ],
    ['a link without an address', cta({ url: 'example' }), 'interactive.action.parameters.url'],
    [
      'a link by another name',
      interactive({ type: 'cta_url', action: { name: 'link', parameters: { display_text: 'A', url: 'https://a.b' } } }),
      'interactive.action.name',
    ],
    [
      'products without a header',
      interactive({ type: 'product_list', action: { catalog_id: '1', sections: [{ product_items: products(1) }] } }),
      'interactive.header',
    ],
    [
      'a product of no catalogue',
      interactive({ type: 'product', action: { product_retailer_id: 'SKU' } }),
      'interactive.action.catalog_id',
    ],
    ['cards with one index', carousel([card(0), card(0)]), 'interactive.action.cards.1.card_index'],
    [
      'cards with pictures and videos',
      carousel([card(0), card(1, { header: { type: 'video', video: { id: '1' } } })]),
      'interactive.action.cards.1',
    ],
    [
      'a flow without its id',
      interactive({
        type: 'flow',
        action: { name: 'flow', parameters: { flow_message_version: '3', flow_cta: 'Book' } },
      }),
      'interactive.action.parameters',
    ],
    [
      'a flow in a mode of its own',
      interactive({
        type: 'flow',
        action: {
          name: 'flow',
          parameters: { flow_message_version: '3', flow_id: '1', flow_cta: 'Book', mode: 'beta' },
        },
      }),
      'interactive.action.parameters.mode',
    ],
    [
      'a request for a place by another name',
      interactive({ type: 'location_request_message', action: { name: 'location' } }),
      'interactive.action.name',
    ],
    [
      'an address of no country',
      interactive({ type: 'address_message', action: { name: 'address_message', parameters: {} } }),
      'interactive.action.parameters.country',
    ],
    [
      'a call that ends at some time',
      interactive({ type: 'voice_call', action: { name: 'voice_call', parameters: { ttl_minutes: 'soon' } } }),
      'interactive.action.parameters.ttl_minutes',
    ],
    ['a misspelt kind', interactive({ type: 'buton', action: { buttons: [reply('a', 'A')] } }), 'interactive.type'],
    [
      'a spelling of Meta’s that Meta does not take',
      interactive({ type: 'contact_request', action: { name: 'contact_request' } }),
      'interactive.type',
    ],
    ['no kind', interactive({ action: {} }), 'interactive.type'],
    ['a template of no language', { type: 'template', template: { name: 'a' } }, 'template.language'],
    ['a template with capitals', template([], { name: 'Order' }), 'template.name'],
    ['a misspelt component', template([{ type: 'boddy', parameters: [] }]), 'template.components.0.type'],
    ['two bodies', template([bodyOf('a'), bodyOf('b')]), 'template.components.1.type'],
    ['two buttons in one place', template([quickReply('0'), quickReply(0)]), 'template.components.1.index'],
    ['a button in no place', template([quickReply(undefined)]), 'template.components.0.index'],
    ['a button of no kind', template([{ type: 'button', index: 0 }]), 'template.components.0.sub_type'],
    ['a number where a text belongs', template([bodyOf(5521)]), 'template.components.0.parameters.0.text'],
    [
      'a picture in the body',
      template([{ type: 'body', parameters: [{ type: 'picture', text: 'a' }] }]),
      'template.components.0.parameters.0.type',
    ],
    [
      'a header whose picture is nowhere',
      template([{ type: 'header', parameters: [{ type: 'image', image: {} }] }]),
      'template.components.0.parameters.0.image',
    ],
    [
      'money without its words',
      template([{ type: 'body', parameters: [{ type: 'currency', currency: { code: 'EUR', amount_1000: 1 } }] }]),
      'template.components.0.parameters.0.currency.fallback_value',
    ],
    [
      'a fault in a card',
      template([
        {
          type: 'carousel',
          cards: [{ card_index: 0, components: [{ type: 'header', parameters: [{ type: 'text', text: x(61) }] }] }],
        },
      ]),
      'template.components.0.cards.0.components.0.parameters.0.text',
    ],
    ['a status that is none', { status: 'seen', message_id: 'wamid.1' }, 'status'],
    ['having read nothing', { status: 'read' }, 'message_id'],
    [
      'typing something else',
      { status: 'read', message_id: 'wamid.1', typing_indicator: { type: 'audio' } },
      'typing_indicator.type',
    ],
  ])('%s is refused', (_, body, path) => expect(paths(body)).toEqual([path]))

  test('a field that is missing is told apart from one that is wrong', () => {
    expect(faults({ type: 'text', text: {} })).toEqual(['text.body: required: expected a text of 1 to 4096 characters'])
    expect(faults({ type: 'text', text: { body: 7 } })).toEqual(['text.body: expected a text of 1 to 4096 characters'])
  })
  test('every fault is told at once, but no more than twenty', () => {
    const wrong = list(times(10, () => ({ title: x(25), rows: [{ id: '', title: x(25) }] })))
    expect(validateMessage(wrong)).toHaveLength(20)
  })
  test.each(['👍', '❤', '❤️', '👍🏽', '👨‍👩‍👧‍👦', '🇪🇸', '1️⃣', '🏴󠁧󠁢󠁳󠁣󠁴󠁿', ''])('"%s" is a reaction', (emoji) =>
    expect(validateMessage({ type: 'reaction', reaction: { message_id: 'wamid.1', emoji } })).toEqual([]),
  )
  test('what an SDK writes as null is absent', () =>
    expect(validateMessage(cta({}, { header: null, footer: null }))).toEqual([]))
  test('capitals of a type are no fault', () => {
    expect(validateMessage({ type: 'TEXT', text: { body: 'Hi' } })).toEqual([])
    expect(validateMessage(template([{ ...quickReply('0'), type: 'BUTTON', sub_type: 'QUICK_REPLY' }]))).toEqual([])
  })
})

describe('what Meta may add tomorrow', () => {
  test('a type passes when its object is there', () =>
    expect(validateMessage({ type: 'poll', poll: { question: 'Rye?' } })).toEqual([]))
  test('a type without its object is a slip of the pen, and the types are named', () => {
    expect(faults({ type: 'imagee', image: { id: '1' } })).toEqual([
      expect.stringMatching(/^type: .*text, image, .*template/),
    ])
    for (const type of ['toString', '__proto__', 'type', 7]) expect(paths({ type })).toEqual(['type'])
  })
  test('what is beside the object is checked all the same', () =>
    expect(paths({ type: 'poll', poll: {}, context: 'wamid.1' })).toEqual(['context']))
  test('an interactive kind, a component and a parameter pass when they name themselves twice', () => {
    expect(validateMessage(interactive({ type: 'payment', action: { name: 'payment' } }))).toEqual([])
    expect(
      validateMessage(
        template([{ type: 'order_status', parameters: [{ type: 'order_status', order_status: { id: '1' } }] }]),
      ),
    ).toEqual([])
    expect(validateMessage(template([{ type: 'header', parameters: [{ type: 'gif', gif: { id: '1' } }] }]))).toEqual([])
  })
})

test('nothing makes it throw, and no fault repeats a text of the body', () => {
  const secret = 'Confidential'
  const leaf = fc.oneof(fc.jsonValue(), fc.constant(secret), fc.constant(x(5_000)))
  /** A message of the fixtures with something put in the place of one of its values. */
  const damaged = fc.tuple(fc.constantFrom(...MESSAGES), fc.nat(), leaf).map(([name, at, value]) => {
    const body = fixture(name)
    const places: [Json, string][] = []
    const visit = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return
      for (const key of Object.keys(node)) {
        places.push([node as Json, key])
        visit((node as Json)[key])
      }
    }
    visit(body)
    const [parent, key] = places[at % places.length] as [Json, string]
    parent[key] = value
    return body
  })
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), damaged), (body) => {
      for (const { path, message } of validateMessage(body)) {
        expect(path).toMatch(/^[a-z0-9_.]+$/)
        expect(message).not.toContain(secret)
      }
    }),
    { numRuns: 3_000 },
  )
})

test('however deep a body is, it is read', () => {
  const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)
  expect(validateMessage({ type: 'text', text: { body: 'Hi' }, deep })).toEqual([])
  expect(paths(interactive({ type: 'deep', action: deep }))).toEqual(['interactive.type'])
})
