import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  InvalidSecretsKeys,
  isSealed,
  isSealedWithFirstKey,
  openSecret,
  parseSecretsKeys,
  SecretUnreadable,
  sealSecret,
} from './sealed-secrets.ts'

const newKey = () => randomBytes(32).toString('base64')
const place = { companyId: 'a9242a58-4f5d-494c-8a74-45f8cee150e6', property: 'WHATSAPP_ACCESS_TOKEN' }
const keys = parseSecretsKeys(`new:${newKey()}`)

describe('a sealed secret', () => {
  test('opens to what was sealed, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (secret) => {
        const sealed = sealSecret(keys, place, secret)
        expect(isSealed(sealed)).toBe(true)
        expect(openSecret(keys, place, sealed)).toBe(secret)
      }),
    )
  })

  test('is never the same text twice', () => {
    expect(sealSecret(keys, place, 'same')).not.toBe(sealSecret(keys, place, 'same'))
  })

  test('does not contain the secret', () => {
    const secret = 'EAAG-a-secret-of-some-length'
    const sealed = sealSecret(keys, place, secret)
    expect(sealed).not.toContain(secret)
    expect(sealed).not.toContain(Buffer.from(secret).toString('base64url'))
  })

  test('does not open for another company or another property', () => {
    const sealed = sealSecret(keys, place, 'secret')
    const elsewhere = [
      { ...place, companyId: '11111111-4f5d-494c-8a74-45f8cee150e6' },
      { ...place, property: 'WHATSAPP_VERIFY_TOKEN' },
    ]
    for (const other of elsewhere)
      expect(() => openSecret(keys, other, sealed)).toThrow(expect.objectContaining({ code: 'SECRET_NOT_AUTHENTIC' }))
  })

  test('does not open when any of its bytes was altered', () => {
    const sealed = sealSecret(keys, place, 'secret')
    const [, , , base64 = ''] = sealed.split(':')
    const bytes = Buffer.from(base64, 'base64url')
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const altered = Buffer.from(bytes)
        altered[at] = (altered[at] as number) ^ flip
        expect(() => openSecret(keys, place, `sealed:v1:new:${altered.toString('base64url')}`)).toThrow(
          SecretUnreadable,
        )
      }),
    )
  })

  test('opens under an older key that is still in the list, and asks to be sealed again', () => {
    const old = newKey()
    const sealed = sealSecret(parseSecretsKeys(`old:${old}`), place, 'secret')
    const rotated = parseSecretsKeys(`new:${newKey()},old:${old}`)
    expect(openSecret(rotated, place, sealed)).toBe('secret')
    expect(isSealedWithFirstKey(rotated, sealed)).toBe(false)
    expect(isSealedWithFirstKey(rotated, sealSecret(rotated, place, 'secret'))).toBe(true)
  })

  test('under a key that is gone names the key id', () => {
    const sealed = sealSecret(parseSecretsKeys(`retired:${newKey()}`), place, 'secret')
    expect(() => openSecret(keys, place, sealed)).toThrow(
      expect.objectContaining({ code: 'SECRET_KEY_UNKNOWN', message: expect.stringContaining('retired') }),
    )
  })

  test('is not mistaken for one in clear, nor the other way round', () => {
    for (const clear of [
      '',
      'EAAG',
      'sealed:',
      'sealed:v1:new:',
      'sealed:v1:new:short',
      'sealed:v2:new:AAAA',
      7,
      null,
      {},
    ])
      expect(isSealed(clear)).toBe(false)
  })
})

describe('SECRETS_KEYS', () => {
  test('the first key seals, all open; padded or not, either alphabet', () => {
    const parsed = parseSecretsKeys(
      ` k2:${newKey()} , k1:${randomBytes(32).toString('base64url')},k0:${newKey().replace('=', '')}`,
    )
    expect(parsed.firstId).toBe('k2')
    expect([...parsed.byId.keys()]).toEqual(['k2', 'k1', 'k0'])
  })

  test('shows no key when it is printed', () => {
    const key = newKey()
    const parsed = parseSecretsKeys(`k:${key}`)
    for (const text of [JSON.stringify(parsed), inspect(parsed, { depth: 9 })]) {
      expect(text).not.toContain(key)
      expect(text).not.toContain(Buffer.from(key, 'base64').toString('hex').slice(0, 8))
    }
  })

  const key = 'c2VjcmV0LWtleS1vZi0zMi1ieXRlcy1mb3ItYS10ZXM='
  test.each([
    ['', 'entry 1 is not two parts'],
    [key, 'entry 1 is not two parts'],
    [`k:${key},`, 'entry 2 is not two parts'],
    [`:${key}`, 'entry 1 has an id'],
    [`${key}:k`, 'entry 1 has an id'],
    [`${key.replace('=', '')}:${key}`, 'entry 1 has an id'],
    [`a b:${key}`, 'entry 1 has an id'],
    [`k:${key.slice(8)}`, 'entry 1 has a key'],
    [`k:${key}AAAA`, 'entry 1 has a key'],
    [`k:c2VjcmV0!`, 'entry 1 has a key'],
    [`k:${key},k:${key}`, 'entry 2 has the id of an earlier one'],
  ])('a fault is named by its place, without the key (%#)', (text, fault) => {
    try {
      parseSecretsKeys(text)
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidSecretsKeys)
      expect((error as Error).message).toContain(fault)
      expect((error as Error).message).not.toContain('c2VjcmV0')
    }
  })
})
