import { expect, test } from 'vitest'
import { retryDelayMs } from './attempt.ts'
import { createTurns } from './company-turns.ts'

const started = () => createTurns({ perCompany: 2, pauseMs: 1_000 })
const fine = { isRefused: false, tookMs: 500 }
const refused = { isRefused: true, tookMs: 500 }

test('a company has its places, and no more', () => {
  const turns = started()
  expect([turns.enter('a', 't', 0).kind, turns.enter('a', 't', 0).kind]).toEqual(['go', 'go'])
  expect(turns.enter('a', 't', 0)).toMatchObject({ kind: 'wait', reason: 'busy' })
  turns.leave('a', 't', 10, fine)
  expect(turns.enter('a', 't', 10).kind).toBe('go')
})

test('places taken by one are free for another', () => {
  const turns = started()
  for (let n = 0; n < 10; n++) turns.enter('a', 't', 0)
  expect(turns.enter('b', 't', 0).kind).toBe('go')
})

test('those who wait come back one after the other, as fast as the company’s files go', () => {
  const turns = started()
  for (let n = 0; n < 2; n++) turns.enter('a', 't', 0)
  // Two places, half a second per file: one every 250 ms.
  const delays = Array.from({ length: 4 }, () => turns.enter('a', 't', 0)).map(
    (turn) => 'delayMs' in turn && turn.delayMs,
  )
  expect(delays).toEqual([250, 500, 750, 1_000])
})

test('a line of any length is a few numbers', () => {
  const turns = started()
  for (let n = 0; n < 100_000; n++) turns.enter('a', 't', 0)
  expect(turns.enter('a', 't', 0)).toEqual({ kind: 'wait', delayMs: 300_000, reason: 'busy' })
})

test('a token that was refused is not tried again before its time, and then by one alone', () => {
  const turns = started()
  turns.enter('a', 't', 0)
  turns.leave('a', 't', 0, refused)
  expect(turns.enter('a', 't', 999)).toEqual({ kind: 'wait', delayMs: 1_000, reason: 'unauthorised' })
  expect(turns.enter('a', 't', 1_000).kind).toBe('go')
  expect(turns.enter('a', 't', 1_000).kind).toBe('wait')
  turns.leave('a', 't', 1_100, refused)
  expect(turns.enter('a', 't', 1_900).kind).toBe('wait')
  expect(turns.paused()).toBe(1)
})

test('another token ends the pause at once', () => {
  const turns = started()
  turns.enter('a', 't', 0)
  turns.leave('a', 't', 0, refused)
  expect(turns.enter('a', 'new', 1).kind).toBe('go')
  expect(turns.paused()).toBe(0)
})

test('a probe that succeeds ends it as well', () => {
  const turns = started()
  turns.enter('a', 't', 0)
  turns.leave('a', 't', 0, refused)
  turns.enter('a', 't', 1_000)
  turns.leave('a', 't', 1_100, fine)
  expect(turns.enter('a', 't', 1_100).kind).toBe('go')
})

test('a late refusal of an old token does not shut out the new one', () => {
  const turns = started()
  turns.enter('a', 'old', 0)
  turns.enter('a', 'new', 1)
  turns.leave('a', 'old', 2, refused)
  expect(turns.enter('a', 'new', 3).kind).toBe('go')
})

test('delays double between half and whole, up to the longest', () => {
  const options = { baseMs: 2_000, capMs: 3_600_000 }
  expect([1, 2, 3].map((tries) => retryDelayMs(tries, options, () => 1))).toEqual([2_000, 4_000, 8_000])
  expect(retryDelayMs(1, options, () => 0)).toBe(1_000)
  expect(retryDelayMs(10_000, options, () => 1)).toBe(3_600_000)
})
