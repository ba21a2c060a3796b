import { expect, test } from 'vitest'
import { InvalidCommand, parseSendCommand, type SendCommandInput } from './commands.ts'

const command = (change: Partial<SendCommandInput> | Record<string, unknown> = {}) => ({
  id: 'invoice-5521',
  company_id: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
  channel: 'whatsapp',
  to: '608684495',
  message: { type: 'text', text: 'Hello' },
  ...change,
})
const template = (template_data: unknown) =>
  command({ message: { type: 'template', template_name: 'a', template_data, language: 'es' } })
const media = (change: Record<string, unknown>) => command({ message: { type: 'media', kind: 'image', ...change } })

test('a command says what to send, to whom, in whose name', () => {
  expect(parseSendCommand(command())).toMatchObject({ id: 'invoice-5521', priority: 'normal' })
})
test('the company may be left out: it is found by number or conversation', () => {
  expect(parseSendCommand(command({ company_id: undefined })).company_id).toBeUndefined()
})
test.each([
  [
    'a template',
    { type: 'template', template_name: 'order_ready', template_data: { 1: 'Nora', total: 12.5 }, language: 'es_ES' },
  ],
  [
    'a template with more than a text',
    {
      type: 'template',
      template_name: 'order_ready',
      template_data: {
        1: 'Nora',
        header: { link: 'https://example.com/a.png' },
        buttons: ['a', { guests: [1, true] }],
      },
      language: 'es_ES',
    },
  ],
  ['media by link', { type: 'media', kind: 'document', link: 'https://example.com/a.pdf', filename: 'a.pdf' }],
  ['media by id', { type: 'media', kind: 'image', id: '1460927783319058', caption: 'Rye' }],
  [
    "the channel's own body",
    { type: 'raw', body: { type: 'reaction', reaction: { message_id: 'wamid.A', emoji: '😀' } } },
  ],
])('%s can be sent', (_name, message) => {
  expect(parseSendCommand(command({ message })).message.type).toBe(message.type)
})

test.each([
  ['no id', command({ id: '' }), 'id'],
  ['an id of 129 characters', command({ id: 'x'.repeat(129) }), 'id'],
  ['an id with a line break', command({ id: 'a\r\nb' }), 'id'],
  ['a company that is no UUID', command({ company_id: '>' }), 'company_id'],
  ['a number id that is a path', command({ phone_number_id: '../1' }), 'phone_number_id'],
  ['an empty text', command({ message: { type: 'text', text: '' } }), 'message.text'],
  ['a text that is too long', command({ message: { type: 'text', text: 'x'.repeat(4097) } }), 'message.text'],
  ['a null for a parameter', template({ a: null }), 'message.template_data.a'],
  ['a null within one', template({ buttons: ['a', { b: null }] }), 'message.template_data.buttons.1.b'],
  [
    'data that goes on and on',
    template({ a: JSON.parse(`${'['.repeat(100_000)}1${']'.repeat(100_000)}`) }),
    `message.template_data.a${'.0'.repeat(16)}`,
  ],
  ['an unknown form of message', command({ message: { type: 'fax' } }), 'message.type'],
  ['media with neither link nor id', media({}), 'message.link'],
  ['media with both', media({ link: 'https://example.com/a.png', id: '1' }), 'message.link'],
  ['a caption on a sticker', media({ kind: 'sticker', id: '1', caption: 'x' }), 'message.caption'],
  ['a link that is no web address', media({ link: 'file:///etc/passwd' }), 'message.link'],
  ['a recipient inside a raw body', command({ message: { type: 'raw', body: { to: '1' } } }), 'message.body'],
  ['a key nobody knows', command({ recipients: [] }), 'body'],
  ['a time that is none', command({ expires_at: 'tomorrow' }), 'expires_at'],
  ['not an object', 'hello', 'body'],
])('%s is refused by the name of its field', (_name, body, path) => {
  try {
    parseSendCommand(body)
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidCommand)
    expect((error as InvalidCommand).fields.map((field) => field.path)).toContain(path)
  }
})
