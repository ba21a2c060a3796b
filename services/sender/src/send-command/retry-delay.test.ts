import fc from 'fast-check'
import { expect, test } from 'vitest'
import { retryDelayMs } from './retry-delay.ts'

const backoff = { baseMs: 1_000, capMs: 60_000 }

test('the longest delay doubles with every attempt, up to the cap', () => {
  expect([1, 2, 3, 6, 7, 20].map((n) => retryDelayMs(n, backoff, 0.999_999))).toEqual([
    1_000, 2_000, 4_000, 32_000, 60_000, 60_000,
  ])
})

test('any delay below it is as likely: nothing at all, too', () => {
  expect(retryDelayMs(5, backoff, 0)).toBe(0)
  expect(retryDelayMs(3, backoff, 0.5)).toBe(2_000)
})

test('a delay is never negative, and never beyond the cap', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000 }), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (n, random) => {
      const delay = retryDelayMs(n, backoff, random)
      expect(delay).toBeGreaterThanOrEqual(0)
      expect(delay).toBeLessThanOrEqual(backoff.capMs)
    }),
  )
})
