import { expect, test } from 'vitest'
import { calm, shareAt, type Throttle, throttled } from './throttle.ts'

const options = { baseMs: 1_000, capMs: 60_000 }
const refusedAt = (throttle: Throttle, now: number, more: { startedAt?: number; retryAfterMs?: number } = {}) =>
  throttled(throttle, { startedAt: now - 1, now, random: 1, ...more }, options)

test('a number that sends too much stops for a while, and goes on with half of its rate', () => {
  const throttle = refusedAt(calm, 10_000)
  expect(throttle.until).toBe(11_000)
  expect(shareAt(throttle, 11_000)).toBe(0.5)
})

test('each time it happens again before it has recovered, it stops for twice as long, up to the cap', () => {
  let throttle = calm
  const stops: number[] = []
  for (let times = 0; times < 9; times++) {
    const now = throttle.until + 1_000
    throttle = refusedAt(throttle, now)
    stops.push(throttle.until - now)
  }
  expect(stops).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
  expect(shareAt(throttle, throttle.until)).toBe(1 / 16)
})

test('it wins its rate back with time, and then starts from the beginning', () => {
  const throttle = refusedAt(refusedAt(calm, 10_000), 20_000)
  const later = [0, 15_000, 30_000, 600_000].map((ms) => shareAt(throttle, throttle.until + ms))
  expect(later.every((share, i) => i === 0 || share > (later[i - 1] as number))).toBe(true)
  expect(later.at(-1)).toBe(1)
  const again = refusedAt(throttle, throttle.until + 600_000)
  expect(again).toMatchObject({ level: 1, share: 0.5 })
})

test('of calls made together, the refusals count once', () => {
  const first = refusedAt(calm, 10_000, { startedAt: 9_000 })
  expect(refusedAt(first, 10_050, { startedAt: 9_000 })).toEqual(first)
})

test('what the channel asks for is honoured, also of a late answer; but not for ever', () => {
  expect(refusedAt(calm, 10_000, { retryAfterMs: 20_000 }).until).toBe(30_000)
  const first = refusedAt(calm, 10_000, { startedAt: 9_000 })
  expect(refusedAt(first, 10_050, { startedAt: 9_000, retryAfterMs: 5_000 }).until).toBe(15_050)
  expect(refusedAt(calm, 10_000, { retryAfterMs: 86_400_000 }).until).toBe(10_000 + 900_000)
})

test('two numbers do not come back together', () => {
  const until = (random: number) => throttled(calm, { startedAt: 1, now: 2, random }, options).until
  expect(until(0)).toBe(502)
  expect(until(1)).toBe(1_002)
})
