import fc from 'fast-check'
import { expect, test } from 'vitest'
import { deterministicId, eventId, isCompanyId, messageRowId } from './ids.ts'

test('the same parts give the same id, for ever', () => {
  // Written down once: a change of these values would give every stored fact a second identity.
  expect(eventId('a9242a58-4f5d-494c-8a74-45f8cee150e6', 'message.created', 'wamid.A')).toBe(
    '3ecfb2ae-76c4-54dd-84ca-19237ab7db3f',
  )
  expect(messageRowId('a9242a58-4f5d-494c-8a74-45f8cee150e6', 'wamid.A')).toBe('679cba5e-7616-54de-859e-10b84724d984')
})

test('an id is a UUID of version 5', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (parts) => {
      const id = deterministicId(...parts)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(isCompanyId(id)).toBe(true)
    }),
  )
})

test('different lists of parts give different ids, however the parts are cut', () => {
  const parts = fc.array(fc.string({ unit: fc.constantFrom('a', ':', ',', '1', '\u0000') }), { maxLength: 4 })
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      fc.pre(JSON.stringify(a) !== JSON.stringify(b))
      expect(deterministicId(...a)).not.toBe(deterministicId(...b))
    }),
    { numRuns: 2_000 },
  )
})

test.each([
  '',
  '_',
  '>',
  '*',
  'a.b',
  'A9242A58-4F5D-494C-8A74-45F8CEE150E6',
  'a9242a58-4f5d-494c-8a74-45f8cee150e6 ',
  7,
  null,
])('%j is no company id', (text) => expect(isCompanyId(text)).toBe(false))
