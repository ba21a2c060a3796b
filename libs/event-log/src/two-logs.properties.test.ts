import { randomUUID } from 'node:crypto'
import { canonicalJson, type StoredEvent, subjects } from '@cloudapi2/contracts'
import { createPublisher } from '@cloudapi2/nats'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { archiveStream } from './archive-streams.ts'
import { type ArchiveEntry, archiveRuns } from './archive-writer.ts'
import { collect, eventOf, jsonOf } from './event-log.contract.ts'
import type { EventLog, LogEntry, LogQuery } from './event-log.ts'
import type { ArchiveLog } from './eventstore-log.client.ts'
import { archiveRig, archiveRigAt } from './eventstore-log.rig.ts'
import { natsLogRig } from './nats-log.rig.ts'

let events: Awaited<ReturnType<typeof natsLogRig>>
let archive: { log: ArchiveLog; close: () => Promise<void> }

beforeAll(async () => {
  events = await natsLogRig()
  const url = process.env.EVENTSTORE_URL
  archive = url === undefined ? await archiveRig() : archiveRigAt(url)
}, 60_000)
afterAll(async () => {
  await events?.close()
  await archive?.close()
})

/** Copies what the archive has not, as the archiver does. */
const copy = async (entries: readonly ArchiveEntry[], streamOf: (entry: ArchiveEntry) => string) => {
  for (const { stream, entries: run } of archiveRuns(entries, streamOf)) {
    const { position, revision } = await archive.log.lastPositionIn(stream)
    const missing = run.filter((entry) => entry.position > position)
    if (missing.length > 0)
      expect(await archive.log.appendAt(stream, missing, revision)).toMatchObject({ kind: 'stored' })
  }
}

/** An answer as it can be compared: of different companies, no order is promised. */
const answer = async (log: EventLog, query: LogQuery) => {
  const told = (await collect(log.read(query))).map((entry) => ({ ...entry, json: jsonOf(entry) as StoredEvent }))
  if (query.companyId === undefined)
    for (const [i, { position, json }] of told.entries())
      expect(told.slice(0, i).some((o) => o.json.companyid === json.companyid && o.position >= position)).toBe(false)
  return told
    .sort((a, b) => (query.companyId === undefined ? a.position - b.position : 0))
    .map(({ position, json }) => `${position} ${canonicalJson(json)}`)
}

const SECOND = 1_000
const BASE = Date.parse('2026-02-01T00:00:00.000Z')
const TYPES = ['message.created', 'status.updated', 'send.requested', 'send.failed', 'media.stored'] as const

const aFact = fc.record({
  company: fc.integer({ min: 0, max: 2 }),
  channel: fc.constantFrom('whatsapp', 'system', 'other'),
  type: fc.constantFrom(...TYPES),
  message: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
  command: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
  isSubject: fc.boolean(),
  second: fc.integer({ min: 0, max: 9 }),
  raw: fc.jsonValue(),
  isTwice: fc.boolean(),
})

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })

const aQuery = fc.record({
  company: optional(fc.integer({ min: 0, max: 3 })),
  types: optional(fc.subarray([...TYPES, 'tea.served'])),
  message: optional(fc.integer({ min: 0, max: 3 })),
  from: optional(fc.integer({ min: 0, max: 10 })),
  to: optional(fc.integer({ min: 0, max: 10 })),
  after: optional(fc.integer({ min: 0, max: 30 })),
  upTo: optional(fc.integer({ min: 0, max: 30 })),
})

const dropAbsent = (query: Record<string, unknown>): LogQuery =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined))

test('both logs give the same answer to the same question', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(aFact, { minLength: 1, maxLength: 30 }),
      fc.array(aQuery, { minLength: 5, maxLength: 10 }),
      async (facts, queries) => {
        const run = randomUUID()
        const companies = [randomUUID(), randomUUID(), '_', randomUUID()]
        const stored = facts.map((fact) => {
          const message_id = fact.message === undefined ? undefined : `wamid.${run}.${fact.message}`
          const event = eventOf({
            companyId: companies[fact.company] as string,
            channel: fact.channel,
            type: fact.type,
            recordedTime: new Date(BASE + fact.second * SECOND).toISOString(),
            subject: fact.isSubject && message_id !== undefined ? message_id : 'something',
            data: {
              ...(message_id === undefined || fact.isSubject ? {} : { message_id }),
              ...(fact.command === undefined ? {} : { command_id: `${run} ${fact.command}` }),
              raw: fact.raw,
            },
          })
          return fact.isTwice ? [event, event] : [event]
        })
        const { last: base } = await events.log.extent()
        for (const some of stored) await events.log.append(some)
        const entries = await collect(events.log.read({ after: base }))
        expect(entries).toHaveLength(facts.length)
        await copy(entries, (entry) => {
          const { channel, companyid } = jsonOf(entry as LogEntry) as StoredEvent
          return archiveStream(channel, companyid)
        })

        for (const asked of queries) {
          const query = dropAbsent({
            companyId: asked.company === undefined ? undefined : companies[asked.company],
            types: asked.types,
            messageId: asked.message === undefined ? undefined : `wamid.${run}.${asked.message}`,
            from: asked.from === undefined ? undefined : new Date(BASE + asked.from * SECOND),
            to: asked.to === undefined ? undefined : new Date(BASE + asked.to * SECOND),
            after: base + (asked.after ?? 0),
            upTo: asked.upTo === undefined ? undefined : base + asked.upTo,
          })
          expect(await answer(archive.log, query)).toEqual(await answer(events.log, query))
        }
      },
    ),
    { numRuns: 15 },
  )
}, 180_000)

test('both give the same answer about bodies that are no events, and events whose ids are no UUIDs', async () => {
  const companyId = randomUUID()
  const publisher = createPublisher(events.nats, { timeoutMs: 5_000 })
  const type = 'message.created'
  const bodies = [
    'not JSON',
    '[1]',
    '7',
    '',
    '{"id":"7","data":null}',
    '{"id":"7","recordedtime":"2026-01-01T00:00:00Z"}',
  ]
  const entries: (ArchiveEntry & { type: string })[] = []
  for (const [i, body] of [...bodies.map((text) => Buffer.from(text)), Buffer.from([0xff, 0x00, 0x22])].entries()) {
    const subject = subjects.event(companyId, 'whatsapp', type)
    const position = await publisher.publishAt({ subject, msgId: `${companyId} ${i}`, data: body })
    entries.push({ position, body, type })
  }
  publisher.close()
  await copy(entries, () => archiveStream('whatsapp', companyId))

  const bytes = async (log: EventLog, query: LogQuery) =>
    (await collect(log.read({ companyId, ...query }))).map(({ position, body }) => [position, Buffer.from(body)])
  const expected = entries.map(({ position, body }) => [position, body])
  for (const query of [{}, { types: [type] }]) {
    expect(await bytes(events.log, query)).toEqual(expected)
    expect(await bytes(archive.log, query)).toEqual(expected)
  }
  for (const query of [{ from: new Date(0) }, { messageId: '7' }, { types: ['status.updated'] }])
    expect(await bytes(archive.log, query)).toEqual(await bytes(events.log, query))
})
