import { randomUUID } from 'node:crypto'
import { startNats } from '@cloudapi2/embedded'
import { applyTopology, BUCKETS, connectNats, type KvBucket, type Nats, openKv } from '@cloudapi2/nats'
import { createLog } from '@cloudapi2/service-kit'
import type { Tenant } from '@cloudapi2/tenants'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { FetchedTemplate } from '../channel/channel.ts'
import { templateStore } from './templates.store.ts'

const silent = { info: () => {}, warn: () => {}, error: () => {} }
let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let bucket: KvBucket
beforeAll(async () => {
  server = await startNats()
  nats = await connectNats({ url: `nats://127.0.0.1:${server.port}`, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  bucket = await openKv(nats, BUCKETS.templates, silent)
})
afterAll(async () => {
  await nats?.close()
  await server?.stop()
})

const orderReady = { name: 'order_ready', language: 'en_us' }
const fetched = (language: string, more: Partial<FetchedTemplate> = {}): FetchedTemplate => ({
  name: 'order_ready',
  language: language.toLowerCase(),
  writtenAs: language,
  definition: { language, bodyParameters: ['1'] },
  isLasting: true,
  ...more,
})
const knownAs = (template: FetchedTemplate) => ({ kind: 'found', definition: template.definition })

let tenant: Tenant
let now: number
let asked: number
let lines: string[]
let answer: () => Promise<FetchedTemplate[]>
beforeEach(() => {
  tenant = { companyId: randomUUID(), businessId: '8197', accessToken: 'EAA' } as Tenant
  now = Date.UTC(2026, 10, 24)
  asked = 0
  lines = []
  answer = async () => [fetched('en_US'), fetched('es')]
})
/** One process; a second one shares what is stored. */
const store = (kept: Pick<KvBucket, 'get' | 'put' | 'delete'> = bucket) =>
  templateStore({
    bucket: kept,
    channel: {
      fetchTemplates: () => {
        asked++
        return answer()
      },
    },
    log: createLog({ service: 'sender', level: 'debug' }, { write: (line) => void lines.push(line) }),
    now: () => now,
  })

describe('a definition', () => {
  test('is fetched once, for however many ask, in whatever process', async () => {
    const { find } = store()
    const found = await Promise.all([1, 2, 3].map(() => find(tenant, orderReady)))
    expect(found).toEqual([1, 2, 3].map(() => knownAs(fetched('en_US'))))
    expect(await store().find(tenant, orderReady)).toEqual(knownAs(fetched('en_US')))
    expect(asked).toBe(1)
  })
  test('is fetched again after an hour, should nobody have told of its change', async () => {
    const { find } = store()
    await find(tenant, orderReady)
    now += 3_600_000
    await find(tenant, orderReady)
    await store().find(tenant, orderReady)
    expect(asked).toBe(2)
  })
  test('of one company is not another’s, nor one language’s another’s', async () => {
    const { find } = store()
    await find(tenant, orderReady)
    await find({ ...tenant, companyId: randomUUID() }, orderReady)
    expect(await find(tenant, { ...orderReady, language: 'es' })).toEqual(knownAs(fetched('es')))
    expect(asked).toBe(3)
  })
  test('written by another version is fetched again', async () => {
    await bucket.put(
      `${tenant.companyId}.order_ready.en_us`,
      JSON.stringify({ fetched_at: new Date(now).toISOString(), definition: { bodyParameters: [] } }),
    )
    expect(await store().find(tenant, orderReady)).toEqual(knownAs(fetched('en_US')))
  })
  test('may have any name and language, as a raw message may', async () => {
    const odd = { name: 'two words', language: '>.*' }
    answer = async () => [fetched('>.*', { name: 'two words' })]
    expect(await store().find(tenant, odd)).toMatchObject({ kind: 'found' })
    expect(await store().find(tenant, odd)).toMatchObject({ kind: 'found' })
    expect(asked).toBe(1)
  })
})

describe('what is not there, cannot be sent, or cannot be had', () => {
  test('is told with the languages there are, and asked for again after a minute', async () => {
    const { find } = store()
    const de = { ...orderReady, language: 'de' }
    expect(await find(tenant, de)).toEqual({ kind: 'missing', languages: ['en_US', 'es'] })
    expect(await find(tenant, de)).toEqual({ kind: 'missing', languages: ['en_US', 'es'] })
    expect(asked).toBe(1)
    now += 60_000
    answer = async () => [fetched('de')]
    expect(await find(tenant, de)).toEqual(knownAs(fetched('de')))
  })
  test('is asked for again after a minute where it is there and cannot be sent', async () => {
    const { find } = store()
    answer = async () => [fetched('en_US', { isLasting: false, definition: { status: 'PAUSED' } })]
    expect(await find(tenant, orderReady)).toMatchObject({ definition: { status: 'PAUSED' } })
    now += 60_000
    answer = async () => [fetched('en_US')]
    expect(await find(tenant, orderReady)).toEqual(knownAs(fetched('en_US')))
  })
  test('does not stop a message, is not asked for with each of them, and is told once in a while', async () => {
    answer = async () => {
      throw new Error('Meta is away')
    }
    const { find } = store()
    for (const name of ['order_ready', 'order_ready', 'another'])
      expect(await find(tenant, { ...orderReady, name })).toEqual({ kind: 'unknown' })
    expect(asked).toBe(2)
    expect(lines.filter((line) => line.includes('template.not_fetched'))).toHaveLength(1)
    now += 60_000
    answer = async () => [fetched('en_US')]
    expect(await find(tenant, orderReady)).toEqual(knownAs(fetched('en_US')))
  })
  test('is nothing for a company that cannot ask', async () => {
    const { businessId: _, ...without } = tenant
    expect(await store().find(without as Tenant, orderReady)).toEqual({ kind: 'unknown' })
    expect(asked).toBe(0)
    expect(lines.join()).toContain('no business id')
  })
  test('is a bucket that is away: the channel is asked', async () => {
    const away = async () => {
      throw new Error('NATS is away')
    }
    const { find, forget } = store({ get: away, put: away, delete: away })
    expect(await find(tenant, orderReady)).toEqual(knownAs(fetched('en_US')))
    await forget(tenant.companyId, orderReady)
    expect(await find(tenant, orderReady)).toEqual(knownAs(fetched('en_US')))
    expect(asked).toBe(2)
  })
})

describe('a change', () => {
  const changed = fetched('en_US', { definition: { bodyParameters: ['1', '2'] } })

  test('that was told is fetched, in every process', async () => {
    const [one, two] = [store(), store()]
    await Promise.all([one.find(tenant, orderReady), two.find(tenant, orderReady)])
    answer = async () => [changed]
    await Promise.all([one, two].map((each) => each.forget(tenant.companyId, orderReady)))
    expect(await one.find(tenant, orderReady)).toEqual(knownAs(changed))
    expect(await two.find(tenant, orderReady)).toEqual(knownAs(changed))
  })

  test('that was told while the old one was on its way is not lost', async () => {
    let arrive = (_: FetchedTemplate[]) => {}
    let isAsked = () => {}
    const under = new Promise<void>((resolve) => {
      isAsked = resolve
    })
    answer = () => {
      isAsked()
      return new Promise((resolve) => {
        arrive = resolve
      })
    }
    const { find, forget } = store()
    const before = find(tenant, orderReady)
    await under
    await forget(tenant.companyId, orderReady)
    answer = async () => [changed]
    arrive([fetched('en_US')])
    await before
    expect(await find(tenant, orderReady)).toEqual(knownAs(changed))
    expect(await store().find(tenant, orderReady)).toEqual(knownAs(changed))
  })

  test('that may have been missed is looked for in the bucket', async () => {
    const [one, two] = [store(), store()]
    await Promise.all([one.find(tenant, orderReady), two.find(tenant, orderReady)])
    answer = async () => [changed]
    await one.forget(tenant.companyId, orderReady)
    await one.find(tenant, orderReady)
    expect(await two.find(tenant, orderReady)).toEqual(knownAs(fetched('en_US')))
    two.forgetMemory()
    expect(await two.find(tenant, orderReady)).toEqual(knownAs(changed))
  })
})

describe('a template that the channel doubts', () => {
  test('is asked for anew, and is known otherwise only when it has changed', async () => {
    const { find, review } = store()
    const used = await find(tenant, orderReady)
    expect(await review(tenant, orderReady, used)).toBe(false)
    now += 5_000
    answer = async () => []
    expect(await review(tenant, orderReady, used)).toBe(true)
    expect(await find(tenant, orderReady)).toEqual({ kind: 'missing', languages: [] })
    expect(asked).toBe(3)
  })
  test('is asked for once, however many messages it was refused to', async () => {
    const { find, review } = store()
    const used = await find(tenant, orderReady)
    answer = async () => [fetched('en_US', { definition: { bodyParameters: [] } })]
    expect(await Promise.all([1, 2, 3].map(() => review(tenant, orderReady, used)))).toEqual([true, true, true])
    expect(asked).toBe(2)
  })
  test('and cannot be asked for is not known otherwise', async () => {
    const { find, review } = store()
    const used = await find(tenant, orderReady)
    answer = async () => {
      throw new Error('Meta is away')
    }
    expect(await review(tenant, orderReady, used)).toBe(false)
  })
})
