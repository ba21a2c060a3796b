import { expect, test } from 'vitest'
import { untilLoaded } from './until-loaded.ts'

test('whoever needs all tenants waits until they are known', async () => {
  let asked = 0
  await untilLoaded({ isLoaded: () => ++asked === 3 }, new AbortController().signal)
  expect(asked).toBe(3)
})

test('whoever stops before waits no longer', async () => {
  const stopping = new AbortController()
  const waiting = untilLoaded({ isLoaded: () => false }, stopping.signal)
  stopping.abort(new Error('stopping'))
  await expect(waiting).rejects.toThrow()
})
