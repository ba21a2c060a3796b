import { expect, test } from 'vitest'
import { restartAfter, STEADY_AFTER_MS } from './restart-delay.ts'

test('the wait doubles from a tenth of a second up to five', () => {
  let deaths = 0
  const waits = Array.from({ length: 9 }, () => {
    const next = restartAfter(deaths, 50)
    deaths = next.deaths
    return next.delayMs
  })
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
  expect(restartAfter(2_000, 50).delayMs).toBe(5_000)
})

test('a child that was up for a while starts from the beginning', () => {
  expect(restartAfter(5, STEADY_AFTER_MS)).toEqual({ delayMs: 100, deaths: 1 })
  expect(restartAfter(5, STEADY_AFTER_MS - 1)).toEqual({ delayMs: 3_200, deaths: 6 })
})
