import { encodeEvent, eventId, newEvent, type StoredEvent } from '@cloudapi2/contracts'
import { startNats, type TestServer } from '@cloudapi2/embedded'
import {
  ack,
  applyTopology,
  asServerPermissions,
  BUCKETS,
  connectNats,
  type Delivery,
  MEDIA_BUCKET,
  type Nats,
  openKv,
  openObjectBucket,
  permissions,
} from '@cloudapi2/nats'
import { createLog } from '@cloudapi2/service-kit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IndexEntry } from '../index/index-entry.ts'
import { type MediaIndex, mediaIndex } from '../index/media-index.store.ts'
import { contentKey, type MediaStore } from '../store/media-store.ts'
import { natsObjectStore } from '../store/nats-objects.store.ts'
import { indexedFiles } from './indexed-files.client.ts'
import { isOld } from './old-files.ts'
import { type RemoveFilesDeps, removeFiles } from './remove-files.handler.ts'

const BEFORE = '2026-11-10T00:00:00.000Z'
const OLD = '2026-11-09T00:00:00.000Z'
const YOUNG = '2026-11-11T00:00:00.000Z'
const log = createLog({ service: 'media', level: 'silent' })

let server: TestServer
let operator: Nats
let nats: Nats
let index: MediaIndex
let store: MediaStore

beforeAll(async () => {
  server = await startNats({
    users: [
      { user: 'operator', password: 'p' },
      { user: 'media', password: 'p', permissions: asServerPermissions(permissions.media) },
    ],
  })
  const url = (user: string) => server.url.replace('//', `//${user}:p@`)
  operator = await connectNats({ url: url('operator'), name: 'operator', log })
  await applyTopology(operator, { replicas: 1, eventsMaxAgeMs: 0 })
  nats = await connectNats({ url: url('media'), name: 'media', log })
  index = mediaIndex(await openKv(nats, BUCKETS.mediaIndex, log))
  store = natsObjectStore(openObjectBucket(nats, MEDIA_BUCKET, { timeoutMs: 5_000 }))
})
afterAll(async () => {
  await nats?.close()
  await operator?.close()
  await server?.stop()
})

let companies = 0
const newCompany = () => `a9242a58-4f5d-494c-8a74-${String(++companies).padStart(12, '0')}`
const content = (letter: string) => letter.repeat(64)
const storedEntry = (sha256: string, message_at: string | undefined): IndexEntry => ({
  state: 'stored',
  message_id: 'wamid.1',
  sha256,
  size_bytes: 1,
  mime_type: 'image/png',
  stored_at: message_at ?? OLD,
  ...(message_at === undefined ? {} : { message_at }),
})
/** A file in store and index. */
const has = async (company: string, mediaId: string, letter: string, message_at: string | undefined) => {
  await store.put(contentKey(company, content(letter)), bytes())
  await index.learn(company, mediaId, storedEntry(content(letter), message_at))
}
async function* bytes() {
  yield Buffer.from('x')
}
const isStored = async (company: string, letter: string) =>
  (await store.head(contentKey(company, content(letter)))) !== undefined
const knows = async (company: string, mediaId: string) => (await index.get(company, mediaId)) !== undefined

const applied = (company: string, before = BEFORE): Delivery => {
  const event = newEvent({
    id: eventId(company, 'retention.applied', company, before),
    source: '/projector',
    type: 'retention.applied',
    subject: company,
    time: before,
    companyId: company,
    channel: 'system',
    recordedTime: before,
    data: { before, retention_days: 14, removed: { messages: 1, sends: 0, media: 1 } },
  }) as StoredEvent
  return { data: encodeEvent(event) } as unknown as Delivery
}
const remove = (company: string, change: Partial<RemoveFilesDeps> = {}) =>
  removeFiles({
    files: indexedFiles(nats),
    index,
    store,
    log,
    count: () => {},
    now: Date.now,
    stopping: new AbortController().signal,
    ...change,
  })(applied(company))

describe('when messages were removed by age', () => {
  test('their files go, with what the index knew of them', async () => {
    const company = newCompany()
    await has(company, '1', 'a', OLD)
    await has(company, '2', 'b', YOUNG)
    await index.learn(company, '3', { state: 'failed', message_id: 'wamid.3', reason: 'expired', message_at: OLD })
    expect(await remove(company)).toBe(ack)
    expect([await isStored(company, 'a'), await knows(company, '1'), await knows(company, '3')]).toEqual([
      false,
      false,
      false,
    ])
    expect([await isStored(company, 'b'), await knows(company, '2')]).toEqual([true, true])
  })

  test('a content that a younger message carries as well stays', async () => {
    const company = newCompany()
    await has(company, '1', 'a', OLD)
    await has(company, '2', 'a', YOUNG)
    await remove(company)
    expect([await isStored(company, 'a'), await knows(company, '1'), await knows(company, '2')]).toEqual([
      true,
      false,
      true,
    ])
  })

  test('a file that two messages carry is as young as the younger', async () => {
    const company = newCompany()
    await has(company, '1', 'a', OLD)
    await index.learn(company, '1', storedEntry(content('a'), YOUNG))
    await index.learn(company, '1', storedEntry(content('a'), OLD))
    await remove(company)
    expect([await isStored(company, 'a'), await knows(company, '1')]).toEqual([true, true])
  })

  test('files of other companies stay, whatever their age', async () => {
    const [company, other] = [newCompany(), newCompany()]
    await has(company, '1', 'a', OLD)
    await has(other, '1', 'a', OLD)
    await remove(company)
    expect([await isStored(company, 'a'), await isStored(other, 'a')]).toEqual([false, true])
  })

  test('an entry that tells no time of its message is as old as its file', async () => {
    const company = newCompany()
    await has(company, '1', 'a', undefined)
    await remove(company)
    expect(await isStored(company, 'a')).toBe(false)
    const waiting: IndexEntry = { state: 'waiting', message_id: 'wamid.1', attempts: 0 }
    const known = { mediaId: '1', revision: 1, entry: waiting, indexedAtMs: 1_000 }
    expect([isOld(known, 1_000), isOld(known, 1_001)]).toEqual([false, true])
  })

  test('more files than are looked after at a time all go', async () => {
    const company = newCompany()
    const ids = Array.from({ length: 1_100 }, (_, i) => String(i))
    await Promise.all(ids.map((id) => index.learn(company, id, storedEntry(content('c'), OLD))))
    const counted: number[] = []
    await remove(company, { count: ({ entries }) => counted.push(entries) })
    expect(counted).toEqual([1_000, 100])
    expect(await knows(company, '1099')).toBe(false)
  })

  test('a store that is away is tried again, and what was begun is finished', async () => {
    const company = newCompany()
    await has(company, '1', 'a', OLD)
    const away = {
      delete: () => Promise.reject(Object.assign(new Error('away'), { code: 'MEDIA_STORE_AWAY', retryable: true })),
    }
    await expect(remove(company, { store: away })).rejects.toThrow('away')
    const cutOff = { ...index, forget: () => Promise.reject(new Error('killed')) }
    await expect(remove(company, { index: cutOff })).rejects.toThrow('killed')
    expect([await isStored(company, 'a'), await knows(company, '1')]).toEqual([false, true])
    await remove(company)
    expect(await knows(company, '1')).toBe(false)
  })

  test('a content that is asked for again at that moment stays', async () => {
    const company = newCompany()
    await has(company, '1', 'a', OLD)
    const wanting = {
      ...index,
      claimRemoval: async (...claim: Parameters<MediaIndex['claimRemoval']>) => {
        await index.note(company, '2', {
          state: 'waiting',
          message_id: 'wamid.2',
          attempts: 0,
          sha256: content('a'),
          message_at: YOUNG,
        })
        await index.claimRemoval(...claim)
      },
    }
    await remove(company, { index: wanting })
    expect([await isStored(company, 'a'), await knows(company, '1')]).toEqual([true, false])
  })

  test('whoever asks for a content later sees that it goes, and for as long as the claim lasts', async () => {
    const company = newCompany()
    await has(company, '1', 'a', OLD)
    let isSeen = false
    const watched = {
      delete: async (key: string) => {
        isSeen = await index.isBeingRemoved(company, content('a'), Date.now())
        await store.delete(key)
      },
    }
    await remove(company, { store: watched })
    expect(isSeen).toBe(true)
    expect(await index.isBeingRemoved(company, content('a'), Date.now())).toBe(false)
    await index.claimRemoval(company, content('a'), 1_000)
    expect(await index.isBeingRemoved(company, content('a'), 999)).toBe(true)
    expect(await index.isBeingRemoved(company, content('a'), 1_000)).toBe(false)
  })

  test('an entry that changed meanwhile stays', async () => {
    const company = newCompany()
    await has(company, '1', 'a', OLD)
    const changing = {
      delete: async (key: string) => {
        await index.learn(company, '1', storedEntry(content('a'), YOUNG))
        await store.delete(key)
      },
    }
    await remove(company, { store: changing })
    expect(await knows(company, '1')).toBe(true)
  })
})
