import { randomUUID } from 'node:crypto'
import { canonicalJson, type EventType, newEvent, type StoredEvent } from '@cloudapi2/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EventLog, LogEntry, LogQuery } from './event-log.ts'

/** A log to be tested, and the power over its server. */
export interface LogRig {
  log: EventLog
  /** Ends the server without warning and starts it again with what it had stored; undefined: it is not ours to end. */
  restart: (() => Promise<void>) | undefined
  /** Another log of this kind in which nothing was ever stored; undefined: there is none to be had. */
  empty: (() => Promise<{ log: EventLog; close: () => Promise<void> }>) | undefined
  close: () => Promise<void>
}

export interface Fact {
  companyId?: string
  type?: EventType
  channel?: string
  subject?: string
  recordedTime?: string
  data?: Record<string, unknown>
  id?: string
}

/** An event; what is not given is of no account. */
export const eventOf = (fact: Fact = {}): StoredEvent =>
  newEvent({
    id: fact.id ?? randomUUID(),
    source: '/test',
    type: fact.type ?? 'message.created',
    subject: fact.subject ?? `wamid.${randomUUID()}`,
    time: '2026-01-02T03:04:05.000Z',
    companyId: fact.companyId ?? randomUUID(),
    channel: fact.channel ?? 'whatsapp',
    recordedTime: fact.recordedTime ?? '2026-01-02T03:04:06.000Z',
    data: (fact.data ?? {}) as never,
  }) as StoredEvent

const decoder = new TextDecoder()
export const jsonOf = ({ body }: LogEntry): unknown => JSON.parse(decoder.decode(body))

export const collect = async (entries: AsyncIterable<LogEntry>): Promise<LogEntry[]> => {
  const all: LogEntry[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

const idOf = (entry: LogEntry) => (jsonOf(entry) as StoredEvent).id
const ids = (events: readonly StoredEvent[]) => events.map(({ id }) => id)

/** What every log promises, whatever it is kept in. */
export const eventLogContract = (name: string, open: () => Promise<LogRig>) =>
  describe(`the log in ${name}`, () => {
    let rig: LogRig
    beforeAll(async () => {
      rig = await open()
    }, 60_000)
    afterAll(() => rig?.close())

    const idsRead = async (query: LogQuery) => (await collect(rig.log.read(query))).map(idOf)

    describe('storing', () => {
      test('gives each event a position, growing within its company', async () => {
        const companyId = randomUUID()
        const events = [1, 2, 3, 4].map(() => eventOf({ companyId }))
        const positions = await rig.log.append(events)
        expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b))
        const entries = await collect(rig.log.read({ companyId }))
        expect(entries.map(({ position }) => position)).toEqual(positions)
        expect(entries.map(idOf)).toEqual(ids(events))
      })

      test('stores an event once, and tells of a repeat where its first copy is', async () => {
        const companyId = randomUUID()
        const [first, second] = [eventOf({ companyId }), eventOf({ companyId })]
        const [at] = await rig.log.append([first])
        const [repeat, , again] = await rig.log.append([first, second, first])
        expect([repeat, again]).toEqual([at, at])
        expect(await idsRead({ companyId })).toEqual([first.id, second.id])
      })

      test('keeps the order over several channels of a company, one of which came later', async () => {
        const companyId = randomUUID()
        const events = ['whatsapp', 'system', 'whatsapp', 'carrier_pigeon', 'system', 'whatsapp'].map((channel) =>
          eventOf({ companyId, channel }),
        )
        for (const event of events) await rig.log.append([event])
        expect(await idsRead({ companyId })).toEqual(ids(events))
      })

      test('takes bodies of 900 kB', async () => {
        const companyId = randomUUID()
        const events = ['a', 'b', 'c'].map((letter) => eventOf({ companyId, data: { raw: letter.repeat(900_000) } }))
        await rig.log.append(events)
        expect((await collect(rig.log.read({ companyId }))).map(jsonOf)).toEqual(events)
      })

      test('gives back the same JSON, with U+0000 and lone surrogates', async () => {
        const raw = { 'a\u0000b': 'x\u0000y', lone: '\ud800', other: ['\udc00', 1e21, -0.5, null, { ü: '😀' }] }
        const event = eventOf({ data: { raw } })
        await rig.log.append([event])
        const [entry] = await collect(rig.log.read({ companyId: event.companyid }))
        expect(canonicalJson(jsonOf(entry as LogEntry))).toBe(canonicalJson(event))
      })

      test('gives back an event of an old version, and of a type unknown to us, as it was stored', async () => {
        const companyId = randomUUID()
        const old = { ...eventOf({ companyId }), dataschema: 'message.created/0', kept: [1] } as StoredEvent
        const unknown = { ...eventOf({ companyId }), type: 'tea.served', dataschema: 'tea.served/9' } as never
        await rig.log.append([old, unknown])
        expect((await collect(rig.log.read({ companyId }))).map(jsonOf)).toEqual([old, unknown])
      })
    })

    describe('a question', () => {
      test('about a company is answered with its events alone', async () => {
        const [one, other] = [eventOf(), eventOf()]
        await rig.log.append([one, other])
        expect(await idsRead({ companyId: one.companyid })).toEqual([one.id])
      })

      test('about what belongs to no company is answered too', async () => {
        const event = eventOf({ companyId: '_' })
        const [position = 0] = await rig.log.append([event])
        expect(await idsRead({ companyId: '_', after: position - 1, upTo: position })).toEqual([event.id])
      })

      test('about a company that is not there is answered with nothing', async () => {
        expect(await idsRead({ companyId: randomUUID() })).toEqual([])
        expect(await idsRead({ companyId: 'not a company' })).toEqual([])
      })

      test('about all companies is answered with the events of each in order', async () => {
        const [a, b] = [randomUUID(), randomUUID()]
        const events = [a, b, a, b, b].map((companyId) => eventOf({ companyId }))
        await rig.log.append(events)
        const found = (await collect(rig.log.read({}))).map(jsonOf) as StoredEvent[]
        for (const companyId of [a, b])
          expect(ids(found.filter(({ companyid }) => companyid === companyId))).toEqual(
            ids(events.filter(({ companyid }) => companyid === companyId)),
          )
      })

      test('about types is answered with these', async () => {
        const companyId = randomUUID()
        const types = ['message.created', 'status.updated', 'media.stored', 'status.updated'] as const
        const events = types.map((type) => eventOf({ companyId, type }))
        const [created, sent, stored, read] = ids(events)
        await rig.log.append(events)
        expect(await idsRead({ companyId, types: ['status.updated'] })).toEqual([sent, read])
        expect(await idsRead({ companyId, types: ['media.stored', 'message.created'] })).toEqual([created, stored])
        expect(await idsRead({ companyId, types: ['media.stored', 'media.stored'] })).toEqual([stored])
        expect(await idsRead({ companyId, types: ['tea.served'] })).toEqual([])
        expect(await idsRead({ companyId, types: ['tea'] })).toEqual([])
        expect(await idsRead({ companyId, types: [] })).toEqual([])
      })

      test('about a message is answered with all that names it, its command included', async () => {
        const companyId = randomUUID()
        const message_id = `wamid.${randomUUID()}`
        const command_id = `order "7"/\u00e9`
        const about = { companyId, subject: command_id }
        const events = [
          eventOf({ ...about, type: 'send.requested', data: { command_id } }),
          eventOf({ ...about, type: 'send.requested', data: { command_id: 'another' } }),
          eventOf({ ...about, type: 'send.attempted', data: { command_id } }),
          eventOf({ companyId, subject: message_id, data: { message_id, command_id } }),
          eventOf({ companyId, subject: 'wamid.other', data: { message_id: 'wamid.other', raw: message_id } }),
          eventOf({ companyId, subject: message_id, type: 'status.updated', data: { message_id } }),
          eventOf({ companyId, subject: 'a file', type: 'media.stored', data: { message_id } }),
          eventOf({ subject: command_id, type: 'send.requested', data: { command_id } }), // another company
        ]
        await rig.log.append(events)
        const wanted = [0, 2, 3, 5, 6].map((i) => (events[i] as StoredEvent).id)
        expect(await idsRead({ companyId, messageId: message_id })).toEqual(wanted)
        expect(await idsRead({ messageId: message_id })).toEqual(wanted)
        expect(await idsRead({ companyId, messageId: message_id, types: ['send.attempted'] })).toEqual([wanted[1]])
        expect(await idsRead({ companyId, messageId: 'wamid.none' })).toEqual([])
        expect(await idsRead({ companyId: randomUUID(), messageId: message_id })).toEqual([])
      })

      test('about a time is answered with what was recorded from it on, and before its end', async () => {
        const companyId = randomUUID()
        const at = (second: number) => `2026-03-01T00:00:0${second}.000Z`
        // Recorded by several processes: not quite in the order in which they were stored.
        const events = [1, 2, 4, 3, 5].map((second) => eventOf({ companyId, recordedTime: at(second) }))
        const [one, two, four, three, five] = ids(events)
        await rig.log.append(events)
        const between = (from: number, to: number) => ({ companyId, from: new Date(at(from)), to: new Date(at(to)) })
        expect(await idsRead(between(2, 4))).toEqual([two, three])
        expect(await idsRead({ companyId, from: new Date(at(4)) })).toEqual([four, five])
        expect(await idsRead({ companyId, to: new Date(at(2)) })).toEqual([one])
        expect(await idsRead(between(3, 3))).toEqual([])
        expect(await idsRead(between(4, 2))).toEqual([])
      })

      test('about positions is answered with what comes after one, up to and including another', async () => {
        const companyId = randomUUID()
        const events = [1, 2, 3, 4, 5].map(() => eventOf({ companyId }))
        const positions = await rig.log.append(events)
        const [p1 = 0, p2 = 0, , p4 = 0, p5 = 0] = positions
        const [first, , third, fourth, fifth] = ids(events)
        expect(await idsRead({ companyId, after: p2, upTo: p4 })).toEqual([third, fourth])
        expect(await idsRead({ companyId, after: p4 })).toEqual([fifth])
        expect(await idsRead({ companyId, upTo: p1 })).toEqual([first])
        expect(await idsRead({ companyId, after: 0, upTo: 0 })).toEqual([])
        expect(await idsRead({ companyId, after: p4, upTo: p2 })).toEqual([])
        expect(await idsRead({ companyId, after: p5 })).toEqual([])
        expect(await idsRead({ companyId, after: p5 + 1_000_000 })).toEqual([])
        expect(await idsRead({ companyId, after: p4, upTo: p5 + 1_000_000 })).toEqual([fifth])
      })

      test('about several of these is answered with what fits all', async () => {
        const companyId = randomUUID()
        const message_id = `wamid.${randomUUID()}`
        const at = (second: number) => `2026-03-01T00:00:0${second}.000Z`
        const events = [1, 2, 3, 4].map((second) =>
          eventOf({ companyId, type: 'status.updated', recordedTime: at(second), data: { message_id } }),
        )
        const [, p2 = 0] = await rig.log.append(events)
        const query = { companyId, messageId: message_id, types: ['status.updated'] }
        expect(await idsRead({ ...query, after: p2, to: new Date(at(4)) })).toEqual([events[2]?.id])
      })

      test('that is no longer asked ends', async () => {
        const companyId = randomUUID()
        await rig.log.append([1, 2, 3].map(() => eventOf({ companyId })))
        const stop = new AbortController()
        let count = 0
        for await (const _ of rig.log.read({ companyId }, { signal: stop.signal })) {
          count++
          stop.abort()
        }
        expect(count).toBe(1)
      })

      test('may be left in the middle, and another one asked', async () => {
        const companyId = randomUUID()
        const events = Array.from({ length: 50 }, () => eventOf({ companyId }))
        await rig.log.append(events)
        for (let i = 0; i < 5; i++) for await (const _ of rig.log.read({ companyId })) break
        expect(await idsRead({ companyId })).toEqual(ids(events))
      })
    })

    test('its extent holds what was stored', async () => {
      const positions = await rig.log.append([eventOf()])
      const { first, last } = await rig.log.extent()
      expect(first).toBeGreaterThan(0)
      expect(last).toBeGreaterThanOrEqual(positions[0] as number)
    })

    test('an empty one has nothing and an extent of nothing', async ({ skip }) => {
      if (rig.empty === undefined) return skip()
      const { log, close } = await rig.empty()
      try {
        expect(await collect(log.read({}))).toEqual([])
        expect(await collect(log.read({ companyId: randomUUID(), messageId: 'wamid.x' }))).toEqual([])
        expect(await log.extent()).toEqual({ first: 0, last: 0 })
      } finally {
        await close()
      }
    })

    describe('following', () => {
      test('gives what is there, then what comes, each once and in order, and ends with its signal', async () => {
        const companyId = randomUUID()
        const before = [1, 2, 3].map(() => eventOf({ companyId }))
        const coming = ['whatsapp', 'pigeon', 'system'].map((channel) => eventOf({ companyId, channel }))
        await rig.log.append([...before, eventOf()])
        const stop = new AbortController()
        const seen: string[] = []
        for await (const entry of rig.log.follow({ companyId }, { signal: stop.signal })) {
          seen.push(idOf(entry))
          const next = coming[seen.length - 3]
          if (seen.length >= 3 && next !== undefined) await rig.log.append([eventOf(), next])
          if (next === undefined && seen.length >= 6) stop.abort()
        }
        expect(seen).toEqual(ids([...before, ...coming]))
      })

      test('begins after a position', async () => {
        const companyId = randomUUID()
        const events = [1, 2, 3, 4].map(() => eventOf({ companyId }))
        const [, second = 0] = await rig.log.append(events.slice(0, 3))
        const stop = new AbortController()
        const seen: string[] = []
        for await (const entry of rig.log.follow({ companyId, after: second }, { signal: stop.signal })) {
          if (seen.push(idOf(entry)) === 1) await rig.log.append(events)
          else stop.abort()
        }
        expect(seen).toEqual(ids(events.slice(2)))
      })

      test('of all companies gives the events of each in order', async () => {
        const [a, b] = [randomUUID(), randomUUID()]
        const events = [a, b, b, a, b].map((companyId) => eventOf({ companyId }))
        const positions = await rig.log.append(events.slice(0, 3))
        const after = Math.min(...positions) - 1
        const stop = new AbortController()
        const seen: StoredEvent[] = []
        for await (const entry of rig.log.follow({ after }, { signal: stop.signal })) {
          const event = jsonOf(entry) as StoredEvent
          if (event.companyid !== a && event.companyid !== b) continue
          if (seen.push(event) === 3) await rig.log.append(events)
          if (seen.length === 5) stop.abort()
        }
        for (const companyId of [a, b])
          expect(ids(seen.filter(({ companyid }) => companyid === companyId))).toEqual(
            ids(events.filter(({ companyid }) => companyid === companyId)),
          )
      })

      test('takes types and a message, whose command it may only learn of on the way', async () => {
        const companyId = randomUUID()
        const message_id = `wamid.${randomUUID()}`
        const data = { message_id, command_id: 'c' }
        const stop = new AbortController()
        const events = [
          eventOf({ companyId, subject: message_id, data }),
          eventOf({ companyId, type: 'media.stored', data }),
          eventOf({ companyId, type: 'send.uncertain', data: { command_id: 'c' } }),
        ]
        const types = ['message.created', 'send.uncertain']
        await rig.log.append([eventOf({ companyId })])
        const followed = rig.log.follow({ companyId, types, messageId: message_id }, { signal: stop.signal })
        const seen: string[] = []
        const appended = rig.log.append(events)
        for await (const entry of followed) if (seen.push(idOf(entry)) === 2) stop.abort()
        await appended
        expect(seen).toEqual([events[0]?.id, events[2]?.id])
      })

      test('ends with its signal although nothing comes', async () => {
        const stop = new AbortController()
        const followed = collect(rig.log.follow({ companyId: randomUUID() }, { signal: stop.signal }))
        await rig.log.append([eventOf()])
        stop.abort()
        expect(await followed).toEqual([])
      })

      test('goes on after a restart of the server, losing and repeating nothing', async ({ skip }) => {
        const { restart } = rig
        if (restart === undefined) return skip()
        const companyId = randomUUID()
        const events = [1, 2, 3, 4, 5].map(() => eventOf({ companyId }))
        await rig.log.append(events.slice(0, 2))
        const stop = new AbortController()
        const seen: string[] = []
        for await (const entry of rig.log.follow({ companyId }, { signal: stop.signal })) {
          if (seen.push(idOf(entry)) === 2 || seen.length === 3) {
            await restart()
            await untilStored(rig.log, events.slice(0, seen.length + 1))
          }
          if (seen.length === 4) await rig.log.append(events)
          if (seen.length === 5) stop.abort()
        }
        expect(seen).toEqual(ids(events))
        expect(await idsRead({ companyId })).toEqual(ids(events))
      }, 60_000)
    })
  })

/** The connection may need a moment to find the server again. */
const untilStored = async (log: EventLog, events: readonly StoredEvent[]): Promise<void> => {
  for (;;) {
    try {
      await log.append(events)
      return
    } catch (error) {
      if ((error as { retryable?: boolean }).retryable !== true) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
