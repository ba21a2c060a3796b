import fc from 'fast-check'
import { expect, test } from 'vitest'
import { joinContacts } from './contact.ts'
import { fold, foldInto, type LoggedEvent, noRows, type Rows } from './fold.ts'
import { joinMessages } from './message-state.ts'
import { deliveriesOf, logOfEvents } from './random-events.contract.ts'
import { joinRetention } from './retention.ts'
import { joinSends } from './send-state.ts'
import { joinTimelineRows } from './timeline.ts'

const joined = <T>(a: Map<string, T>, b: Map<string, T>, join: (a: T, b: T) => T): Map<string, T> => {
  const result = new Map(a)
  for (const [key, row] of b) {
    const known = result.get(key)
    result.set(key, known === undefined ? row : join(known, row))
  }
  return result
}

const joinRows = (a: Rows, b: Rows): Rows => ({
  messages: joined(a.messages, b.messages, joinMessages),
  timeline: joined(a.timeline, b.timeline, joinTimelineRows),
  sends: joined(a.sends, b.sends, joinSends),
  contacts: joined(a.contacts, b.contacts, joinContacts),
  retention: joined(a.retention, b.retention, joinRetention),
  position: Math.max(a.position, b.position),
})

const delivered = logOfEvents({ maxLength: 30 }).chain((log) => fc.tuple(fc.constant(log), deliveriesOf(log)))

test('any order and repetition of the same events gives the same rows', () => {
  fc.assert(
    fc.property(delivered, ([log, batches]) => {
      expect(fold(batches.flat())).toEqual(fold(log))
    }),
    { numRuns: 500 },
  )
})

test('any batching of the same events gives the same rows', () => {
  fc.assert(
    fc.property(delivered, ([log, batches]) => {
      expect(batches.map((batch) => fold(batch)).reduce(joinRows)).toEqual(fold(log))
    }),
    { numRuns: 500 },
  )
})

test('joining rows in another order or grouping changes nothing', () => {
  const three = fc.tuple(fc.nat(12), fc.nat(12))
  fc.assert(
    fc.property(logOfEvents({ maxLength: 24 }), three, (log, [first, second]) => {
      const a = fold(log.slice(0, first))
      const b = fold(log.slice(first, first + second))
      const c = fold(log.slice(first + second))
      expect(joinRows(a, b)).toEqual(joinRows(b, a))
      expect(joinRows(joinRows(a, b), c)).toEqual(joinRows(a, joinRows(b, c)))
      expect(joinRows(a, a)).toEqual(a)
    }),
    { numRuns: 300 },
  )
})

test('an event that cannot be folded leaves the rows as they were', () => {
  fc.assert(
    fc.property(logOfEvents({ maxLength: 10 }), (log) => {
      const rows = noRows()
      for (const logged of log) foldInto(rows, logged)
      const about = log.find(({ event }) => 'message_id' in event.data)
      fc.pre(about !== undefined)
      const { event } = about as LoggedEvent
      const broken = { ...event, data: { ...event.data, message_id: 'x'.repeat(5_000) } } as typeof event
      expect(() => foldInto(rows, { event: broken, sequence: 99 })).toThrow('data.message_id is longer than 800 bytes')
      expect(rows).toEqual(fold(log))
    }),
    { numRuns: 50 },
  )
})
