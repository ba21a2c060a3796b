import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { retryAfterMs } from './retry-after.ts'

const NOW = Date.parse('2026-08-29T10:40:00Z')
const usage = readFileSync(
  new URL('../../fixtures/graph/headers.business-use-case-usage.json', import.meta.url),
  'utf8',
)

test.each([
  ['seconds', { 'retry-after': '7' }, 7_000],
  ['a date', { 'retry-after': 'Sat, 29 Aug 2026 10:41:00 GMT' }, 60_000],
  ['a date that has passed', { 'retry-after': 'Sat, 29 Aug 2026 10:39:00 GMT' }, 0],
  ['the minutes of the usage header', { 'x-business-use-case-usage': usage }, 240_000],
  ['what is said first', { 'retry-after': ['1', '2'], 'x-business-use-case-usage': usage }, 1_000],
  ['usage behind an unreadable Retry-After', { 'retry-after': 'soon', 'x-business-use-case-usage': usage }, 240_000],
])('%s is a wait', (_, headers, ms) => expect(retryAfterMs(headers, NOW)).toBe(ms))

test.each([
  ['no header', {}],
  ['a usage header that is not JSON', { 'x-business-use-case-usage': '{' }],
  ['a usage header of another shape', { 'x-business-use-case-usage': '{"1":3,"2":[null]}' }],
  ['no need to wait', { 'x-business-use-case-usage': '{"1":[{"estimated_time_to_regain_access":0}]}' }],
])('%s says nothing', (_, headers) => expect(retryAfterMs(headers, NOW)).toBeUndefined())
