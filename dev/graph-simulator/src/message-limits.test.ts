import { expect, test } from 'vitest'
import { createMessageLimits, LimitsSchema } from './message-limits.ts'

const started = (settings: object = {}) => createMessageLimits(LimitsSchema.parse(settings))
/** Sends as fast as allowed, and tells how many were let through. */
const sendAt = (limits: ReturnType<typeof started>, now: number, tries: number, contact = (nth: number) => `p${nth}`) =>
  Array.from({ length: tries }, (_, nth) => {
    const broken = limits.brokenBy('1', contact(nth), now)
    if (!broken) limits.countSent('1', contact(nth), now)
    return broken
  }).filter((broken) => broken === undefined).length

test('a number sends 80 messages at once, and 80 more in each second after', () => {
  const limits = started()
  expect(sendAt(limits, 0, 200)).toBe(80)
  expect(sendAt(limits, 500, 200)).toBe(40)
  expect(sendAt(limits, 1_500, 200)).toBe(80)
})

test('a pace of exactly 80 in a second is never refused', () => {
  const limits = started()
  sendAt(limits, 0, 80)
  for (let nth = 1; nth < 400; nth += 1) expect(sendAt(limits, nth * 12.5, 1, () => `p${nth}`)).toBe(1)
})

test('one person gets 45 messages at once, then one each 6 seconds', () => {
  const limits = started()
  const toOne = (now: number) => sendAt(limits, now, 60, () => 'one')
  expect(toOne(0)).toBe(45)
  expect(toOne(5_999)).toBe(0)
  expect(toOne(6_000)).toBe(1)
  expect(toOne(24_000)).toBe(3)
})

test('messages received count for the number', () => {
  const limits = started()
  for (let nth = 0; nth < 50; nth += 1) limits.countReceived('1', 0)
  expect(sendAt(limits, 0, 200)).toBe(30)
})

test('a flood of messages received keeps the number from sending for a second', () => {
  const limits = started()
  for (let nth = 0; nth < 10_000; nth += 1) limits.countReceived('1', 0)
  expect(sendAt(limits, 950, 200)).toBe(0)
  expect(sendAt(limits, 1_000, 200)).toBe(1)
})

test('nothing is refused when they are switched off', () => {
  expect(sendAt(started({ enforce: false }), 0, 200, () => 'one')).toBe(200)
})

test('numbers do not share a limit', () => {
  const limits = started()
  sendAt(limits, 0, 200)
  expect(limits.brokenBy('2', 'p', 0)).toBeUndefined()
})
