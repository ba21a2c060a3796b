import { describe, expect, test } from 'vitest'
import { waitMs } from './pace.ts'
import { checkPosition, endOf, nothingFound, receiverOf, requestOf } from './replay-request.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const day = (text: string) => new Date(`${text}T00:00:00Z`)

describe('--to', () => {
  const time = (text: string) => day(text)
  test('is the end of the time', () => {
    expect(endOf('2026-11-24', time)).toEqual({ kind: 'time', time: day('2026-11-24') })
  })
  test.each(['replay.crm', 'replay.crm.>'])('is the receiver when it is a subject: %s', (text) => {
    expect(endOf(text, time)).toEqual({ kind: 'receiver', id: 'crm' })
  })
  test.each(['replay.', 'replay.>', 'replay.*', 'replay.a.b', 'replay.UP', `replay.${'a'.repeat(65)}`])(
    'refuses %s, which could reach others',
    (text) => {
      expect(() => endOf(text, time)).toThrow('a receiver is 1 to 64 characters')
    },
  )
  test('may be given once for each', () => {
    const to = [endOf('2026-11-24', time), endOf('replay.crm', time)]
    expect(requestOf({ company: COMPANY, to })).toEqual({
      query: { companyId: COMPANY, to: day('2026-11-24') },
      receiver: 'crm',
    })
    expect(() => requestOf({ company: COMPANY, to: [...to, endOf('2026-11-25', time)] })).toThrow('two times')
    expect(() => requestOf({ company: COMPANY, to, receiver: 'other' })).toThrow('one receiver')
    expect(requestOf({ company: COMPANY, to: [], receiver: receiverOf('crm') }).receiver).toBe('crm')
  })
})

describe('what is asked of the log', () => {
  test('is everything that was given', () => {
    const options = {
      company: COMPANY,
      message: 'wamid.1',
      type: ['a', 'a', 'b'],
      from: day('2026-11-01'),
      after: 0,
      to: [],
    }
    expect(requestOf(options).query).toEqual({
      companyId: COMPANY,
      messageId: 'wamid.1',
      types: ['a', 'b'],
      from: day('2026-11-01'),
      after: 0,
    })
  })
  test('must not end before it begins, nor at once', () => {
    const to = [{ kind: 'time' as const, time: day('2026-11-01') }]
    expect(() => requestOf({ company: COMPANY, from: day('2026-12-01'), to })).toThrow(
      /--from \(2026-12-01.*\) must be before --to \(2026-11-01/,
    )
    expect(() => requestOf({ company: COMPANY, from: day('2026-11-01'), to })).toThrow('the range is empty')
  })
  test('must not begin beyond the end, and is told where that is', () => {
    expect(() => checkPosition(8, { first: 1, last: 7 })).toThrow('--after 8: the log ends at position 7')
    expect(() => checkPosition(1, { first: 0, last: 0 })).toThrow('the log is empty')
    // Nothing yet after the last one: that is no mistake.
    expect(() => checkPosition(7, { first: 1, last: 7 })).not.toThrow()
  })
})

describe('nothing found', () => {
  test('is an error when the log does not know the company, or the message', () => {
    expect(nothingFound({ companyId: COMPANY }, { company: false, message: false })?.code).toBe('COMPANY_NOT_IN_LOG')
    const query = { companyId: COMPANY, messageId: 'wamid.1' }
    expect(nothingFound(query, { company: true, message: false })?.code).toBe('MESSAGE_NOT_IN_LOG')
  })
  test('is an answer when only the filters leave nothing', () => {
    expect(nothingFound({ companyId: COMPANY }, { company: true, message: false })).toBeUndefined()
    const query = { companyId: COMPANY, messageId: 'wamid.1' }
    expect(nothingFound(query, { company: true, message: true })).toBeUndefined()
  })
})

describe('the pace', () => {
  test('never lets more out than the rate allows', () => {
    expect(waitMs({ sent: 0, elapsedMs: 0, rate: 100 })).toBe(0)
    expect(waitMs({ sent: 1, elapsedMs: 0, rate: 100 })).toBe(10)
    expect(waitMs({ sent: 100, elapsedMs: 400, rate: 100 })).toBe(600)
  })
  test('waits for nothing when it is late', () => {
    expect(waitMs({ sent: 100, elapsedMs: 2_000, rate: 100 })).toBe(0)
  })
})
