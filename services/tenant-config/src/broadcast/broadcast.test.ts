import { randomBytes } from 'node:crypto'
import { parseEvent } from '@cloudapi2/contracts'
import { type CompanyRecord, type ConfiguredCompany, parseSecretsKeys, sealProperties } from '@cloudapi2/tenants'
import { describe, expect, test } from 'vitest'
import { decideBroadcast } from './broadcast.ts'

const old = randomBytes(32).toString('base64')
const oldKeys = parseSecretsKeys(`k1:${old}`)
const keys = parseSecretsKeys(`k2:${randomBytes(32).toString('base64')},k1:${old}`)
const id = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const now = new Date('2026-11-24T09:00:00Z')

const company = (properties: object, rest: Partial<ConfiguredCompany> = {}, sealing = keys): ConfiguredCompany => ({
  company_id: id,
  name: 'Solvify',
  custom_properties: sealProperties(sealing, id, { ...properties }).properties,
  api_keys: [],
  updated_at: '2026-11-24T08:00:00.000Z',
  ...rest,
})
const tombstone: CompanyRecord = { company_id: id, removed: true, updated_at: '' }
const apiKey = { id: 'key-1', name: 'billing', scopes: ['send'], hash: 'a'.repeat(64) }
const decide = (known: CompanyRecord | undefined, wanted: ConfiguredCompany | undefined) =>
  decideBroadcast({ keys, known, wanted, now })

describe('the services are told', () => {
  test('of a new company, with its secrets masked in the event', () => {
    const wanted = company({ WHATSAPP_ACCESS_TOKEN: 'EAAG-planted-token', RETENTION_DAYS: 30 }, { api_keys: [apiKey] })
    const broadcast = decide(undefined, wanted)
    expect(broadcast?.record).toEqual(wanted)
    const event = broadcast?.event
    expect(event).toMatchObject({
      type: 'tenant.configured',
      companyid: id,
      channel: 'system',
      time: wanted.updated_at,
      data: {
        name: 'Solvify',
        changed: ['name', 'RETENTION_DAYS', 'WHATSAPP_ACCESS_TOKEN', 'api_keys'],
        custom_properties: { WHATSAPP_ACCESS_TOKEN: { set: true, last4: 'oken' }, RETENTION_DAYS: 30 },
        api_keys: [{ id: 'key-1', name: 'billing', scopes: ['send'] }],
      },
    })
    expect(JSON.stringify(event)).not.toMatch(/planted|sealed:|aaaa/)
    expect(parseEvent(event)).toEqual(event)
  })

  test('of what changed, by name', () => {
    const before = company({ WHATSAPP_ACCESS_TOKEN: 'first', RETENTION_DAYS: 30, gone: 1 })
    const after = company({ WHATSAPP_ACCESS_TOKEN: 'second', RETENTION_DAYS: 30, come: 2 }, { name: 'Solvify SL' })
    expect(decide(before, after)?.event?.data).toMatchObject({
      changed: ['name', 'WHATSAPP_ACCESS_TOKEN', 'come', 'gone'],
    })
  })

  test('of a key made or revoked', () => {
    expect(decide(company({}), company({}, { api_keys: [apiKey] }))?.event?.data).toMatchObject({
      changed: ['api_keys'],
    })
    expect(decide(company({}, { api_keys: [apiKey] }), company({}))?.event?.data).toMatchObject({
      changed: ['api_keys'],
    })
  })

  test('of a company that came back', () => {
    expect(decide(tombstone, company({}))?.event?.type).toBe('tenant.configured')
  })

  test('of a company that is gone', () => {
    const broadcast = decide(company({}), undefined)
    expect(broadcast?.record).toEqual({ company_id: id, removed: true, updated_at: now.toISOString() })
    expect(broadcast?.event).toMatchObject({ type: 'tenant.removed', data: { name: 'Solvify' } })
    expect(parseEvent(broadcast?.event)).toEqual(broadcast?.event)
  })

  test('without an event, of secrets sealed again under another key', () => {
    const before = company({ WHATSAPP_ACCESS_TOKEN: 'EAAG' }, {}, oldKeys)
    const after = company({ WHATSAPP_ACCESS_TOKEN: 'EAAG' })
    const broadcast = decide(before, after)
    expect(broadcast?.record).toEqual(after)
    expect(broadcast?.event).toBeUndefined()
  })
})

describe('the services are told nothing', () => {
  test('when they know it already, whatever the time of the last change', () => {
    const before = company({ WHATSAPP_ACCESS_TOKEN: 'EAAG' })
    expect(decide(before, { ...before, updated_at: '2027-01-01T00:00:00.000Z' })).toBeUndefined()
  })

  test('of a company that is gone and that they never knew, or know to be gone', () => {
    expect(decide(undefined, undefined)).toBeUndefined()
    expect(decide(tombstone, undefined)).toBeUndefined()
  })
})

describe('the id of an event', () => {
  const idOf = (known: CompanyRecord | undefined, wanted: ConfiguredCompany | undefined, at = now) =>
    decideBroadcast({ keys, known, wanted, now: at })?.event?.id

  test('is the same for two processes that notice the same change', () => {
    const wanted = company({ WHATSAPP_ACCESS_TOKEN: 'EAAG' })
    const later = new Date(now.getTime() + 5_000)
    expect(idOf(undefined, wanted)).toBe(idOf(undefined, wanted, later))
    expect(idOf(wanted, undefined)).toBe(idOf(wanted, undefined, later))
  })

  test('differs when the same settings are made again later', () => {
    const first = company({ RETENTION_DAYS: 1 })
    expect(idOf(undefined, first)).not.toBe(idOf(undefined, { ...first, updated_at: '2026-11-24T08:00:01.000Z' }))
  })
})
