import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRateLimiter, takeCall } from './sliding-window.ts'

const limit = { maxCalls: 2, windowSeconds: 60 }

test('as many calls as the limit says are allowed, and not one more', () => {
  const limiter = createRateLimiter(() => 1_000)
  expect([1, 2, 3].map(() => limiter('a', limit).allowed)).toEqual([true, true, false])
})

test('one key does not use up the calls of another', () => {
  const limiter = createRateLimiter(() => 1_000)
  for (let i = 0; i < 3; i++) limiter('a', limit)
  expect(limiter('b', limit).allowed).toBe(true)
})

test('whoever is refused is told when its next call is free', () => {
  const { allowed, remaining, resetSeconds } = takeCall([1_000, 31_000], limit, 40_000)
  expect({ allowed, remaining, resetSeconds }).toEqual({ allowed: false, remaining: 0, resetSeconds: 21 })
  expect(takeCall([1_000, 31_000], limit, 61_000).allowed).toBe(true)
})

test('a call that was refused does not count', () => {
  expect(takeCall([1_000, 31_000], limit, 40_000).calls).toEqual([1_000, 31_000])
})

test('a limit that was lowered counts what was allowed before', () => {
  const verdict = takeCall([1_000, 11_000, 21_000], { maxCalls: 1, windowSeconds: 60 }, 30_000)
  expect(verdict.allowed).toBe(false)
  expect(verdict.resetSeconds).toBe(51) // until the youngest has left
})

test('in no window are there more calls than the limit', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      (gaps, maxCalls) => {
        let now = 0
        let calls: number[] = []
        const allowed: number[] = []
        for (const gap of gaps) {
          now += gap
          const verdict = takeCall(calls, { maxCalls, windowSeconds: 60 }, now)
          calls = verdict.calls
          if (verdict.allowed) allowed.push(now)
        }
        for (const from of allowed)
          expect(allowed.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(maxCalls)
      },
    ),
  )
})
