import { extendChain, startChain } from '@cloudapi2/audit'
import { encodeEvent, eventId } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'
import { COMPANY, messageEvent } from '../archiver.rig.ts'
import type { LogEvent } from '../log-event.ts'
import {
  anchored,
  anchoredByAll,
  anchorOf,
  type CompanyChain,
  extend,
  fromAnchor,
  isDue,
  newCompany,
} from './company-chain.ts'

const HOUR = 3_600_000

const news = (position: number, storedAtMs = position): LogEvent => ({
  companyId: COMPANY,
  channel: 'whatsapp',
  type: 'message.created',
  position,
  body: encodeEvent(messageEvent(COMPANY, position)),
  storedAtMs,
})
const anchorAt = (position: number, of: CompanyChain): LogEvent => ({
  ...news(position),
  channel: 'system',
  type: 'audit.anchored',
  body: encodeEvent(anchorOf(of, 0)),
})
const after = (...events: LogEvent[]): CompanyChain => events.reduce(extend, newCompany(COMPANY))

describe('a company', () => {
  test('that is new has the empty chain and nothing to anchor', () => {
    expect(newCompany(COMPANY).chain).toEqual(startChain(COMPANY))
    expect(isDue(newCompany(COMPANY), 9 * HOUR, HOUR)).toBe(false)
  })

  test('is anchored one interval after its first event without an anchor, not after its last', () => {
    const company = after(news(1, 0), news(2, HOUR - 1))
    expect(isDue(company, HOUR - 1, HOUR)).toBe(false)
    expect(isDue(company, HOUR, HOUR)).toBe(true)
  })

  test('is not anchored again for its anchor alone', () => {
    const before = after(news(1))
    const company = extend(before, anchorAt(2, before))
    expect(isDue(company, 9 * HOUR, HOUR)).toBe(false)
    expect(company).toMatchObject({ anchoredUpTo: 1, anchorAt: 2, chain: { position: 2, events: 2 } })
  })

  test('that is silent is anchored again before its anchor is too old for the log, where the log keeps no more than a time', () => {
    const before = after(news(1))
    const company = extend(before, { ...anchorAt(2, before), storedAtMs: HOUR })
    expect(isDue(company, 6 * HOUR, HOUR, 12 * HOUR)).toBe(false)
    expect(isDue(company, 7 * HOUR, HOUR, 12 * HOUR)).toBe(true)
    const again = anchored(company, 2, 7 * HOUR)
    expect(isDue(again, 8 * HOUR, HOUR, 12 * HOUR)).toBe(false)
    expect(isDue(newCompany(COMPANY), 99 * HOUR, HOUR, 12 * HOUR)).toBe(false)
  })

  test('needs the log from the first event that its anchor does not tell of, and nobody less than all', () => {
    const before = after(news(1), news(4))
    const company = extend(before, anchorAt(5, before))
    expect(anchoredByAll([company], 9)).toBe(4)
    expect(anchoredByAll([company, after(news(7))], 9)).toBe(0)
    expect(anchoredByAll([], 9)).toBe(9)
  })

  test('has news when an event came between what the anchor tells of and the anchor', () => {
    const before = after(news(1, 0))
    const company = extend(extend(before, news(2, 7)), anchorAt(3, before))
    expect(isDue(company, HOUR, HOUR)).toBe(true)
    expect(company.anchoredUpTo).toBe(1)
  })

  test('waits an interval again once its anchor is stored', () => {
    const company = anchored(after(news(1, 0)), 1, HOUR)
    expect(isDue(company, 9 * HOUR, HOUR)).toBe(false)
    expect(isDue(extend(company, news(2, HOUR)), 2 * HOUR - 1, HOUR)).toBe(false)
    expect(isDue(extend(company, news(2, HOUR)), 2 * HOUR, HOUR)).toBe(true)
  })

  test('takes up no event twice', () => {
    const company = after(news(1), news(2))
    expect(extend(company, news(2))).toBe(company)
    expect(extend(company, news(1))).toBe(company)
  })

  test('goes on from its anchor as if everything had been read', () => {
    const read = after(news(1), news(4))
    const anchor = anchorAt(5, read)
    const whole = [anchor, news(9)].reduce(extend, read)
    const resumed = [anchor, news(9)].reduce(
      extend,
      fromAnchor(COMPANY, { at: 5, storedAtMs: 5, data: anchorOf(read, 0).data }),
    )
    expect(resumed.chain).toEqual(whole.chain)
    expect(resumed.anchorAt).toBe(whole.anchorAt)
  })

  test('takes an event of the type of an anchor that says nothing of a chain for an event like others', () => {
    const company = after({ ...news(1, 0), type: 'audit.anchored', body: Buffer.from('nonsense') })
    expect(company.anchorAt).toBe(0)
    expect(isDue(company, HOUR, HOUR)).toBe(true)
  })
})

describe('an anchor', () => {
  const company = after(news(3), news(8))
  test('tells position, number and head of what it anchors', () => {
    const head = [news(3), news(8)].reduce(extendChain, startChain(COMPANY)).head
    expect(anchorOf(company, 0)).toMatchObject({
      type: 'audit.anchored',
      channel: 'system',
      companyid: COMPANY,
      subject: COMPANY,
      data: { chain: 1, position: 8, events: 2, head },
    })
  })
  test('has one id for each company and position, whenever it is written', () => {
    expect(anchorOf(company, 0).id).toBe(anchorOf(company, 9).id)
    expect(anchorOf(company, 0).id).toBe(eventId(COMPANY, 'audit.anchored', COMPANY, '8'))
    expect(anchorOf(extend(company, news(9)), 0).id).not.toBe(anchorOf(company, 0).id)
  })
})
