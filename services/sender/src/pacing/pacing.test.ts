import { describe, expect, test } from 'vitest'
import { createPacing, inFlightByRate, type NumberChange, type Turn, type TurnRequest } from './pacing.ts'

/** A clock that moves only when told to, and runs what is due on its way. */
const fakeClock = () => {
  let time = 0
  const timers = new Set<{ at: number; run: () => void }>()
  return {
    now: () => time,
    after: (ms: number, run: () => void) => {
      const timer = { at: time + ms, run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    timers: () => timers.size,
    /** With a turn of the event loop after each timer, so that who waits goes on. */
    advance: async (ms: number) => {
      const until = time + ms
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        timers.delete(next)
        time = Math.max(time, next.at)
        next.run()
        await new Promise(setImmediate)
      }
      time = until
    },
  }
}

const started = (more: { maxInFlight?: number; perNumber?: number } = {}) => {
  const clock = fakeClock()
  const changes: NumberChange[] = []
  const pacing = createPacing({
    clock,
    random: () => 1,
    maxInFlight: more.maxInFlight ?? 1_000,
    pace: {
      throttle: { baseMs: 1_000, capMs: 60_000 },
      gate: {
        failuresToShut: 3,
        probeMs: 1_000,
        probeCapMs: 30_000,
        pauseFirstProbeMs: 300_000,
        pauseProbeMs: 300_000,
      },
      maxInFlight: () => more.perNumber ?? 1_000,
    },
    onChange: (change) => changes.push(change),
  })
  let recipients = 0
  const take = (change: Partial<TurnRequest> = {}, signal = new AbortController().signal) =>
    pacing.take(
      {
        companyId: 'acme',
        phoneNumberId: '1',
        chatId: `p${recipients++}`,
        priority: 'normal',
        messagesPerSecond: 80,
        ...change,
      },
      signal,
    )
  return { clock, pacing, changes, take }
}
/** Whether it has come, after everything that was to happen at once has happened. */
const hasCome = async (turn: Promise<Turn>) => {
  const nothing = Symbol('nothing')
  await new Promise(setImmediate)
  return (await Promise.race([turn, Promise.resolve(nothing)])) !== nothing
}
const refused = (token: string, cause = 'c1:1') => ({
  kind: 'account-refused' as const,
  error: { code: 190, title: 'Access token has expired' },
  token,
  cause,
})
const finish = (turn: Turn, report: Parameters<Turn['report']>[0] = { kind: 'works' }) => {
  const verdict = turn.report(report)
  turn.release()
  return verdict
}

describe('turns', () => {
  test('are given at once while there are any, then at the pace of the number', async () => {
    const { clock, take, pacing } = started()
    const turns = Array.from({ length: 10 }, () => take())
    const come = async () => (await Promise.all(turns.map(hasCome))).filter(Boolean).length
    expect(await come()).toBe(4)
    await clock.advance(28)
    expect(await come()).toBe(6)
    await clock.advance(1_000)
    expect(await come()).toBe(10)
    expect([pacing.waiting(), pacing.inFlight()]).toEqual([0, 10])
  })

  test('of a slow number take none from the others', async () => {
    const { take } = started({ maxInFlight: 20, perNumber: 2 })
    const slow = Array.from({ length: 4 }, () => take({ phoneNumberId: 'slow' }))
    expect(await Promise.all(slow.map(hasCome))).toEqual([true, true, false, false])
    expect(await hasCome(take({ phoneNumberId: 'other' }))).toBe(true)
  })

  test('are shared out in turn among the numbers when all together are too many', async () => {
    const { take, clock } = started({ maxInFlight: 2 })
    const busy = Array.from({ length: 6 }, () => take({ phoneNumberId: 'busy' }))
    const other = take({ phoneNumberId: 'other' })
    expect([await hasCome(busy[1] as Promise<Turn>), await hasCome(other)]).toEqual([true, false])
    await clock.advance(1_000)
    finish(await (busy[0] as Promise<Turn>))
    expect(await hasCome(busy[2] as Promise<Turn>)).toBe(true)
    finish(await (busy[1] as Promise<Turn>))
    expect(await hasCome(other)).toBe(true)
    expect(await hasCome(busy[3] as Promise<Turn>)).toBe(false)
    finish(await other)
    expect(await hasCome(busy[3] as Promise<Turn>)).toBe(true)
  })

  test('given back twice are one turn', async () => {
    const { take, pacing } = started({ perNumber: 1 })
    const first = await take()
    first.release()
    first.release()
    expect(pacing.inFlight()).toBe(0)
    await take()
    expect(await hasCome(take())).toBe(false)
  })

  test('that nobody waits for any more are given to the next', async () => {
    const { take, pacing } = started({ perNumber: 1 })
    const first = await take()
    const stopping = new AbortController()
    const gone = take({}, stopping.signal)
    const next = take()
    stopping.abort(new Error('stopping'))
    await expect(gone).rejects.toThrow('stopping')
    expect(pacing.waiting()).toBe(1)
    first.release()
    await next
    await expect(take({}, stopping.signal)).rejects.toThrow('stopping')
  })

  test('end for whoever expires, at that moment, with no right to call', async () => {
    const { take, clock, pacing } = started({ perNumber: 1 })
    const first = await take()
    const late = take({ expiresInMs: 500 })
    await clock.advance(499)
    expect(await hasCome(late)).toBe(false)
    await clock.advance(1)
    expect((await late).isExpired).toBe(true)
    const never = await take({ expiresInMs: -1 })
    expect(never.isExpired).toBe(true)
    never.release()
    finish(first)
    expect([pacing.waiting(), pacing.inFlight()]).toEqual([0, 0])
  })
})

describe('a channel that is down for a number', () => {
  test('is told, and tried by one call at a time; what waits is not to blame', async () => {
    const { take, changes, clock } = started()
    const verdicts = [finish(await take(), { kind: 'broken' }), finish(await take(), { kind: 'broken' })]
    const inFlight = await take()
    verdicts.push(finish(await take(), { kind: 'broken' }))
    expect(verdicts.map(({ isOwnFault }) => isOwnFault)).toEqual([true, true, true])
    expect(changes).toEqual([{ kind: 'down', companyId: 'acme', phoneNumberId: '1' }])
    expect(finish(inFlight, { kind: 'broken' }).isOwnFault).toBe(false)

    const [probe, behind] = [take(), take()]
    expect(await hasCome(probe)).toBe(false)
    expect(await hasCome(take({ phoneNumberId: '2' }))).toBe(true)
    await clock.advance(1_000)
    expect([await hasCome(probe), await hasCome(behind)]).toEqual([true, false])
    expect(finish(await probe, { kind: 'broken' }).isOwnFault).toBe(false)
    await clock.advance(2_000)
    finish(await behind)
    expect(await hasCome(take())).toBe(true)
    expect(changes.map(({ kind }) => kind)).toEqual(['down', 'up'])
  })

  test('a probe that was not used leaves the next one to somebody else', async () => {
    const { take, clock } = started()
    for (let n = 0; n < 3; n++) finish(await take(), { kind: 'broken' })
    const [probe, next] = [take(), take()]
    await clock.advance(1_000)
    ;(await probe).release()
    expect(await hasCome(next)).toBe(true)
  })
})

describe('an account that is refused', () => {
  test('pauses the number once, however many calls find out; other numbers go on', async () => {
    const { take, changes, pacing } = started()
    const turns = await Promise.all([take(), take(), take()])
    expect(turns.map((turn, n) => finish(turn, refused('old', `c${n}:1`)).isOwnFault)).toEqual([false, false, false])
    expect(changes).toEqual([
      {
        kind: 'paused',
        companyId: 'acme',
        phoneNumberId: '1',
        cause: 'c0:1',
        error: { code: 190, title: 'Access token has expired' },
      },
    ])
    expect(pacing.numbers()).toMatchObject({ paused: 1, down: 0 })
    expect([pacing.pauseOf('1')?.code, pacing.pauseOf('2')]).toEqual([190, undefined])
    expect(await hasCome(take())).toBe(false)
    expect(await hasCome(take({ phoneNumberId: '2' }))).toBe(true)
  })

  test('goes on with other credentials, at once; not with the same, nor with those of another company', async () => {
    const { take, changes, pacing } = started()
    finish(await take(), refused('old'))
    const waiting = take()
    pacing.credentialsAre('acme', 'old')
    pacing.credentialsAre('other', 'new')
    expect(await hasCome(waiting)).toBe(false)
    pacing.credentialsAre('acme', 'new')
    expect(await hasCome(waiting)).toBe(true)
    expect(changes.at(-1)).toMatchObject({ kind: 'resumed', by: 'credentials', cause: 'c1:1', phoneNumberId: '1' })
    expect(pacing.numbers().paused).toBe(0)
  })

  test('is tried every now and then, and goes on when it was mended', async () => {
    const { take, changes, clock } = started()
    finish(await take(), refused('old'))
    const [first, second] = [take(), take()]
    await clock.advance(300_000)
    finish(await first, refused('old', 'c2:1'))
    await clock.advance(299_000)
    expect(await hasCome(second)).toBe(false)
    await clock.advance(1_000)
    finish(await second)
    expect(
      changes.map((change) => [change.kind, 'by' in change ? change.by : '', 'cause' in change && change.cause]),
    ).toEqual([
      ['paused', '', 'c1:1'],
      ['resumed', 'probe', 'c1:1'],
    ])
  })
})

test('a number that sends too much stops as a whole, and it is told', async () => {
  const { take, changes, clock } = started()
  const turns = await Promise.all([take(), take()])
  expect(turns.map((turn) => finish(turn, { kind: 'number-limit', retryAfterMs: 3_000 }))).toEqual([
    { waitMs: 3_000, isOwnFault: true },
    { waitMs: 3_000, isOwnFault: true },
  ])
  expect(changes).toEqual([{ kind: 'throttled', companyId: 'acme', phoneNumberId: '1', stopMs: 3_000, level: 1 }])
  const next = take()
  await clock.advance(2_999)
  expect(await hasCome(next)).toBe(false)
  await clock.advance(1)
  expect(await hasCome(next)).toBe(true)
})

test('numbers and their timers are forgotten when they have rested', async () => {
  const { take, clock, pacing } = started()
  for (let n = 0; n < 50; n++) finish(await take({ phoneNumberId: String(n) }))
  pacing.countInbound({ companyId: 'acme', phoneNumberId: 'heard', messagesPerSecond: 80 })
  expect(pacing.numbers().known).toBe(51)
  await clock.advance(120_000)
  expect(pacing.numbers().known).toBe(0)
  expect(clock.timers()).toBe(1)
  pacing.stop()
  expect(clock.timers()).toBe(0)
})

test('one number has at most half of the calls, and enough of them for its rate', () => {
  expect([20, 80, 1_000].map(inFlightByRate(2_000))).toEqual([20, 80, 256])
  expect([20, 80].map(inFlightByRate(16))).toEqual([8, 8])
  expect(inFlightByRate(1)(80)).toBe(1)
})
