import { describe, expect, test } from 'vitest'
import { changesOf, kindOf, mimeTypeOf } from './inbound-order.ts'
import { statusWebhook } from './status-webhook.ts'

describe('a file', () => {
  test.each([
    ['photo.JPG', 'image/jpeg', 'image'],
    ['smile.webp', 'image/webp', 'sticker'],
    ['note.ogg', 'audio/ogg', 'audio'],
    ['clip.mp4', 'video/mp4', 'video'],
    ['invoice.pdf', 'application/pdf', 'document'],
    ['what', 'application/octet-stream', 'document'],
  ])('%s is sent as a phone would', (file, type, kind) => {
    expect(mimeTypeOf(file)).toBe(type)
    expect(kindOf(type)).toBe(kind)
  })
})

test('settings are numbers, words and lists', () => {
  expect(
    changesOf(['errors_5xx=0.2', 'affects=graph,webhooks', 'read_ms=null', 'enforce=false', 'sha256_form=hex']),
  ).toEqual({
    errors_5xx: 0.2,
    affects: ['graph', 'webhooks'],
    read_ms: null,
    enforce: false,
    sha256_form: 'hex',
  })
  expect(() => changesOf(['errors_5xx'])).toThrow('expected name=value')
})

describe('a status', () => {
  const tenant = {
    company_id: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
    waba_id: '819',
    phone_numbers: [
      { id: '1', display_phone_number: '+34 910 000 000' },
      { id: '2', display_phone_number: '34910000001' },
    ],
  }
  const status = {
    messageId: 'wamid.1',
    status: 'read',
    recipient: '34608684495',
    phoneNumberId: undefined,
    at: 1_700_000_000_999,
    errorCode: undefined,
  }
  test('is of the first number unless one is named', () => {
    expect(statusWebhook(tenant, status)).toMatchObject({
      entry: [
        {
          id: '819',
          changes: [{ value: { metadata: { display_phone_number: '34910000000', phone_number_id: '1' } } }],
        },
      ],
    })
    expect(JSON.stringify(statusWebhook(tenant, { ...status, phoneNumberId: '2' }))).toContain('34910000001')
    expect(statusWebhook(tenant, { ...status, phoneNumberId: '3' })).toBeUndefined()
  })
  test('has a time in seconds, and an error only when there is one', () => {
    expect(JSON.stringify(statusWebhook(tenant, status))).toContain('"timestamp":"1700000000"')
    expect(JSON.stringify(statusWebhook(tenant, status))).not.toContain('errors')
    expect(JSON.stringify(statusWebhook(tenant, { ...status, errorCode: 131026 }))).toContain(
      '"errors":[{"code":131026',
    )
  })
})
