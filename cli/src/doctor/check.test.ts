import { describe, expect, test } from 'vitest'
import { checksText, clockCheck, fail, migrationsCheck, ok, perCompany, spaceCheck, summary, warn } from './check.ts'

const MIB = 1_048_576

describe('disk', () => {
  test.each([
    [127, 'fail'],
    [128, 'warn'],
    [1_023, 'warn'],
    [1_024, 'ok'],
  ])('%i MiB free: %s', (mib, state) => {
    expect(spaceCheck('/data', mib * MIB)).toMatchObject({ state, detail: `${mib} MiB free at /data` })
  })
})

describe('a clock', () => {
  test.each([
    [0, 'ok', 'the same as here'],
    [999, 'ok', '999 ms behind the one here'],
    [-1_000, 'warn', '1000 ms ahead of the one here'],
    [10_000, 'fail', '10000 ms behind the one here'],
  ])('that ours is %i ms ahead of: %s', (ahead, state, detail) => {
    expect(clockCheck('NATS', ahead)).toMatchObject({ check: 'clock of NATS', state, detail })
  })
})

describe('migrations', () => {
  test('that have all run are fine', () => {
    expect(migrationsCheck('m', ['0001', '0002'], ['0001', '0002'])).toEqual(ok('m', 'all 2 have run'))
  })
  test('that wait are named', () => {
    expect(migrationsCheck('m', ['0001', '0002'], ['0001'])).toMatchObject({
      state: 'warn',
      detail: 'not run yet: 0002',
    })
    expect(migrationsCheck('m', ['0001'], [])).toMatchObject({ state: 'warn', detail: 'none has run: 0001' })
  })
  test('of a newer version are a fault: this one may misread its tables', () => {
    expect(migrationsCheck('m', ['0001'], ['0001', '0009'])).toMatchObject({
      state: 'fail',
      detail: 'the database is newer than this software: 0009',
    })
  })
})

describe('checks of companies', () => {
  test('are one line for all that are well, and one for each that is not', () => {
    expect(perCompany('c', 3, [])).toEqual([ok('c', '3 companies')])
    expect(perCompany('c', 1, [fail('c', 'x', 'y')])).toEqual([ok('c', '1 company'), fail('c', 'x', 'y')])
    expect(perCompany('c', 0, [])).toEqual([ok('c', '0 companies')])
    expect(perCompany('c', 0, [fail('c', 'x', 'y')])).toEqual([fail('c', 'x', 'y')])
  })
  test('do not fill the screen', () => {
    const faults = Array.from({ length: 30 }, (_, n) => fail('c', `${n}`, 'y'))
    const shown = perCompany('c', 0, faults)
    expect(shown).toHaveLength(21)
    expect(shown.at(-1)).toMatchObject({ state: 'fail', detail: 'and 10 more' })
  })
})

test('the text says what to do, uncut', () => {
  const checks = [ok('disk', 'fine'), warn('ports', '4222 is taken', 'Free it '.repeat(30).trim())]
  const text = checksText(checks, { width: 40, emphasis: (title) => title })
  expect(text).toContain(`ports: 4222 is taken\n  ${'Free it '.repeat(30).trim()}`)
  expect(text).not.toContain('disk: fine')
  expect(summary([...checks, fail('a', 'b', 'c')])).toBe('1 ok, 1 warn, 1 fail')
})
