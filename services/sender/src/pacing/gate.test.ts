import { expect, test } from 'vitest'
import { afterCall, type Gate, openGate, passesFrom, probeUnused, probing, type Sign } from './gate.ts'

const options = {
  failuresToShut: 3,
  probeMs: 1_000,
  probeCapMs: 8_000,
  pauseFirstProbeMs: 300_000,
  pauseProbeMs: 300_000,
}
const call = (gate: Gate, sign: Sign, now: number, more: { isProbe?: boolean; startedAt?: number } = {}) =>
  afterCall(gate, sign, { isProbe: false, startedAt: now - 1, now, random: 1, ...more }, options)
const calls = (signs: Sign[], now = 100) => signs.reduce<Gate>((gate, sign) => call(gate, sign, now), openGate)
const probe = (gate: Gate, sign: Sign, now: number) => call(probing(gate), sign, now, { isProbe: true })
const down = calls(['broken', 'broken', 'broken'])
const paused = calls(['account-refused'])

test('a few calls in a row that find the channel broken shut the gate', () => {
  expect(calls(['broken', 'broken'])).toMatchObject({ state: 'open' })
  expect(down).toMatchObject({ state: 'shut', why: 'down', probeAt: 1_100 })
})

test('an answer in between shows that it works', () => {
  expect(calls(['broken', 'broken', 'works', 'broken', 'broken'])).toMatchObject({ state: 'open' })
})

test('while it is shut nothing passes, then one call, and no other before that one is back', () => {
  expect(passesFrom(openGate)).toBe(Number.NEGATIVE_INFINITY)
  expect(passesFrom(down)).toBe(1_100)
  expect(passesFrom(probing(down))).toBe(Number.POSITIVE_INFINITY)
  expect(passesFrom(probeUnused(probing(down)))).toBe(1_100)
})

test('a probe that works opens it; one that does not makes the next one wait twice as long, up to a cap', () => {
  expect(probe(down, 'works', 1_200)).toEqual(openGate)
  let gate = down
  const waits: number[] = []
  for (let now = 10_000; now < 60_000; now += 10_000) {
    gate = probe(gate, 'broken', now)
    waits.push(passesFrom(gate) - now)
  }
  expect(waits).toEqual([2_000, 4_000, 8_000, 8_000, 8_000])
})

test('late answers of calls that were on their way change nothing, unless they show that the channel works', () => {
  expect(call(down, 'broken', 150, { startedAt: 50 })).toBe(down)
  expect(call(down, 'works', 150, { startedAt: 50 })).toEqual(openGate)
})

test('a refused account shuts it at once, and is probed seldom', () => {
  expect(paused).toMatchObject({ state: 'shut', why: 'paused', probeAt: 300_100 })
  const again = probe(paused, 'account-refused', 300_200)
  expect(again).toMatchObject({ why: 'paused', since: 100, probeAt: 600_200 })
  expect(probe(again, 'works', 600_300)).toEqual(openGate)
})

test('a refused account is probed soon, as it may be a mistake of a moment, and then more and more seldom', () => {
  const soon = { ...options, pauseFirstProbeMs: 5_000, pauseProbeMs: 30_000 }
  let gate = afterCall(openGate, 'account-refused', { isProbe: false, startedAt: 0, now: 0, random: 1 }, soon)
  const waits: number[] = []
  for (let n = 0; n < 5; n++) {
    const now = passesFrom(gate)
    gate = afterCall(probing(gate), 'account-refused', { isProbe: true, startedAt: now, now, random: 1 }, soon)
    waits.push(passesFrom(gate) - now)
  }
  expect(waits).toEqual([10_000, 20_000, 30_000, 30_000, 30_000])
})

test('that the account was accepted a moment before says nothing about now', () => {
  expect(call(paused, 'works', 150, { startedAt: 50 })).toBe(paused)
  expect(call(paused, 'account-refused', 150, { startedAt: 50 })).toBe(paused)
})

test('a paused number whose channel is down as well stays paused', () => {
  expect(probe(paused, 'broken', 300_200)).toMatchObject({ why: 'paused', probeAt: 600_200 })
})

test('a channel that is back and refuses the account pauses the number', () => {
  expect(probe(down, 'account-refused', 1_200)).toMatchObject({ why: 'paused', since: 1_200, probeAt: 301_200 })
})
