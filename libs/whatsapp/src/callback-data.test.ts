import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CALLBACK_MAX_CHARACTERS, readCallbackData, writeCallbackData } from './callback-data.ts'

const commandId = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)),
  minLength: 1,
  maxLength: 128,
})

test("a caller's own value comes back beside the command's id", () => {
  fc.assert(
    fc.property(commandId, fc.string({ minLength: 1, maxLength: 300 }), (id, own) => {
      expect(readCallbackData(writeCallbackData(id, own))).toEqual({ commandId: id, own })
    }),
  )
})
test('without one, the id alone is sent, so that it can be looked for', () => {
  expect(writeCallbackData('invoice-5521', undefined)).toBe('invoice-5521')
  expect(readCallbackData('invoice-5521')).toEqual({ commandId: 'invoice-5521', own: 'invoice-5521' })
})
test('a value that does not fit gives way to the id', () => {
  const text = writeCallbackData('invoice-5521', 'x'.repeat(CALLBACK_MAX_CHARACTERS))
  expect(text).toBe('invoice-5521')
})
test("somebody else's value is given back as it is", () => {
  expect(readCallbackData('order 5521, second try')).toEqual({ own: 'order 5521, second try' })
})
