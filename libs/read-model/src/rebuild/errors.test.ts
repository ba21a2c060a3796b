import { expect, test } from 'vitest'
import { RowRefused } from '../postgres-error.ts'
import { rebuildError } from './errors.ts'

const postgres = (code: string, message = 'Key (phone)=(34608684495) is wrong') =>
  Object.assign(new Error(message), { code })

test.each([
  ['53100', 'DATABASE_FULL', false],
  ['57P01', 'DATABASE_UNAVAILABLE', true],
  ['ECONNREFUSED', 'DATABASE_UNAVAILABLE', true],
  ['42501', 'DATABASE_REFUSED', false],
])('%s is told as %s, without the words of PostgreSQL', (state, code, retryable) => {
  const error = rebuildError(postgres(state)) as Error
  expect(error).toMatchObject({ code, retryable })
  expect(error.message).toContain('the live tables are as they were')
  expect(error.message).not.toContain('34608684495')
})
test('a connection that broke is told as such', () => {
  expect(rebuildError(new Error('Connection terminated unexpectedly'))).toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
})
test('what has a name already, and what nobody foresaw, stay as they are', () => {
  const refused = new RowRefused('23514', '', undefined)
  expect(rebuildError(refused)).toBe(refused)
  const fault = new TypeError('x is not a function')
  expect(rebuildError(fault)).toBe(fault)
})
