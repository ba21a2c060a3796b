import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CallSign, createNumberPace, type Grant, type NumberPace } from './number-pace.ts'

const options = {
  throttle: { baseMs: 1_000, capMs: 60_000 },
  gate: { failuresToShut: 5, probeMs: 1_000, probeCapMs: 30_000, pauseFirstProbeMs: 300_000, pauseProbeMs: 300_000 },
  maxInFlight: () => 10_000,
}
const ANY_ROOM = Number.POSITIVE_INFINITY
const started = (messagesPerSecond = 80, more: Partial<typeof options> = {}) =>
  createNumberPace(messagesPerSecond, { ...options, ...more })

const ask = (pace: NumberPace, chatId: string, now: number, more: { priority?: 'high'; expiresAt?: number } = {}) =>
  pace.ask({ chatId, priority: 'normal', expiresAt: Number.POSITIVE_INFINITY, ...more }, now)
const to = (grants: readonly Grant[]) => grants.map(({ ticket }) => ticket.recipient.chatId)
const answer = (pace: NumberPace, grant: Grant, sign: CallSign, now: number) => {
  const verdict = pace.report(grant, sign, now, 1)
  pace.end(grant, now)
  return verdict
}
/** Gives turns whenever they are due until `until`; every call is answered at once. */
const run = (pace: NumberPace, from: number, until: number, sign: CallSign = { kind: 'works' }) => {
  const given: { at: number; chatId: string; grant: Grant }[] = []
  for (let now = from; ; ) {
    const due = pace.due(now, ANY_ROOM)
    for (const grant of due.grants) {
      given.push({ at: now, chatId: grant.ticket.recipient.chatId, grant })
      answer(pace, grant, sign, now)
    }
    const next = pace.due(now, 0)
    const at = next.isHeldUp ? now : next.lookAt
    if (at === undefined || at > until) return given
    now = Math.max(now, at)
  }
}

describe('the rate of a number', () => {
  test.each([20, 80, 1_000])('of %i a second is kept in every second, and nearly reached', (rate) => {
    const pace = started(rate)
    for (let n = 0; n < 5 * rate; n++) ask(pace, `p${n}`, 0)
    const times = run(pace, 0, 4_000).map(({ at }) => at)
    expect(times.length).toBeGreaterThan(0.94 * 4 * rate)
    let first = 0
    for (const [last, at] of times.entries()) {
      while ((times[first] as number) <= at - 1_000) first++
      expect(last - first + 1).toBeLessThanOrEqual(rate)
    }
  })

  test('holds whenever anybody asks, and counts what came in', () => {
    const moment = fc.record({ afterMs: fc.nat(400), asked: fc.nat(60), received: fc.nat(3) })
    fc.assert(
      fc.property(fc.array(moment, { maxLength: 40 }), (moments) => {
        const pace = started(80)
        const counted: number[] = []
        let now = 0
        let n = 0
        for (const { afterMs, asked, received } of moments) {
          counted.push(...run(pace, now, now + afterMs).map(({ at }) => at))
          now += afterMs
          for (let i = 0; i < received; i++) {
            pace.countInbound(now)
            counted.push(now)
          }
          for (let i = 0; i < asked; i++) ask(pace, `p${n++}`, now)
        }
        counted.sort((a, b) => a - b)
        let first = 0
        for (const [last, at] of counted.entries()) {
          while ((counted[first] as number) <= at - 1_000) first++
          // Nobody can keep a message from coming in at the last moment.
          expect(last - first + 1).toBeLessThanOrEqual(80 + 3)
        }
      }),
      { numRuns: 50 },
    )
  })

  test('may change while it sends', () => {
    const pace = started(20)
    for (let n = 0; n < 2_000; n++) ask(pace, `p${n}`, 0)
    expect(run(pace, 0, 1_000).length).toBeLessThanOrEqual(20)
    pace.setRate(1_000)
    expect(run(pace, 1_000, 2_000).length).toBeGreaterThan(900)
  })

  test('a flood from outside keeps it from sending for a second after, not longer', () => {
    const pace = started(80)
    for (let n = 0; n < 10_000; n++) pace.countInbound(0)
    ask(pace, 'p', 0)
    expect(run(pace, 0, 10_000).map(({ at }) => Math.round(at))).toEqual([1_000])
  })

  test('what was given and not used counts for nothing', () => {
    const pace = started(20)
    for (let n = 0; n < 100; n++) ask(pace, `p${n}`, 0)
    for (let n = 0; n < 100; n++) for (const grant of pace.due(0, 1).grants) pace.end(grant, 0)
    expect(pace.waiting()).toBe(0)
  })
})

describe('who goes first', () => {
  test('those with priority, else whoever asked first', () => {
    const pace = started()
    ask(pace, 'first', 0)
    ask(pace, 'second', 0)
    ask(pace, 'urgent', 0, { priority: 'high' })
    expect(run(pace, 0, 1_000).map(({ chatId }) => chatId)).toEqual(['urgent', 'first', 'second'])
  })

  test('within a priority it is the order of asking, among all who may be sent to', () => {
    const asked = fc.array(fc.constantFrom<'high' | 'normal'>('high', 'normal'), { maxLength: 80 })
    fc.assert(
      fc.property(asked, (priorities) => {
        const pace = started()
        for (const [n, priority] of priorities.entries())
          pace.ask({ chatId: `p${n}`, priority, expiresAt: Number.POSITIVE_INFINITY }, 0)
        const given = run(pace, 0, 10_000).map(({ chatId }) => Number(chatId.slice(1)))
        const of = (priority: string) => priorities.flatMap((one, n) => (one === priority ? [n] : []))
        expect(given).toEqual([...of('high'), ...of('normal')])
      }),
    )
  })

  test('who has gone is not waited for', () => {
    const pace = started()
    const gone = ask(pace, 'gone', 0)
    ask(pace, 'there', 0)
    pace.withdraw(gone, 0)
    pace.withdraw(gone, 0)
    expect(run(pace, 0, 100).map(({ chatId }) => chatId)).toEqual(['there'])
  })

  test('who has expired is told at that moment, and takes nothing', () => {
    const pace = started(80, { maxInFlight: () => 0 })
    const ticket = ask(pace, 'late', 0, { expiresAt: 500 })
    expect(pace.due(0, ANY_ROOM)).toMatchObject({ expired: [], lookAt: 500 })
    expect(pace.due(500, ANY_ROOM)).toMatchObject({ expired: [ticket], grants: [], lookAt: undefined })
    expect(pace.waiting()).toBe(0)
  })

  test('no more are under way than may be; the next goes when one is back', () => {
    const pace = started(80, { maxInFlight: () => 2 })
    for (let n = 0; n < 3; n++) ask(pace, `p${n}`, 0)
    const due = pace.due(0, ANY_ROOM)
    expect([to(due.grants), due.isHeldUp, due.lookAt]).toEqual([['p0', 'p1'], false, undefined])
    answer(pace, due.grants[0] as Grant, { kind: 'works' }, 0)
    expect(to(pace.due(0, ANY_ROOM).grants)).toEqual(['p2'])
  })

  test('without room it is held up, and says so', () => {
    const pace = started()
    ask(pace, 'p', 0)
    expect(pace.due(0, 0)).toMatchObject({ grants: [], isHeldUp: true })
  })
})

describe('one recipient', () => {
  const send = (pace: NumberPace, count: number, now: number, chatId = 'one') => {
    for (let n = 0; n < count; n++) ask(pace, chatId, now)
  }

  test('gets 45 at once, then one each 6 seconds', () => {
    const pace = started(1_000)
    send(pace, 60, 0)
    const times = run(pace, 0, 30_000).map(({ at }) => at)
    expect(times.filter((at) => at < 1_000)).toHaveLength(45)
    expect(times.slice(45).map((at) => at / 1_000)).toEqual([6, 12, 18, 24, 30])
  })

  test('has borrowed the 45: the next ones come when they are paid back', () => {
    const pace = started(1_000)
    send(pace, 45, 0)
    run(pace, 0, 1_000)
    send(pace, 45, 60_000)
    expect(run(pace, 60_000, 61_000)).toHaveLength(10)
  })

  test('is counted from when the first call was answered, as nobody knows when it arrived', () => {
    const pace = started(1_000)
    send(pace, 46, 0)
    const { grants } = pace.due(0, ANY_ROOM)
    expect(grants).toHaveLength(45)
    for (const grant of grants) answer(pace, grant, { kind: 'works' }, 700)
    expect(pace.due(700, ANY_ROOM).lookAt).toBe(6_700)
  })

  test('that must wait holds up nobody else, whatever the priorities', () => {
    fc.assert(
      fc.property(fc.nat({ max: 3_000 }), fc.boolean(), (greedy, isUrgent) => {
        const pace = started(1_000)
        for (let n = 0; n < greedy; n++) ask(pace, 'greedy', 0, isUrgent ? { priority: 'high' } : {})
        for (let n = 0; n < 50; n++) ask(pace, `p${n}`, 0)
        const given = run(pace, 0, 200).map(({ chatId }) => chatId)
        expect(given.filter((chatId) => chatId !== 'greedy')).toHaveLength(50)
        expect(given.filter((chatId) => chatId === 'greedy').length).toBe(Math.min(45, greedy))
      }),
      { numRuns: 20 },
    )
  })

  test('waits 4^n seconds after the n-th refusal in a row, and the others do not', () => {
    const pace = started()
    const waits: number[] = []
    let now = 0
    for (let n = 0; n < 5; n++) {
      ask(pace, 'one', now)
      const [grant] = pace.due(now, ANY_ROOM).grants
      waits.push(answer(pace, grant as Grant, { kind: 'recipient-limit' }, now + 100).waitMs)
      ask(pace, 'other', now + 100)
      expect(to(pace.due(now + 100, ANY_ROOM).grants)).toEqual(['other'])
      now += 100 + (waits.at(-1) as number)
    }
    expect(waits).toEqual([4_000, 16_000, 64_000, 256_000, 1_024_000])
    ask(pace, 'one', now)
    const [grant] = pace.due(now, ANY_ROOM).grants
    answer(pace, grant as Grant, { kind: 'works' }, now + 100)
    ask(pace, 'one', now + 10_000)
    const [next] = pace.due(now + 10_000, ANY_ROOM).grants
    expect(answer(pace, next as Grant, { kind: 'recipient-limit' }, now + 10_100).waitMs).toBe(4_000)
  })

  test('refused for several calls made together has been refused once, and gets one at a time afterwards', () => {
    const pace = started()
    send(pace, 4, 0)
    const { grants } = pace.due(0, ANY_ROOM)
    expect(grants.map((grant) => answer(pace, grant, { kind: 'recipient-limit' }, 50).waitMs)).toEqual(
      Array(4).fill(4_000),
    )
    send(pace, 3, 100)
    expect(run(pace, 100, 20_000).map(({ at }) => at)).toEqual([4_050, 10_050, 16_050])
  })
})

describe('a number in trouble', () => {
  test('that sends too much stops as a whole, and comes back slower', () => {
    const pace = started()
    for (let n = 0; n < 500; n++) ask(pace, `p${n}`, 0)
    const [grant] = pace.due(0, 1).grants
    expect(answer(pace, grant as Grant, { kind: 'number-limit' }, 100).waitMs).toBe(1_000)
    expect(pace.due(1_099, ANY_ROOM).grants).toEqual([])
    const after = run(pace, 1_100, 3_100)
    expect(after.length).toBeGreaterThan(60)
    expect(after.length).toBeLessThan(100)
  })

  test('whose channel is down sends one call at a time, and all again as soon as it works', () => {
    const pace = started()
    for (let n = 0; n < 50; n++) ask(pace, `p${n}`, 0)
    const failed = run(pace, 0, 10_000, { kind: 'broken' })
    expect(failed.length).toBe(5 + 3) // at 1, 3 and 7 seconds
    expect(failed.map(({ grant }) => grant.isProbe)).toEqual([...Array(5).fill(false), true, true, true])
    expect(run(pace, 60_000, 62_000).length).toBe(42)
  })

  test('whose account is refused sends nothing, until it is opened or a probe is accepted', () => {
    const pace = started()
    for (let n = 0; n < 10; n++) ask(pace, `p${n}`, 0)
    const [first] = pace.due(0, 1).grants
    answer(pace, first as Grant, { kind: 'account-refused' }, 100)
    expect(run(pace, 100, 299_000)).toEqual([])
    pace.reopen()
    expect(run(pace, 299_000, 300_000)).toHaveLength(9)
  })
})

describe('memory', () => {
  test('holds recipients only as long as they have not rested', () => {
    const pace = started(1_000)
    for (let n = 0; n < 20_000; n++) ask(pace, `p${n}`, 0)
    run(pace, 0, 60_000)
    // One message is paid back after 6 seconds: about 6 seconds' worth are remembered at a time.
    expect(pace.recipients()).toBeLessThan(6_100)
    expect(pace.forget(30_000)).toBe(true)
    expect(pace.recipients()).toBe(0)
  })

  test('a refused pair is remembered beyond its wait', () => {
    const pace = started()
    ask(pace, 'one', 0)
    const [grant] = pace.due(0, ANY_ROOM).grants
    answer(pace, grant as Grant, { kind: 'recipient-limit' }, 0)
    expect([pace.forget(60_000), pace.recipients()]).toEqual([false, 1])
    expect(pace.forget(4_000 + 600_000)).toBe(true)
  })

  test('a paused number is remembered as long as anybody waits for it, and long after', () => {
    const pace = started()
    ask(pace, 'one', 0)
    const [grant] = pace.due(0, ANY_ROOM).grants
    answer(pace, grant as Grant, { kind: 'account-refused' }, 0)
    expect(pace.forget(599_999)).toBe(false)
    ask(pace, 'one', 600_000)
    expect(pace.forget(86_400_000)).toBe(false)
    const [probe] = pace.due(86_400_000, ANY_ROOM).grants
    answer(pace, probe as Grant, { kind: 'account-refused' }, 86_400_000)
    expect(pace.forget(86_400_000 + 600_000)).toBe(true)
  })
})

test('with 200,000 recipients waiting, a turn costs microseconds', () => {
  const pace = started(1_000)
  const many = 200_000
  for (let n = 0; n < many; n++) ask(pace, `p${n}`, 0, n % 10 === 0 ? { priority: 'high' } : {})
  const startedAt = performance.now()
  const given = run(pace, 0, 20_000)
  expect(given.length).toBeGreaterThan(18_000)
  // Two looks each. A walk through all who wait would take minutes.
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})
