import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maskSecret } from './mask.ts'
import { parseSecretsKeys } from './sealed-secrets.ts'
import { maskProperties, openProperties, sealProperties } from './secret-properties.ts'

const oldKey = randomBytes(32).toString('base64')
const newKey = randomBytes(32).toString('base64')
const oldKeys = parseSecretsKeys(`old:${oldKey}`)
const keys = parseSecretsKeys(`new:${newKey},old:${oldKey}`)
const newOnly = parseSecretsKeys(`new:${newKey}`)
const companyId = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'

const clear = {
  WHATSAPP_ACCESS_TOKEN: 'EAAG-some-access-token',
  WHATSAPP_APP_SECRET: ['new-app-secret-0001', 'old-app-secret-0002'],
  WHATSAPP_VERIFY_TOKEN: 'short',
  WHATSAPP_COVER: 'https://example.com/cover.png',
  OTHER: { any: ['thing'] },
}
const plaintexts = ['EAAG-some-access-token', 'new-app-secret-0001', 'old-app-secret-0002', 'short']

describe('the secrets among the properties', () => {
  test('are sealed, the rest is untouched, and open again', () => {
    const { properties, sealed } = sealProperties(keys, companyId, clear)
    expect(sealed).toEqual(['WHATSAPP_ACCESS_TOKEN', 'WHATSAPP_APP_SECRET', 'WHATSAPP_VERIFY_TOKEN'])
    for (const text of plaintexts) expect(JSON.stringify(properties)).not.toContain(text)
    expect(properties.OTHER).toEqual(clear.OTHER)
    expect(openProperties(keys, companyId, properties)).toEqual({ properties: clear, unreadable: [] })
  })

  test('that are sealed already stay as they are', () => {
    const once = sealProperties(keys, companyId, clear)
    expect(sealProperties(keys, companyId, once.properties)).toEqual({ properties: once.properties, sealed: [] })
  })

  test('that an older key sealed are sealed again', () => {
    const { properties } = sealProperties(oldKeys, companyId, clear)
    const again = sealProperties(keys, companyId, properties)
    expect(again.sealed).toHaveLength(3)
    expect(openProperties(newOnly, companyId, again.properties)).toEqual({ properties: clear, unreadable: [] })
  })

  test('that cannot be opened are left out and named; what can be opened stays', () => {
    const { properties } = sealProperties(oldKeys, companyId, clear)
    const mixed = {
      ...properties,
      WHATSAPP_VERIFY_TOKEN: 'in clear',
      WHATSAPP_APP_SECRET: ['in clear', (properties.WHATSAPP_APP_SECRET as string[])[0]],
    }
    const opened = openProperties(newOnly, companyId, mixed)
    expect(opened.properties).toEqual({
      WHATSAPP_APP_SECRET: ['in clear'],
      WHATSAPP_VERIFY_TOKEN: 'in clear',
      WHATSAPP_COVER: clear.WHATSAPP_COVER,
      OTHER: clear.OTHER,
    })
    expect(opened.unreadable.map(({ property }) => property)).toEqual(['WHATSAPP_ACCESS_TOKEN', 'WHATSAPP_APP_SECRET'])
    expect(opened.unreadable[0]?.reason).toContain('old')
    expect(sealProperties(newOnly, companyId, properties).sealed).toEqual([])
  })

  test('are masked alike, sealed or in clear', () => {
    const { properties } = sealProperties(keys, companyId, clear)
    const masked = maskProperties(keys, companyId, properties)
    expect(masked).toEqual(maskProperties(keys, companyId, clear))
    expect(masked).toEqual({
      ...clear,
      WHATSAPP_ACCESS_TOKEN: maskSecret('EAAG-some-access-token'),
      WHATSAPP_APP_SECRET: [maskSecret('new-app-secret-0001'), maskSecret('old-app-secret-0002')],
      WHATSAPP_VERIFY_TOKEN: { set: true, fingerprint: maskSecret('short').fingerprint },
    })
  })

  test('are masked when they cannot be opened', () => {
    const { properties } = sealProperties(oldKeys, companyId, clear)
    expect(maskProperties(newOnly, companyId, properties).WHATSAPP_ACCESS_TOKEN).toEqual({ set: true })
  })

  test('are masked whatever a table may hold in their place', () => {
    const bad = fc.oneof(
      fc.constant(['Zq9Zq9', { Zq9Zq9: 1 }]),
      fc.constant({ token: 'Zq9Zq9' }),
      fc.constant('Zq9Zq9'),
    )
    fc.assert(
      fc.property(bad, (value) => {
        const masked = maskProperties(keys, companyId, { WHATSAPP_ACCESS_TOKEN: value, WHATSAPP_VERIFY_TOKEN: value })
        expect(JSON.stringify(masked)).not.toContain('Zq9Zq9')
      }),
    )
  })
})

describe('a masked secret', () => {
  test('shows the last four characters and a fingerprint anybody can compute', () => {
    // printf %s EAAG1234567890 | sha256sum
    expect(maskSecret('EAAG1234567890')).toEqual({ set: true, last4: '7890', fingerprint: 'd5a1e904' })
  })

  test('shows no characters of a secret shorter than twelve', () => {
    expect(maskSecret('12345678901')).not.toHaveProperty('last4')
    expect(maskSecret('123456789012')).toHaveProperty('last4', '9012')
  })
})
