import { readFileSync } from 'node:fs'
import type { OutboundMessage } from '@cloudapi2/contracts'
import { parseTemplateDefinition } from '@cloudapi2/whatsapp'
import { describe, expect, test } from 'vitest'
import type { TemplateKnowledge } from './channel.ts'
import { whatsappChannel } from './whatsapp.client.ts'
import { templateOfMessage, templateOfWebhook } from './whatsapp-template.ts'

const FIXTURES = new URL('../../../../libs/whatsapp/fixtures/webhooks/', import.meta.url)
const change = (file: string) =>
  JSON.parse(readFileSync(new URL(`${file}.json`, FIXTURES), 'utf8')).entry[0].changes[0] as {
    field: string
    value: unknown
  }

test.each([
  'message_template_status_update.approved',
  'message_template_status_update.paused',
  'message_template_components_update.edited',
  'message_template_quality_update.yellow',
  'message_template_quality_update.sent-under-status-field',
  'template_category_update.done',
  'template_category_update.pending',
])('%s tells of a template', (file) => {
  const { field, value } = change(file)
  const { message_template_name: name, message_template_language: language } = value as Record<string, string>
  expect(templateOfWebhook(field, value)).toEqual({ name, language: language?.replace('-', '_').toLowerCase() })
})
test.each([
  ['account_update', { message_template_name: 'a', message_template_language: 'es' }],
  ['message_template_status_update', { message_template_name: 'a' }],
  ['message_template_status_update', null],
])('%s with %j tells of none', (field, raw) => expect(templateOfWebhook(field, raw)).toBeUndefined())

const raw = (body: Record<string, unknown>): OutboundMessage => ({ type: 'raw', body })
const short: OutboundMessage = { type: 'template', template_name: 'a', template_data: {}, language: 'es-ES' }

test('the template of a message is found in either form, in one spelling', () => {
  expect(templateOfMessage(short)).toEqual({ name: 'a', language: 'es_es' })
  expect(templateOfMessage(raw({ type: 'TEMPLATE', template: { name: 'a', language: { code: 'es_ES' } } }))).toEqual({
    name: 'a',
    language: 'es_es',
  })
  expect(templateOfMessage({ type: 'text', text: 'a' })).toBeUndefined()
  expect(templateOfMessage(raw({ type: 'template', template: { name: 'a' } }))).toBeUndefined()
})

describe('a template message', () => {
  const prepare = (template: TemplateKnowledge, message: OutboundMessage = short) =>
    whatsappChannel({} as never).prepare({
      message,
      recipient: { phone: '34608684495' },
      callbackId: 'c-1',
      cover: undefined,
      template,
    })
  const found = (more: object): TemplateKnowledge => ({
    kind: 'found',
    definition: { ...parseTemplateDefinition({ name: 'a', language: 'es_ES', components: [], ...more }) },
  })
  const body = { components: [{ type: 'BODY', text: '{{1}} {{2}}' }] }

  test('goes out in the spelling that the template has', () =>
    expect(prepare(found({}))).toMatchObject({
      ok: true,
      message: { body: { template: { language: { code: 'es_ES' } } } },
    }))

  test('that does not exist is refused with the languages there are', () => {
    expect(prepare({ kind: 'missing', languages: ['es_MX', 'en_US'] })).toMatchObject({
      ok: false,
      error: { code: 'UNKNOWN_TEMPLATE', details: 'a: it exists in en_US, es_MX', fault: 'request' },
    })
    expect(prepare({ kind: 'missing', languages: [] })).toMatchObject({
      error: { code: 'UNKNOWN_TEMPLATE', details: 'a: the account has no template of this name' },
    })
  })

  test.each([
    ['PAUSED', 'TEMPLATE_PAUSED'],
    ['DISABLED', 'TEMPLATE_DISABLED'],
    ['REJECTED', 'TEMPLATE_NOT_APPROVED'],
    ['PENDING_DELETION', 'TEMPLATE_NOT_APPROVED'],
  ])('that is %s is refused and says so', (status, code) =>
    expect(prepare(found({ status }))).toMatchObject({
      error: { code, details: `a in es_ES: its status is ${status}` },
    }),
  )
  test.each(['APPROVED', 'PENDING', 'SOMETHING_NEW'])('that is %s is for Meta to judge', (status) =>
    expect(prepare(found({ status })).ok).toBe(true),
  )

  test('names each parameter that is wrong by its place in the command', () =>
    expect(prepare(found(body), { ...short, template_data: { '1': 'Confidential', '3': 'x' } })).toMatchObject({
      error: {
        code: 'TEMPLATE_DATA_MISMATCH',
        missing: ['2'],
        surplus: ['3'],
        fields: [
          { path: 'template_data.2', message: 'required: expected a text' },
          { path: 'template_data.3', message: 'the template does not have it' },
        ],
      },
    }))

  test('in Meta’s own form is held against the parameters of the body, and nothing else', () => {
    const sent = (...texts: string[]) =>
      raw({
        type: 'template',
        template: {
          name: 'a',
          language: { code: 'es_ES' },
          components: [{ type: 'body', parameters: texts.map((text) => ({ type: 'text', text })) }],
        },
      })
    const image = found({ components: [{ type: 'HEADER', format: 'IMAGE' }, ...body.components] })
    expect(prepare(image, sent('x', 'y')).ok).toBe(true)
    expect(prepare(image, sent('x'))).toMatchObject({ error: { code: 'TEMPLATE_DATA_MISMATCH', missing: ['2'] } })
    expect(prepare({ kind: 'missing', languages: [] }, sent())).toMatchObject({ error: { code: 'UNKNOWN_TEMPLATE' } })
    expect(prepare({ kind: 'unknown' }, sent()).ok).toBe(true)
  })

  test('whose parts cannot be placed without a definition is refused', () =>
    expect(prepare({ kind: 'unknown' }, { ...short, template_data: { 'buttons.0': 'x' } })).toMatchObject({
      error: { code: 'TEMPLATE_DEFINITION_NEEDED', fault: 'request' },
    }))
})
