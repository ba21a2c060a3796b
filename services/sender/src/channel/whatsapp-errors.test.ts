import { expect, test } from 'vitest'
import { concernOf } from './whatsapp-errors.ts'

const concern = (code: number, httpStatus = 400, type = 'OAuthException') =>
  concernOf({ code, httpStatus, type, title: '', message: '', isTransient: false })

test.each([
  ['recipient', [131056]],
  ['number', [130429, 80007, 80008, 4, 131048, 131057, 613]],
  ['account', [0, 3, 10, 190, 200, 299, 368, 131005, 131031, 131042]],
  ['channel', [2, 131016, 133004]],
  ['message', [100, 131026, 131047, 132000, 133010, 1]],
] as const)('concerns the %s: %j', (whom, codes) => {
  for (const code of codes) expect([code, concern(code)]).toEqual([code, whom])
})
test('a fault of the server concerns everybody when it may pass, too many requests the number', () => {
  expect(concern(131000, 500)).toBe('channel')
  expect(concern(1, 503)).toBe('channel')
  expect(concern(132000, 500)).toBe('message')
  expect(concern(429, 429, 'HTTP')).toBe('number')
})
