import { readdirSync, readFileSync } from 'node:fs'
import { decodeEvent, encodeEvent, type StoredEvent } from '@cloudapi2/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseWebhook } from './parse-webhook.ts'

const FOLDER = new URL('../../fixtures/webhooks/', import.meta.url)
const fixtures: string[] = readdirSync(FOLDER).map((file) => readFileSync(new URL(file, FOLDER), 'utf8'))

const parse = (body: unknown): StoredEvent[] =>
  parseWebhook({
    body,
    companyOf: ({ phone_number_id }) =>
      phone_number_id === '284610037551902' ? 'a9242a58-4f5d-494c-8a74-45f8cee150e6' : '_',
    source: '/webhook-gateway',
    recordedTime: '2026-08-29T10:41:00.000Z',
  })

const idsOf = (body: unknown): Set<string> => new Set(parse(body).map((event) => event.id))

/** Whatever was parsed can be stored and read again, and no two events have one id. */
const expectSound = (body: unknown) => {
  const printed = JSON.stringify(body)
  const events = parse(body)
  for (const event of events) {
    const bytes = encodeEvent(event)
    // Compared as printed: an own key named __proto__ is no key to most comparisons.
    expect(JSON.stringify(decodeEvent(bytes).data.raw)).toBe(JSON.stringify(event.data.raw))
    const { raw: _, ...normalised } = event.data as Record<string, unknown>
    expect(JSON.stringify(normalised)).not.toMatch(/\\u0000|\\ud[89a-f]/)
  }
  expect(new Set(events.map((event) => event.id)).size).toBe(events.length)
  expect(JSON.stringify(body)).toBe(printed)
}

/** Any JSON, with the words of the format among its keys and values, so that it gets past the first question. */
const KEYS =
  'object entry id time changes field value messaging_product metadata display_phone_number phone_number_id contacts ' +
  'profile name username wa_id user_id messages statuses errors user_actions message_echoes history threads context ' +
  'standby from to type timestamp text body image caption mime_type interactive button_reply title reaction emoji ' +
  'message_id edit revoke original_message_id message system group_id recipient_id recipient_type status code ' +
  'error_data details history_context conversation origin pricing __proto__ constructor toString length'
const key = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...KEYS.split(' ')) }, fc.string({ unit: 'binary' }))
const scalar = fc.oneof(
  fc.constantFrom(
    null,
    true,
    '',
    'messages',
    'history',
    'standby',
    'flows',
    'text',
    'edit',
    'revoke',
    'system',
    'group',
  ),
  fc.constantFrom(
    '1788000000',
    1788000000,
    -1,
    1e300,
    'a\u0000b',
    'a\ud800',
    '284610037551902',
    'wamid.1',
    'x'.repeat(600),
  ),
  fc.string({ unit: 'binary' }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
)
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    scalar,
    fc.array(tie('json'), { maxLength: 4 }),
    // Through text, so that __proto__ becomes a key as it does in a body that was received.
    fc
      .array(fc.tuple(key, tie('json')), { maxLength: 6 })
      .map((pairs) => JSON.parse(`{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`)),
  ),
}))

test('no JSON makes it throw, and what it returns are events', () => {
  fc.assert(fc.property(json, expectSound), { numRuns: 500 })
})

test('no JSON in the place of an entry, a change, a value or a list does', () => {
  const places: ((x: unknown) => unknown)[] = [
    (x) => ({ entry: [x] }),
    (x) => ({ entry: [{ id: '1', changes: [x] }] }),
    (x) => ({ entry: [{ id: '1', changes: [{ field: 'messages', value: x }] }] }),
    (x) => ({ entry: [{ id: '1', changes: [{ field: 'flows', value: x }] }] }),
    (x) => ({ entry: [{ id: '1', changes: [{ field: 'history', value: { history: [x] } }] }] }),
    (x) => ({ entry: [{ id: '1', changes: [{ field: 'standby', value: { standby: x } }] }] }),
    ...['messages', 'statuses', 'message_echoes', 'errors', 'user_actions'].map((list) => (x: unknown) => ({
      entry: [{ id: '1', changes: [{ field: 'messages', value: { [list]: [x] } }] }],
    })),
  ]
  fc.assert(
    fc.property(fc.constantFrom(...places), json, (place, x) => expectSound(place(x))),
    { numRuns: 1000 },
  )
})

interface Place {
  holder: Record<string, unknown> | unknown[]
  key: string
}

const placesIn = (value: unknown): Place[] => {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => [
    { holder: value as Place['holder'], key },
    ...placesIn(member),
  ])
}

test('no fixture with anything in it replaced or removed does', () => {
  fc.assert(
    fc.property(fc.constantFrom(...fixtures), fc.nat(), fc.boolean(), json, (fixture, at, isRemoved, x) => {
      const body = JSON.parse(fixture)
      const places = placesIn(body)
      const { holder, key } = places[at % places.length] as Place
      if (isRemoved && Array.isArray(holder)) holder.splice(Number(key), 1)
      else if (isRemoved) delete (holder as Record<string, unknown>)[key]
      else Object.assign(holder, { [key]: x })
      expectSound(body)
    }),
    { numRuns: 1000 },
  )
})

const number = (id: string) => ({ metadata: { display_phone_number: '15550142760', phone_number_id: id } })
const message = fc.record({
  id: fc.string({ minLength: 1, maxLength: 20 }),
  from: fc.constantFrom('16285550137', '447700900461'),
  timestamp: fc.constantFrom('1788000000', '1788000001'),
  type: fc.constantFrom('text', 'image', 'hologram', 'media_placeholder'),
})
const status = fc.record({
  id: fc.constantFrom('wamid.1', 'wamid.2', 'wamid.3'),
  status: fc.constantFrom('sent', 'delivered', 'read'),
  timestamp: fc.constantFrom('1788000000', '1788000001'),
})
const change = fc
  .record({
    id: fc.constantFrom('284610037551902', '271938440165038'),
    messages: fc.array(message, { maxLength: 4 }),
    statuses: fc.array(status, { maxLength: 4 }),
  })
  .filter(({ messages, statuses }) => messages.length + statuses.length > 0)
const post = (changes: unknown[]) => ({ entry: [{ id: '315204778120945', changes }] })
const changeOf = (id: string, { messages, statuses }: { messages?: unknown[]; statuses?: unknown[] }) => ({
  field: 'messages',
  value: { ...number(id), ...(messages && { messages }), ...(statuses && { statuses }) },
})

test('bad items among good ones lose none of the good', () => {
  // Junk may hold a good item by chance; that adds facts, and takes none away.
  fc.assert(
    fc.property(change, fc.array(fc.tuple(fc.nat(), json), { maxLength: 4 }), (good, junk) => {
      const spoilt = <T>(list: readonly T[]): unknown[] => {
        const items: unknown[] = [...list]
        for (const [at, bad] of junk) items.splice(at % (items.length + 1), 0, bad)
        return items
      }
      const expected = idsOf(post([changeOf(good.id, good)]))
      const change = changeOf(good.id, { messages: spoilt(good.messages), statuses: spoilt(good.statuses) })
      const entry = { id: '315204778120945', changes: spoilt([change]) }
      expect([...idsOf({ entry: spoilt([entry]) })]).toEqual(expect.arrayContaining([...expected]))
    }),
  )
})

test('however a batch is split, ordered or repeated, it holds the same facts', () => {
  const together = fc.array(change, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(together, fc.infiniteStream(fc.nat()), (changes, random) => {
      const whole = idsOf(post(changes.map((c) => changeOf(c.id, c))))
      const single = changes.flatMap((c) => [
        ...c.messages.map((m) => changeOf(c.id, { messages: [m] })),
        ...c.statuses.map((s) => changeOf(c.id, { statuses: [s] })),
      ])
      const order = (list: readonly unknown[]) =>
        list
          .map((item) => ({ item, at: random.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ item }) => item)
      const entries = order([...single, ...single]).map((c) => ({ id: '315204778120945', changes: [c] }))
      expect(idsOf({ entry: entries })).toEqual(whole)
      const apart = new Set(entries.flatMap((entry) => [...idsOf({ entry: [entry] })]))
      expect(apart).toEqual(whole)
    }),
  )
})

test('every message and status becomes one event that keeps it', () => {
  fc.assert(
    fc.property(change, (sent) => {
      const raws = parse(post([changeOf(sent.id, sent)])).map((event) => event.data.raw)
      // Repeated facts are told once; each that is told is one that was sent.
      for (const item of [...sent.messages, ...sent.statuses])
        expect(raws.some((raw) => (raw as { id: string }).id === item.id)).toBe(true)
    }),
  )
})
