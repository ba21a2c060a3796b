import { readdirSync, readFileSync } from 'node:fs'
import { OutboundMessage } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'
import { type BuildOptions, buildMessage } from './build-message.ts'

const fixture = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(new URL(`../../fixtures/outbound/${name}.json`, import.meta.url), 'utf8'))

const nora: BuildOptions = { to: { phone: '16285550137' } }
const ID = '1460927783319058'
const MEDIA = 'https://media.example.com/bakery'
const template = (template_name: string, template_data: Record<string, unknown> = {}) => ({
  type: 'template',
  template_name,
  template_data,
  language: 'en_US',
})
const media = (kind: string, more: object) => ({ type: 'media', kind, ...more })

test.each<[file: string, message: unknown, options?: Partial<BuildOptions>]>([
  ['text', { type: 'text', text: 'Yes, we deliver on Sundays from 9 to 12.' }],
  ['text-preview-url', { type: 'text', text: 'Menu: https://example.com/menu', preview_url: true }],
  ['text-callback-data', { type: 'text', text: 'Order 5521 is ready.' }, { callbackData: 'tenant-a|job-01J9ZK4V|n=3' }],
  ['text-to-bsuid', { type: 'text', text: 'Hello Owen' }, { to: { user_id: 'GB.20561934877402915563' } }],
  ['image-by-id', media('image', { id: ID, caption: "Today's bread" })],
  ['image-by-link', media('image', { link: `${MEDIA}/rye.jpg`, caption: "Today's bread" })],
  ['video-by-id', media('video', { id: ID, caption: 'How we bake' })],
  ['video-by-link', media('video', { link: `${MEDIA}/bake.mp4` })],
  ['audio-by-id', media('audio', { id: ID })],
  ['audio-by-link', media('audio', { link: `${MEDIA}/jingle.mp3` })],
  ['document-by-id', media('document', { id: ID, filename: 'invoice-5521.pdf', caption: 'Invoice' })],
  ['document-by-link', media('document', { link: `${MEDIA}/invoice-5521.pdf`, filename: 'invoice-5521.pdf' })],
  ['sticker-by-id', media('sticker', { id: ID })],
  ['sticker-by-link', media('sticker', { link: `${MEDIA}/hello.webp` })],
  ['template-no-parameters', template('hello_world')],
  ['template-body-positional', template('order_ready', { '2': '5521', '1': 'Nora' })],
  ['template-body-named', template('order_ready_named', { first_name: 'Nora', order_number: 5521 })],
  [
    'template-body-named',
    template('order_ready_named', { order_number: '5521', first_name: 'Nora' }),
    { template: { parameterFormat: 'NAMED', bodyParameters: ['first_name', 'order_number'] } },
  ],
  [
    'template-body-positional',
    template('order_ready', { customer: 'Nora', order: '5521' }),
    { template: { parameterFormat: 'POSITIONAL', bodyParameters: ['1', '2'] } },
  ],
  [
    'template-header-text',
    template('order_ready_h', { '1': '5521', '2': 'Nora' }),
    {
      template: { parameterFormat: 'POSITIONAL', headerFormat: 'TEXT', headerParameters: ['1'], bodyParameters: ['1'] },
    },
  ],
])('%s is built as Meta wants it', (file, message, options) =>
  expect(buildMessage(OutboundMessage.parse(message), { ...nora, ...options })).toEqual(fixture(file)),
)

/** Bodies of other calls, and of recipients that a command does not have: a group, a person by phone and id at once. */
const NOT_OURS = [
  'block-users',
  'business-profile',
  'phone-number-webhook-override',
  'register',
  'subscribed-apps-override',
  'template-create',
  'text-to-group',
  'text-to-phone-and-bsuid',
]
test.each(
  readdirSync(new URL('../../fixtures/outbound/', import.meta.url))
    .map((file) => file.replace('.json', ''))
    .filter((name) => !NOT_OURS.includes(name)),
)('%s goes through as a raw body, to whomever it is for', (file) => {
  const { to, recipient, recipient_type: _, messaging_product: __, ...body } = fixture(file)
  const message = OutboundMessage.parse({ type: 'raw', body })
  const options = { to: recipient === undefined ? nora.to : { user_id: String(recipient) }, callbackData: 'c-1' }
  const isReceipt = to === undefined && recipient === undefined
  expect(buildMessage(message, options)).toEqual(
    isReceipt ? fixture(file) : { ...fixture(file), biz_opaque_callback_data: 'c-1' },
  )
})

test.each([
  { type: 'reaction', reaction: { message_id: 'wamid.1', emoji: '👍' } },
  { type: 'text', text: { body: 'Yes' }, context: { message_id: 'wamid.1' } },
])('a person without a phone is addressed by its id, in a $type that answers as well', (body) => {
  const built = buildMessage({ type: 'raw', body }, { to: { user_id: 'US.1' } })
  expect(built).toEqual({ messaging_product: 'whatsapp', recipient_type: 'individual', recipient: 'US.1', ...body })
})

test('a raw body keeps its own callback data unless there is one to set', () => {
  const raw = OutboundMessage.parse({ type: 'raw', body: { type: 'text', biz_opaque_callback_data: 'theirs' } })
  expect(buildMessage(raw, nora).biz_opaque_callback_data).toBe('theirs')
  expect(buildMessage(raw, { ...nora, callbackData: 'ours' }).biz_opaque_callback_data).toBe('ours')
})

test('a phone number that has its + keeps one', () =>
  expect(buildMessage({ type: 'text', text: 'x' }, { to: { phone: '+34608684495' } }).to).toBe('+34608684495'))

describe('the cover', () => {
  const offer = OutboundMessage.parse(template('offer', { first_name: 'Nora' }))
  const cover = `${MEDIA}/cover.png`
  const layout = { parameterFormat: 'NAMED', bodyParameters: ['first_name'] } as const
  const components = (options: Partial<BuildOptions>) =>
    (buildMessage(offer, { ...nora, ...options }).template as { components: unknown[] }).components
  const body = { type: 'body', parameters: [{ type: 'text', text: 'Nora', parameter_name: 'first_name' }] }
  const header = { type: 'header', parameters: [{ type: 'image', image: { link: cover } }] }

  test('becomes the image of the header', () =>
    expect(components({ cover, template: { ...layout, headerFormat: 'IMAGE' } })).toEqual([header, body]))

  test('is trusted to fit where the layout is not known', () => expect(components({ cover })).toEqual([header, body]))

  test('is left out where the template has no image header', () => {
    expect(components({ cover, template: layout })).toEqual([body])
    expect(components({ cover, template: { ...layout, headerFormat: 'TEXT' } })).toEqual([body])
  })

  test.each(['IMAGE', 'VIDEO', 'DOCUMENT', 'LOCATION'])(
    'without it a template with a header of %s is refused',
    (format) =>
      expect(() => components({ template: { ...layout, headerFormat: format } })).toThrowError(
        expect.objectContaining({
          code: 'TEMPLATE_DATA_MISMATCH',
          missing: ['header'],
          surplus: [],
        }),
      ),
  )
})
