import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { newApiKey } from './api-keys.ts'
import { type CompanyRecord, encodeCompanyRecord } from './company-record.ts'
import type { CustomProperties } from './custom-properties.ts'
import { parseSecretsKeys } from './sealed-secrets.ts'
import { sealProperties } from './secret-properties.ts'
import type { Tenant } from './tenant.ts'
import { createTenantDirectory, type TenantDirectory, type TenantSource } from './tenant-directory.ts'

const keys = parseSecretsKeys(`k1:${randomBytes(32).toString('base64')}`)
const SOLVIFY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const ACME = 'b0000000-0000-4000-8000-000000000001'
const OMEGA = 'c0000000-0000-4000-8000-000000000001'

const key = newApiKey()

const configured = (
  companyId: string,
  properties: CustomProperties = {},
  rest: { name?: string; api_keys?: CompanyRecordKeys } = {},
): CompanyRecord => ({
  company_id: companyId,
  name: rest.name ?? 'Some company',
  custom_properties: sealProperties(keys, companyId, properties).properties,
  api_keys: rest.api_keys ?? [],
  updated_at: '2026-11-24T08:00:00.000Z',
})
type CompanyRecordKeys = { id: string; name: string; scopes: string[]; hash: string }[]
const removed = (companyId: string): CompanyRecord => ({ company_id: companyId, removed: true, updated_at: '' })

/** A bucket in memory, told by hand. */
const bucket = () => {
  let handlers: Parameters<TenantSource['watch']>[0] | undefined
  const stopped = vi.fn()
  const tell = (companyId: string, value: Uint8Array | string | undefined) =>
    handlers?.onValue(companyId, value === undefined ? undefined : { value: Buffer.from(value) })
  return {
    stopped,
    source: {
      watch: async (given) => {
        handlers = given
        return stopped
      },
    } satisfies TenantSource,
    put: (record: CompanyRecord) => tell(record.company_id, encodeCompanyRecord(record)),
    tell,
    current: () => handlers?.onCurrent(),
  }
}

const logged = () => {
  const lines: Record<string, unknown>[] = []
  const note = (line: Record<string, unknown>) => void lines.push(line)
  return { lines, log: { info: note, warn: note, error: note }, events: () => lines.map(({ event }) => event) }
}

const given = async (...records: CompanyRecord[]) => {
  const tenants = bucket()
  const log = logged()
  const directory = await createTenantDirectory({ source: tenants.source, keys, log: log.log })
  for (const record of records) tenants.put(record)
  return { ...tenants, ...log, directory }
}

describe('a directory of tenants', () => {
  test('is not loaded before everything there is was told', async () => {
    const { directory, current, put } = await given()
    expect(directory.isLoaded()).toBe(false)
    put(configured(SOLVIFY))
    expect(directory.isLoaded()).toBe(false)
    expect(directory.get(SOLVIFY)).toBeDefined()
    current()
    expect(directory.isLoaded()).toBe(true)
  })

  test('is loaded when there is no company at all', async () => {
    const { directory, current } = await given()
    current()
    expect(directory.isLoaded()).toBe(true)
    expect([...directory.all()]).toEqual([])
  })

  test('gives a tenant with its secrets opened and its defaults filled in', async () => {
    const { directory } = await given(
      configured(
        SOLVIFY,
        {
          WHATSAPP_ACCESS_TOKEN: 'EAAG',
          WHATSAPP_APP_SECRET: ['new', 'old'],
          WHATSAPP_VERIFY_TOKEN: 'verify',
          WHATSAPP_PHONE_NUMBER_ID: '674372385752523',
          WHATSAPP_BUSINESS_ID: '8197',
          WHATSAPP_COVER: 'https://example.com/cover.png',
          CHAT_URL: 'https://example.com/{chat_id}',
          RETENTION_DAYS: '30',
        },
        { name: 'Solvify' },
      ),
    )
    expect(directory.get(SOLVIFY)).toEqual({
      companyId: SOLVIFY,
      name: 'Solvify',
      accessToken: 'EAAG',
      appSecrets: ['new', 'old'],
      verifyToken: 'verify',
      phoneNumbers: [{ id: '674372385752523', messagesPerSecond: 80 }],
      defaultPhoneNumberId: '674372385752523',
      businessId: '8197',
      cover: 'https://example.com/cover.png',
      defaultCountry: 'ES',
      chatUrl: 'https://example.com/{chat_id}',
      retentionDays: 30,
      rateLimit: { maxCalls: 20, windowSeconds: 60 },
      onUncertain: 'park',
      apiKeys: [],
    } satisfies Tenant)
  })

  test('the first number of the list sends when none is named as the main one', async () => {
    const { directory } = await given(
      configured(SOLVIFY, { WHATSAPP_PHONE_NUMBERS: [{ id: '1', display_phone_number: '+34 1' }, { id: '2' }] }),
    )
    expect(directory.get(SOLVIFY)).toMatchObject({
      defaultPhoneNumberId: '1',
      phoneNumbers: [
        { id: '1', displayPhoneNumber: '+34 1' },
        { id: '2', messagesPerSecond: 80 },
      ],
    })
  })

  test('finds a tenant by each of its numbers and by its business account', async () => {
    const { directory } = await given(
      configured(SOLVIFY, {
        WHATSAPP_PHONE_NUMBER_ID: '1',
        WHATSAPP_PHONE_NUMBERS: [{ id: '2', messages_per_second: 20 }],
        WHATSAPP_BUSINESS_ID: '9',
      }),
      configured(ACME, { WHATSAPP_PHONE_NUMBER_ID: '3' }),
    )
    expect(['1', '2', '3', '4'].map((id) => directory.byPhoneNumberId(id)?.companyId)).toEqual([
      SOLVIFY,
      SOLVIFY,
      ACME,
      undefined,
    ])
    expect(directory.byBusinessId('9')?.companyId).toBe(SOLVIFY)
    expect(directory.byBusinessId('1')).toBeUndefined()
    expect([...directory.all()]).toHaveLength(2)
  })

  test('a number that was given up is found no more', async () => {
    const { directory, put } = await given(
      configured(SOLVIFY, { WHATSAPP_PHONE_NUMBER_ID: '1', WHATSAPP_BUSINESS_ID: '9' }),
    )
    put(configured(SOLVIFY, { WHATSAPP_PHONE_NUMBER_ID: '2' }))
    expect(directory.byPhoneNumberId('1')).toBeUndefined()
    expect(directory.byPhoneNumberId('2')?.companyId).toBe(SOLVIFY)
    expect(directory.byBusinessId('9')).toBeUndefined()
  })

  test('tells whose an API key is and what it allows, until it is revoked', async () => {
    const keyRecord = { id: 'key-1', name: 'billing', scopes: ['send'], hash: key.hash }
    const { directory, put } = await given(configured(SOLVIFY, {}, { api_keys: [keyRecord] }))
    expect(directory.keyOf(key.key)).toEqual({ companyId: SOLVIFY, keyId: 'key-1', scopes: ['send'] })
    expect(directory.keyOf(newApiKey().key)).toBeUndefined()
    expect(directory.keyOf(key.hash)).toBeUndefined()
    put(configured(SOLVIFY))
    expect(directory.keyOf(key.key)).toBeUndefined()
  })

  test.each([
    ['a tombstone', (tell: ReturnType<typeof bucket>) => tell.put(removed(SOLVIFY))],
    ['a deleted key', (tell: ReturnType<typeof bucket>) => tell.tell(SOLVIFY, undefined)],
  ])('a company disappears with %s, and with it all it had', async (_, remove) => {
    const context = await given(
      configured(
        SOLVIFY,
        { WHATSAPP_PHONE_NUMBER_ID: '1', WHATSAPP_BUSINESS_ID: '9' },
        { api_keys: [{ id: 'key-1', name: '', scopes: ['read'], hash: key.hash }] },
      ),
    )
    remove(context)
    const { directory, put } = context
    expect(directory.get(SOLVIFY)).toBeUndefined()
    expect(directory.byPhoneNumberId('1')).toBeUndefined()
    expect(directory.byBusinessId('9')).toBeUndefined()
    expect(directory.keyOf(key.key)).toBeUndefined()
    put(configured(SOLVIFY, { WHATSAPP_PHONE_NUMBER_ID: '1' }))
    expect(directory.byPhoneNumberId('1')?.companyId).toBe(SOLVIFY)
  })

  test('a company that a repeated telling leaves out stays', async () => {
    const { directory, current, put } = await given(configured(SOLVIFY), configured(ACME))
    current()
    put(configured(ACME)) // the connection came back: everything is told again, but not Solvify
    current()
    expect(directory.get(SOLVIFY)).toBeDefined()
  })

  test.each([
    ['not JSON', 'EAAG-planted-secret {'],
    ['a list', '["EAAG-planted-secret"]'],
    ['a record without name', JSON.stringify({ company_id: SOLVIFY, custom_properties: {} })],
    ['the record of another company', encodeCompanyRecord(configured(ACME))],
    ['a bad setting', encodeCompanyRecord(configured(SOLVIFY, { ON_UNCERTAIN: 'EAAG-planted-secret' }))],
  ])('%s changes nothing: the last good settings stay, and the log says so', async (_, bytes) => {
    const { directory, tell, events, lines } = await given(configured(SOLVIFY, { WHATSAPP_PHONE_NUMBER_ID: '1' }))
    tell(SOLVIFY, bytes)
    expect(directory.byPhoneNumberId('1')?.companyId).toBe(SOLVIFY)
    expect(events()).toContain('tenants.record_unreadable')
    expect(JSON.stringify(lines)).not.toContain('planted')
  })

  test('one unreadable record does not stop the others', async () => {
    const { directory, tell, put } = await given()
    tell(SOLVIFY, 'garbage')
    put(configured(ACME))
    expect(directory.get(SOLVIFY)).toBeUndefined()
    expect(directory.get(ACME)).toBeDefined()
  })

  test('a record of a later version is read for what this one knows', async () => {
    const { directory, tell } = await given()
    const record = {
      ...configured(SOLVIFY),
      schema: 7,
      api_keys: [{ kind: 'new' }, { id: 'key-1', name: 'x', scopes: ['send'], hash: key.hash, expires: 1 }],
    }
    tell(SOLVIFY, JSON.stringify(record))
    expect(directory.keyOf(key.key)?.keyId).toBe('key-1')
  })

  test('a secret under a key that is gone leaves the company incomplete, and names the key id', async () => {
    const retired = parseSecretsKeys(`retired:${randomBytes(32).toString('base64')}`)
    const { properties } = sealProperties(retired, SOLVIFY, { WHATSAPP_ACCESS_TOKEN: 'EAAG' })
    const { directory, lines } = await given({
      ...configured(SOLVIFY, { WHATSAPP_APP_SECRET: 'app' }),
      custom_properties: {
        ...sealProperties(keys, SOLVIFY, { WHATSAPP_APP_SECRET: 'app' }).properties,
        ...properties,
      },
    } as CompanyRecord)
    expect(directory.get(SOLVIFY)).toMatchObject({ appSecrets: ['app'] })
    expect(directory.get(SOLVIFY)).not.toHaveProperty('accessToken')
    expect(lines).toContainEqual(
      expect.objectContaining({
        event: 'tenants.secret_unreadable',
        property: 'WHATSAPP_ACCESS_TOKEN',
        reason: expect.stringContaining('retired'),
      }),
    )
  })

  test('a secret moved from another company does not open', async () => {
    const { properties } = sealProperties(keys, ACME, { WHATSAPP_ACCESS_TOKEN: 'EAAG-of-acme' })
    const { directory } = await given({ ...configured(SOLVIFY), custom_properties: properties } as CompanyRecord)
    expect(directory.get(SOLVIFY)).not.toHaveProperty('accessToken')
  })

  test('tells listeners of a company that appeared, changed or disappeared, and of nothing else', async () => {
    const { directory, put, tell } = await given()
    const heard: string[] = []
    directory.onChange((companyId) =>
      heard.push(`${companyId === SOLVIFY ? 'Solvify' : 'other'} ${directory.get(companyId)?.name ?? 'gone'}`),
    )
    const record = configured(SOLVIFY, {}, { name: 'one' })
    put(record)
    put(record) // told again
    put(configured(SOLVIFY, {}, { name: 'two' }))
    tell(SOLVIFY, 'garbage')
    put(removed(SOLVIFY))
    put(removed(ACME))
    tell(SOLVIFY, undefined)
    expect(heard).toEqual(['Solvify one', 'Solvify two', 'Solvify gone'])
  })

  test('a listener that throws keeps nobody from hearing', async () => {
    const { directory, put, events } = await given()
    const heard = vi.fn()
    directory.onChange(() => {
      throw new Error('broken listener')
    })
    directory.onChange(heard)
    put(configured(SOLVIFY))
    expect(heard).toHaveBeenCalledWith(SOLVIFY)
    expect(events()).toContain('tenants.listener_failed')
  })

  test('hears nothing after it was stopped', async () => {
    const { directory, put, stopped } = await given()
    await Promise.resolve() // the watch has been handed over
    directory.stop()
    expect(stopped).toHaveBeenCalled()
    put(configured(SOLVIFY))
    expect(directory.get(SOLVIFY)).toBeUndefined()
  })
})

describe('two companies that claim one number', () => {
  test('the smaller company id has it, and the log names both', async () => {
    const { directory, lines } = await given(
      configured(OMEGA, { WHATSAPP_PHONE_NUMBER_ID: '1' }),
      configured(ACME, { WHATSAPP_PHONE_NUMBER_ID: '1' }),
    )
    expect(directory.byPhoneNumberId('1')?.companyId).toBe(ACME)
    expect(lines).toContainEqual(
      expect.objectContaining({ event: 'tenants.claimed_twice', claimants: [ACME, OMEGA], winner: ACME }),
    )
  })

  test('the other has it once the first gives it up', async () => {
    const { directory, put } = await given(
      configured(OMEGA, { WHATSAPP_PHONE_NUMBER_ID: '1' }),
      configured(ACME, { WHATSAPP_PHONE_NUMBER_ID: '1' }),
    )
    put(removed(ACME))
    expect(directory.byPhoneNumberId('1')?.companyId).toBe(OMEGA)
  })

  test('any history of the same companies ends with the same answers', async () => {
    const companies = [SOLVIFY, ACME, OMEGA]
    const change = fc.record({
      company: fc.constantFrom(...companies),
      number: fc.option(fc.constantFrom('1', '2', '3'), { nil: undefined }),
    })
    const recordOf = ({ company, number }: { company: string; number: string | undefined }) =>
      number === undefined ? removed(company) : configured(company, { WHATSAPP_PHONE_NUMBER_ID: number })
    const answers = (directory: TenantDirectory) =>
      ['1', '2', '3'].map((id) => directory.byPhoneNumberId(id)?.companyId)
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const whole = await given(...changes.map(recordOf))
        // The same end, reached at once, in another order.
        const last = companies.flatMap((company) => changes.findLast((c) => c.company === company) ?? [])
        const short = await given(...last.reverse().map(recordOf))
        expect(answers(whole.directory)).toEqual(answers(short.directory))
      }),
      { numRuns: 50 },
    )
  })
})

describe('a watch that cannot be had', () => {
  afterEach(() => void vi.useRealTimers())

  test('is asked for again', async () => {
    vi.useFakeTimers()
    const { source, put, current } = bucket()
    const watch = vi.fn(source.watch).mockRejectedValueOnce(new Error('no answer'))
    const { log, events } = logged()
    const directory = await createTenantDirectory({ source: { watch }, keys, log })
    await vi.advanceTimersByTimeAsync(10)
    expect(events()).toContain('tenants.watch_failed')
    await vi.advanceTimersByTimeAsync(1_000)
    put(configured(SOLVIFY))
    current()
    expect(directory.isLoaded()).toBe(true)
    expect(directory.get(SOLVIFY)).toBeDefined()
  })
})
