import fc from 'fast-check'
import { expect, test } from 'vitest'
import { joinStatus, STATUS_RANK, statusRank } from './statuses.ts'

const status = fc.oneof(
  fc.constantFrom(...Object.keys(STATUS_RANK)),
  fc.constantFrom('deleted', 'warning', 'received'),
  fc.string(),
)

test('a delivery that is proven is never hidden by a failure', () => {
  expect(joinStatus('failed', 'delivered')).toBe('delivered')
  expect(joinStatus('read', 'failed')).toBe('read')
})
test('a failure moves a message that was only sent', () => expect(joinStatus('sent', 'failed')).toBe('failed'))
test('a status that does not move gives way', () => expect(joinStatus('warning', 'accepted')).toBe('accepted'))
test('names of Object.prototype are no statuses', () => expect(statusRank('constructor')).toBe(-1))

test('any order and any repetition of the same statuses ends the same', () => {
  const end = (statuses: string[]) => statuses.reduce(joinStatus)
  fc.assert(
    fc.property(fc.array(status, { minLength: 1 }), fc.infiniteStream(fc.nat()), (statuses, random) => {
      const shuffled = statuses
        .flatMap((s) => (((random.next().value as number) & 1) === 0 ? [s] : [s, s]))
        .map((s) => [s, random.next().value as number] as const)
        .sort(([, a], [, b]) => a - b)
        .map(([s]) => s)
      expect(end(shuffled)).toBe(end(statuses))
    }),
  )
})

test('the join of two statuses is associative', () => {
  fc.assert(
    fc.property(status, status, status, (a, b, c) => {
      expect(joinStatus(joinStatus(a, b), c)).toBe(joinStatus(a, joinStatus(b, c)))
    }),
  )
})
