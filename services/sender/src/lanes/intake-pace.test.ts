import { expect, test } from 'vitest'
import { createIntakePace } from './intake-pace.ts'

const start = () => {
  let now = 1_000_000
  const pace = createIntakePace({ messagesPerSecond: (id) => (id === 'fast' ? 500 : 80), now: () => now })
  return {
    pace,
    /** How long each of the next ones waits. */
    take: (count: number, of = 'slow') => Array.from({ length: count }, () => pace.take(of)),
    pass: (ms: number) => {
      now += ms
    },
  }
}

test('a thousand commands of a number pass at once, and from then on a quarter more than it sends', () => {
  const { take } = start()
  const waits = take(1_101)
  expect(waits.filter((ms) => ms === 0)).toHaveLength(1_000)
  expect(waits[1_000]).toBeCloseTo(10)
  expect(waits[1_100]).toBeCloseTo(1_010)
})
test('a number of a higher rate passes faster, and waits for no other', () => {
  const { take } = start()
  take(5_000)
  expect(take(1_001, 'fast').at(-1)).toBeCloseTo(1.6)
})
test('a number is held back for as long as those before it wait', () => {
  const { pace, take, pass } = start()
  expect([pace.isHeldBack('slow'), pace.isAnyHeldBack()]).toEqual([false, false])
  take(1_100)
  expect([pace.isHeldBack('slow'), pace.isHeldBack('fast'), pace.isAnyHeldBack()]).toEqual([true, false, true])
  pass(1_010)
  expect([pace.isHeldBack('slow'), pace.isAnyHeldBack()]).toEqual([false, false])
})
test('what has rested passes at once again', () => {
  const { take, pass } = start()
  take(1_000)
  pass(60_000)
  expect(take(1_000).every((ms) => ms === 0)).toBe(true)
})
