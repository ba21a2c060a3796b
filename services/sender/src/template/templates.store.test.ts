import { createLog } from '@cloudapi2/service-kit'
import type { Tenant } from '@cloudapi2/tenants'
import { beforeEach, expect, test } from 'vitest'
import type { TemplateDefinition } from '../channel/channel.ts'
import { templateStore } from './templates.store.ts'

const definition: TemplateDefinition = { name: 'order_ready', bodyParameters: ['1'] }
const tenant = { companyId: 'c', businessId: '8197', accessToken: 'EAA' } as Tenant
const log = createLog({ service: 'sender', level: 'fatal' }, { write: () => {} })

let now: number
let asked: number
let stored: Map<string, Uint8Array>
let answer: () => Promise<TemplateDefinition | undefined>
beforeEach(() => {
  now = Date.UTC(2026, 10, 24)
  asked = 0
  stored = new Map()
  answer = async () => definition
})
/** One process; a second one shares what is stored. */
const store = () =>
  templateStore({
    bucket: {
      get: async (key) => {
        const value = stored.get(key)
        return value && { key, value, revision: 1 }
      },
      put: async (key, value) => {
        stored.set(key, Buffer.from(value as string))
        return 1
      },
    },
    channel: {
      fetchTemplate: () => {
        asked++
        return answer()
      },
    },
    log,
    now: () => now,
  })

test('a definition is fetched once, for however many ask, in whatever process', async () => {
  const find = store()
  const found = await Promise.all([1, 2, 3].map(() => find(tenant, 'order_ready', 'en_US')))
  expect(found).toEqual([definition, definition, definition])
  expect(await store()(tenant, 'order_ready', 'en_US')).toEqual(definition)
  expect(asked).toBe(1)
})

test('it is fetched again after an hour, since templates are edited', async () => {
  const find = store()
  await find(tenant, 'order_ready', 'en_US')
  now += 3_600_000
  await find(tenant, 'order_ready', 'en_US')
  expect(asked).toBe(2)
})

test('what cannot be had does not stop a message, and is not asked for with each of them', async () => {
  answer = async () => {
    throw new Error('Meta is away')
  }
  const find = store()
  expect(await find(tenant, 'order_ready', 'en_US')).toBeUndefined()
  expect(await find(tenant, 'order_ready', 'en_US')).toBeUndefined()
  expect(asked).toBe(1)
  now += 60_000
  answer = async () => definition
  expect(await find(tenant, 'order_ready', 'en_US')).toEqual(definition)
})

test('a company that cannot ask has no definitions', async () => {
  const { businessId: _, ...without } = tenant
  expect(await store()(without as Tenant, 'order_ready', 'en_US')).toBeUndefined()
  expect(asked).toBe(0)
})

test('one company’s definition is not another’s, nor one language’s another’s', async () => {
  const find = store()
  await find(tenant, 'order_ready', 'en_US')
  await find({ ...tenant, companyId: 'd' }, 'order_ready', 'en_US')
  await find(tenant, 'order_ready', 'es')
  expect(asked).toBe(3)
})
