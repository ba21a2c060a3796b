import { randomBytes } from 'node:crypto'
import {
  type CustomProperties,
  InvalidSettings,
  maskProperties,
  openProperties,
  parseSecretsKeys,
} from '@cloudapi2/tenants'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mergeSettings, replaceSettings } from './settings-change.ts'

const keys = parseSecretsKeys(`k1:${randomBytes(32).toString('base64')}`)
const place = { keys, companyId: 'a9242a58-4f5d-494c-8a74-45f8cee150e6' }
const stored = (properties: CustomProperties) => replaceSettings(place, {}, properties)
const masked = (properties: CustomProperties) => maskProperties(keys, place.companyId, properties)
const opened = (properties: CustomProperties) => openProperties(keys, place.companyId, properties).properties

const faultsOf = (act: () => unknown): string[] => {
  try {
    act()
    return []
  } catch (error) {
    if (error instanceof InvalidSettings) return error.fields.map(({ path }) => path)
    throw error
  }
}

const TOKEN = 'EAAG-first-access-token'
const current = stored({
  WHATSAPP_ACCESS_TOKEN: TOKEN,
  WHATSAPP_APP_SECRET: ['app-secret-new', 'app-secret-old'],
  WHATSAPP_COVER: 'https://example.com/a.png',
  theme: { dark: true, accent: 'blue' },
})

describe('settings that take the place of others', () => {
  test('have their secrets sealed', () => {
    expect(JSON.stringify(current)).not.toMatch(/EAAG|app-secret/)
    expect(opened(current).WHATSAPP_ACCESS_TOKEN).toBe(TOKEN)
  })

  test('leave a secret that comes back masked as it is', () => {
    expect(replaceSettings(place, current, masked(current))).toEqual(current)
  })

  test('that are equal, secrets in clear, are the same to the letter', () => {
    expect(replaceSettings(place, current, opened(current))).toEqual(current)
  })

  test('remove what they do not mention, and what is null', () => {
    const next = replaceSettings(place, current, { WHATSAPP_ACCESS_TOKEN: null, theme: null })
    expect(next).toEqual({ theme: null })
  })

  test('take a new secret beside a masked one, by its fingerprint and not by its place', () => {
    const [newMask] = masked(current).WHATSAPP_APP_SECRET as unknown[]
    const next = replaceSettings(place, current, { WHATSAPP_APP_SECRET: ['app-secret-newest', newMask] })
    expect(opened(next).WHATSAPP_APP_SECRET).toEqual(['app-secret-newest', 'app-secret-new'])
  })

  test('keep both app secrets for one mask', () => {
    const next = replaceSettings(place, current, { WHATSAPP_APP_SECRET: { set: true } })
    expect(next.WHATSAPP_APP_SECRET).toEqual(current.WHATSAPP_APP_SECRET)
  })

  test('are refused when a mask stands for no secret', () => {
    expect(faultsOf(() => stored({ WHATSAPP_VERIFY_TOKEN: { set: true, last4: 'abcd' } }))).toEqual([
      'WHATSAPP_VERIFY_TOKEN',
    ])
  })

  test('are refused when a secret was sealed for another company', () => {
    const other = { keys, companyId: 'b0000000-0000-4000-8000-000000000001' }
    const theirs = replaceSettings(other, {}, { WHATSAPP_ACCESS_TOKEN: TOKEN })
    expect(faultsOf(() => stored(theirs))).toEqual(['WHATSAPP_ACCESS_TOKEN'])
  })

  test('are refused naming all that is wrong', () => {
    expect(
      faultsOf(() =>
        stored({
          WHATSAPP_ACCESS_TOKEN: '',
          RETENTION_DAYS: 'soon',
          other: 'a\u0000b',
          half: '\ud800',
          fine: '\u{1f600}',
        }),
      ).sort(),
    ).toEqual(['RETENTION_DAYS', 'WHATSAPP_ACCESS_TOKEN', 'half', 'other'])
  })

  test('are refused when they are too large', () => {
    expect(faultsOf(() => stored({ blob: 'x'.repeat(300_000) }))).toEqual(['custom_properties'])
  })
})

describe('settings that are merged', () => {
  test('change what they name and leave the rest', () => {
    const next = mergeSettings(place, current, {
      WHATSAPP_COVER: null,
      RETENTION_DAYS: 30,
      theme: { accent: null, size: 2 },
    })
    expect(opened(next)).toEqual({
      WHATSAPP_ACCESS_TOKEN: TOKEN,
      WHATSAPP_APP_SECRET: ['app-secret-new', 'app-secret-old'],
      RETENTION_DAYS: 30,
      theme: { dark: true, size: 2 },
    })
    expect(next.WHATSAPP_ACCESS_TOKEN).toBe(current.WHATSAPP_ACCESS_TOKEN)
  })

  test('take a mask for a secret as no change', () => {
    expect(mergeSettings(place, current, { WHATSAPP_ACCESS_TOKEN: masked(current).WHATSAPP_ACCESS_TOKEN })).toEqual(
      current,
    )
  })

  test('that are empty change nothing', () => {
    expect(mergeSettings(place, current, {})).toEqual(current)
  })

  test('name what was wrong before, so that it can be mended in the same request', () => {
    const bad = { ON_UNCERTAIN: 'maybe' }
    expect(faultsOf(() => mergeSettings(place, bad, { RETENTION_DAYS: 1 }))).toEqual(['ON_UNCERTAIN'])
    expect(mergeSettings(place, bad, { ON_UNCERTAIN: 'park' })).toEqual({ ON_UNCERTAIN: 'park' })
  })

  test('a merge of any settings of other programs does what RFC 7396 says', () => {
    const merge = (target: unknown, patch: unknown): unknown => {
      if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch
      const base = target !== null && typeof target === 'object' && !Array.isArray(target) ? { ...target } : {}
      for (const [name, value] of Object.entries(patch)) {
        if (value === null) delete (base as Record<string, unknown>)[name]
        else (base as Record<string, unknown>)[name] = merge((base as Record<string, unknown>)[name], value)
      }
      return base
    }
    const name = fc.constantFrom('a', 'b', 'c')
    const { tree } = fc.letrec((tie) => ({
      tree: fc.dictionary(name, fc.oneof({ maxDepth: 3 }, fc.constantFrom(null, 1, 'x', [1]), tie('tree'))),
    }))
    fc.assert(
      fc.property(tree, tree, (before, patch) => {
        const properties = before as CustomProperties
        expect(mergeSettings(place, properties, patch as CustomProperties)).toEqual(merge(properties, patch))
      }),
    )
  })
})
