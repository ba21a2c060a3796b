import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isSigned, sign } from './signature.ts'

interface Vector {
  name: string
  app_secret: string
  body_base64: string
  x_hub_signature_256: string
}

const vectors: Vector[] = JSON.parse(
  readFileSync(new URL('../fixtures/signature-vectors.json', import.meta.url), 'utf8'),
)
const bodyOf = (vector: Vector): Buffer => Buffer.from(vector.body_base64, 'base64')

describe.each(vectors)('vector: $name', (vector) => {
  const body = bodyOf(vector)
  const header = vector.x_hub_signature_256

  test('its signature is accepted', () => expect(isSigned(body, header, [vector.app_secret])).toBe(true))
  test('we sign the same way', () => expect(sign(body, vector.app_secret)).toBe(header))
  test('another secret is refused', () => expect(isSigned(body, header, ['other_secret'])).toBe(false))
  test('one byte more is refused', () =>
    expect(isSigned(Buffer.concat([body, Buffer.from(' ')]), header, [vector.app_secret])).toBe(false))
})

const body = Buffer.from('{"object":"whatsapp_business_account","entry":[]}')
const header = sign(body, 'current')

test('while a secret is being replaced, the old and the new one are accepted', () => {
  expect(isSigned(body, header, ['next', 'current'])).toBe(true)
  expect(isSigned(body, header, ['current', 'next'])).toBe(true)
})

test('without a secret nothing is accepted', () => {
  expect(isSigned(body, header, [])).toBe(false)
  expect(isSigned(body, sign(body, ''), [''])).toBe(false)
})

test('the signature of a re-serialised body does not fit the original', () => {
  const [, escaped, reserialised] = vectors as [Vector, Vector, Vector, Vector]
  expect(isSigned(bodyOf(reserialised), escaped.x_hub_signature_256, [escaped.app_secret])).toBe(false)
})

test.each([
  ['absent', undefined],
  ['empty', ''],
  ['without its prefix', header.slice(7)],
  ['in upper case', header.toUpperCase()],
  ['with upper-case digits', `sha256=${header.slice(7).toUpperCase()}`],
  ['with the prefix of SHA-1', header.replace('sha256=', 'sha1=')],
  ['too short', header.slice(0, -1)],
  ['too long', `${header}0`],
  ['with a trailing newline', `${header}\n`],
  ['sent twice', `${header}, ${header}`],
  ['with a digit that is none', `${header.slice(0, -1)}g`],
])('a signature %s is refused', (_, bad) => expect(isSigned(body, bad, ['current'])).toBe(false))

test('whatever the header holds, it is refused and nothing is thrown', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string().map((s) => `sha256=${s}`),
      ),
      fc.uint8Array(),
      (bad, bytes) => {
        expect(isSigned(Buffer.from(bytes), bad, ['current'])).toBe(false)
      },
    ),
  )
  expect(isSigned(body, [header] as unknown as string, ['current'])).toBe(false)
})
