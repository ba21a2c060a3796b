import type { SendError } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'
import {
  decide,
  EXPIRED,
  evolve,
  factsOf,
  INTERRUPTED,
  initial,
  isDone,
  nextStep,
  type Policy,
  type Receipt,
  type Retry,
  type SendDecision,
  type SendEvent,
  type SendState,
} from './send-command.ts'

const policy: Policy = { maxAttempts: 3, attemptTimeoutMs: 25_000, onUncertain: 'park', uncertainGraceMs: 60_000 }
const resending: Policy = { ...policy, onUncertain: 'resend' }
const throttled: SendError = { code: 130429, title: 'Rate limit hit' }
const closed: SendError = { code: 131047, title: 'Re-engagement message' }
const lost: SendError = { code: 'CHANNEL_ANSWER_LOST', title: 'No answer' }
const receipt: Receipt = { messageId: 'wamid.1' }

/** Seconds after the beginning of the test. */
const at = (seconds: number): string => new Date(Date.UTC(2026, 10, 24, 8, 0, seconds)).toISOString()
const ms = (seconds: number): number => Date.parse(at(seconds))

const requested = (seconds: number): SendEvent => ({ type: 'send.requested', at: at(seconds) })
const attempted = (seconds: number, attempt = 1): SendEvent => ({ type: 'send.attempted', at: at(seconds), attempt })
const refused = (seconds: number, attempt = 1, retryIn = 2): SendEvent => ({
  type: 'send.refused',
  at: at(seconds),
  attempt,
  error: throttled,
  retryAt: at(seconds + retryIn),
})
const uncertain = (seconds: number, attempt = 1, error = lost): SendEvent => ({
  type: 'send.uncertain',
  at: at(seconds),
  attempt,
  error,
})
const accepted = (seconds: number): SendEvent => ({ type: 'send.accepted', at: at(seconds), receipt })
const failed = (seconds: number, attempts: number, error: SendError, exhausted = false): SendEvent => ({
  type: 'send.failed',
  at: at(seconds),
  attempts,
  error,
  exhausted,
})

const attempt = (seconds: number, by: Policy = policy): SendDecision => ({
  type: 'Attempt',
  at: at(seconds),
  policy: by,
})
const reject = (seconds: number, error: SendError): SendDecision => ({ type: 'Reject', at: at(seconds), error })
const recordAccepted = (seconds: number): SendDecision => ({ type: 'RecordAccepted', at: at(seconds), receipt })
const recordUnknown = (seconds: number, attempt = 1): SendDecision => ({
  type: 'RecordUnknown',
  at: at(seconds),
  attempt,
  error: lost,
})
const park = (seconds: number): SendDecision => ({ type: 'Park', at: at(seconds), policy })
const parked = (seconds: number, attempts: number): SendEvent => ({
  type: 'send.parked',
  at: at(seconds),
  attempts,
  error: lost,
})
const recordRefused = (seconds: number, retry: Retry, error = throttled, attempt = 1): SendDecision => ({
  type: 'RecordRefused',
  at: at(seconds),
  attempt,
  error,
  retry,
  delayMs: 2_000,
  policy,
})

const stateAfter = (events: readonly SendEvent[]): SendState => events.reduce(evolve, initial)
const given = (...events: SendEvent[]) => ({
  when: (decision: SendDecision) => {
    const decided = decide(decision, stateAfter(events))
    return {
      decides: (...expected: SendEvent[]) => expect(decided).toEqual(expected),
      decidesNothing: () => expect(decided).toEqual([]),
    }
  },
  next: (seconds: number, by: Policy = policy) => expect(nextStep(stateAfter(events), ms(seconds), by)),
})

describe('an attempt', () => {
  test('the first one makes the request known, and states its intent', () =>
    given().when(attempt(0)).decides(requested(0), attempted(0)))
  test('after a refusal there is none before its time', () =>
    given(requested(0), attempted(0), refused(1)).when(attempt(2)).decidesNothing())
  test('after a refusal there is another when its time has come', () =>
    given(requested(0), attempted(0), refused(1)).when(attempt(3)).decides(attempted(3, 2)))
  test('there is none after the message was accepted', () =>
    given(requested(0), attempted(0), accepted(1)).when(attempt(100)).decidesNothing())
  test('there is none after it failed', () =>
    given(requested(0), attempted(0), failed(1, 1, closed))
      .when(attempt(100))
      .decidesNothing())
  test('there is none while somebody else may be at it', () =>
    given(requested(0), attempted(0)).when(attempt(24)).decidesNothing())
  test('one that nobody finished has an unknown outcome', () =>
    given(requested(0), attempted(0))
      .when(attempt(25))
      .decides(uncertain(25, 1, INTERRUPTED)))
  test('an expired command is not begun, and fails', () =>
    given()
      .when(attempt(10, { ...policy, expiresAt: at(10) }))
      .decides(requested(10), failed(10, 0, EXPIRED)))
  test('a command that expires between attempts fails with the attempts it had', () =>
    given(requested(0), attempted(0), refused(1))
      .when(attempt(10, { ...policy, expiresAt: at(9) }))
      .decides(failed(10, 1, EXPIRED)))
  test('what may have been sent is not failed by expiring', () =>
    given(requested(0), attempted(0), uncertain(1))
      .when(attempt(100, { ...resending, expiresAt: at(50) }))
      .decidesNothing())
})

describe('a refusal', () => {
  test('that is final ends the command at once', () =>
    given(requested(0), attempted(0))
      .when(recordRefused(1, 'no', closed))
      .decides(failed(1, 1, closed)))
  test('that is worth repeating is repeated after its delay', () =>
    given(requested(0), attempted(0)).when(recordRefused(1, 'backoff')).decides(refused(1)))
  test('at the last attempt exhausts the command', () =>
    given(requested(0), attempted(0), refused(1), attempted(3, 2), refused(4, 2), attempted(6, 3))
      .when(recordRefused(7, 'backoff', throttled, 3))
      .decides(failed(7, 3, throttled, true)))
  test('to be repeated once is not repeated twice', () =>
    given(requested(0), attempted(0), refused(1), attempted(3, 2))
      .when(recordRefused(4, 'once', throttled, 2))
      .decides(failed(4, 2, throttled)))
  test('of an earlier attempt says nothing about the one under way', () => {
    given(requested(0), attempted(0), uncertain(25), attempted(90, 2)).when(recordRefused(91, 'no')).decidesNothing()
    given(requested(0), attempted(0), uncertain(25), attempted(90, 2)).when(recordUnknown(91)).decidesNothing()
  })
  test('that comes when all is settled changes nothing', () =>
    given(requested(0), attempted(0), accepted(1)).when(recordRefused(2, 'no')).decidesNothing())
})

describe('an acceptance', () => {
  test('ends the command', () => given(requested(0), attempted(0)).when(recordAccepted(1)).decides(accepted(1)))
  test('is recorded once', () =>
    given(requested(0), attempted(0), accepted(1)).when(recordAccepted(2)).decidesNothing())
  test('settles an unknown outcome, however late', () =>
    given(requested(0), attempted(0), uncertain(10)).when(recordAccepted(9_000)).decides(accepted(9_000)))
  test('of an earlier attempt counts while the next one waits', () =>
    given(requested(0), attempted(0), uncertain(10), attempted(70, 2), refused(71, 2))
      .when(recordAccepted(72))
      .decides(accepted(72)))
  test('of an earlier attempt is stronger than a later failure', () =>
    given(requested(0), attempted(0), uncertain(10), attempted(70, 2), failed(71, 2, closed))
      .when(recordAccepted(80))
      .decides(accepted(80)))
  test('of what nobody attempted is none of ours', () => given().when(recordAccepted(1)).decidesNothing())
})

describe('an unknown outcome', () => {
  test('is recorded as what it is', () =>
    given(requested(0), attempted(0)).when(recordUnknown(10)).decides(uncertain(10)))
  test.each([policy, resending])('waits for its grace, as a status may settle it: $onUncertain', (of) =>
    given(requested(0), attempted(0), uncertain(10))
      .next(11, of)
      .toEqual({ step: 'wait', until: ms(70) }),
  )
  test('is parked after its grace when the company does not want it sent again', () =>
    given(requested(0), attempted(0), uncertain(10)).next(70).toEqual({ step: 'park' }))
  test('is sent again after its grace', () =>
    given(requested(0), attempted(0), uncertain(10)).when(attempt(70, resending)).decides(attempted(70, 2)))
  test('is parked once, when its grace is over and not before', () => {
    given(requested(0), attempted(0), uncertain(10)).when(park(69)).decidesNothing()
    given(requested(0), attempted(0), uncertain(10)).when(park(70)).decides(parked(70, 1))
    given(requested(0), attempted(0), uncertain(10), parked(70, 1)).when(park(71)).decidesNothing()
  })
  test('that was parked has ended, and is settled by a late status all the same', () => {
    given(requested(0), attempted(0), uncertain(10), parked(70, 1)).next(71).toEqual({ step: 'end', as: 'parked' })
    given(requested(0), attempted(0), uncertain(10), parked(70, 1)).when(recordAccepted(600)).decides(accepted(600))
  })
  test('that was settled in time is not parked', () =>
    given(requested(0), attempted(0), uncertain(10), accepted(20)).when(park(70)).decidesNothing())
  test('of the last attempt is parked all the same', () =>
    given(
      requested(0),
      attempted(0),
      uncertain(1),
      attempted(70, 2),
      uncertain(71, 2),
      attempted(140, 3),
      uncertain(141, 3),
    )
      .next(300, resending)
      .toEqual({ step: 'park' }))
  test('is parked when the command expired meanwhile', () =>
    given(requested(0), attempted(0), uncertain(10))
      .next(70, { ...resending, expiresAt: at(60) })
      .toEqual({ step: 'park' }))
})

describe('a command that cannot be sent', () => {
  test('fails without an attempt', () =>
    given()
      .when(reject(0, closed))
      .decides(requested(0), failed(0, 0, closed)))
  test('fails between two attempts', () =>
    given(requested(0), attempted(0), refused(1))
      .when(reject(5, closed))
      .decides(failed(5, 1, closed)))
  test('has not failed while it may be on its way', () => {
    given(requested(0), attempted(0)).when(reject(5, closed)).decidesNothing()
    given(requested(0), attempted(0), uncertain(2)).when(reject(5, closed)).decidesNothing()
  })
})

describe('what a state proves is told again', () => {
  test('an intent, with the request before the first', () => {
    expect(factsOf(stateAfter([requested(0), attempted(0)]))).toEqual([requested(0), attempted(0)])
    expect(factsOf(stateAfter([requested(0), attempted(0), refused(1), attempted(3, 2)]))).toEqual([attempted(3, 2)])
  })
  test('an end', () => {
    expect(factsOf(stateAfter([requested(0), attempted(0), accepted(1)]))).toEqual([accepted(1)])
    expect(factsOf(stateAfter([requested(0), failed(0, 0, closed)]))).toEqual([requested(0), failed(0, 0, closed)])
    expect(factsOf(stateAfter([requested(0), attempted(0), refused(1)]))).toEqual([refused(1)])
    expect(factsOf(stateAfter([requested(0), attempted(0), uncertain(1)]))).toEqual([uncertain(1)])
  })
  test('nothing of what nobody worked on', () => expect(factsOf(initial)).toEqual([]))
})

describe('a redrive', () => {
  const redrive = (letter: number, seconds: number, force = false): SendDecision => ({
    type: 'Redrive',
    at: at(seconds),
    letter,
    attempts: 3,
    force,
  })
  const redriven = (letter: number, seconds: number, attempts: number): SendEvent => ({
    type: 'send.redriven',
    at: at(seconds),
    letter,
    attempts,
  })
  const exhausted = [
    requested(0),
    attempted(0),
    refused(1),
    attempted(3, 2),
    refused(4, 2),
    attempted(6, 3),
    failed(7, 3, throttled, true),
  ]
  const round = { letter: 12, before: 3 }

  test('begins a new round of what was exhausted, refused for good, or never attempted', () => {
    given(...exhausted)
      .when(redrive(12, 100))
      .decides(redriven(12, 100, 3))
    given(requested(0), attempted(0), failed(1, 1, closed))
      .when(redrive(12, 100))
      .decides(redriven(12, 100, 1))
    given(requested(0), failed(0, 0, closed))
      .when(redrive(12, 100))
      .decides(redriven(12, 100, 0))
  })
  test('goes on at once, and numbers the attempts on', () => {
    given(...exhausted, redriven(12, 100, 3))
      .next(100)
      .toEqual({ step: 'attempt' })
    given(...exhausted, redriven(12, 100, 3))
      .when(attempt(100))
      .decides(attempted(100, 4))
  })
  test('counts its attempts afresh', () => {
    const second = [...exhausted, redriven(12, 100, 3), attempted(100, 4)]
    given(...second)
      .when(recordRefused(101, 'backoff', throttled, 4))
      .decides(refused(101, 4))
    given(...second)
      .when(recordRefused(101, 'once', throttled, 4))
      .decides(refused(101, 4))
    given(...second, refused(101, 4), attempted(103, 5), refused(104, 5), attempted(106, 6))
      .when(recordRefused(107, 'backoff', throttled, 6))
      .decides({ ...failed(107, 6, throttled, true), round } as SendEvent)
  })
  test('delivered twice is one', () => {
    given(...exhausted, redriven(12, 100, 3))
      .when(redrive(12, 101))
      .decidesNothing()
    given(...exhausted, redriven(12, 100, 3), attempted(100, 4), failed(101, 4, closed))
      .when(redrive(12, 200))
      .decidesNothing()
  })
  test('of the next dead letter begins the next round, and one of an earlier letter none', () => {
    const twice = [...exhausted, redriven(12, 100, 3), attempted(100, 4), failed(101, 4, closed)]
    given(...twice)
      .when(redrive(13, 200))
      .decides(redriven(13, 200, 4))
    given(...twice)
      .when(redrive(11, 200))
      .decidesNothing()
  })
  test('of what was accepted sends nothing', () =>
    given(requested(0), attempted(0), accepted(1))
      .when(redrive(12, 100, true))
      .decidesNothing())
  test('of what was given up and then proved to be sent sends nothing', () =>
    given(requested(0), attempted(0), uncertain(1), parked(70, 1), accepted(80))
      .when(redrive(12, 100, true))
      .decidesNothing())
  test('of what is still being worked on changes nothing', () => {
    given(requested(0), attempted(0))
      .when(redrive(12, 1, true))
      .decidesNothing()
    given(requested(0), attempted(0), refused(1))
      .when(redrive(12, 1, true))
      .decidesNothing()
    given(requested(0), attempted(0), uncertain(1))
      .when(redrive(12, 2, true))
      .decidesNothing()
  })
  test('of what may have been delivered must be forced, and is not taken for done', () => {
    const given1 = [requested(0), attempted(0), uncertain(1), parked(70, 1)]
    given(...given1)
      .when(redrive(12, 100))
      .decidesNothing()
    expect(isDone({ letter: 12 }, stateAfter(given1))).toBe(false)
    given(...given1)
      .when(redrive(12, 100, true))
      .decides(redriven(12, 100, 1))
    expect(isDone({ letter: 12 }, stateAfter([...given1, redriven(12, 100, 1)]))).toBe(true)
  })
  test('of what the ledger has forgotten goes on after the attempts that the dead letter tells of', () => {
    given()
      .when(redrive(12, 100))
      .decides(requested(100), redriven(12, 100, 3))
    given(requested(100), redriven(12, 100, 3))
      .when(attempt(100))
      .decides(attempted(100, 4))
  })
  test('may be parked again, for another redrive to be forced', () =>
    given(...exhausted, redriven(12, 100, 3), attempted(100, 4), uncertain(101, 4))
      .when(park(170))
      .decides({ ...parked(170, 4), round } as SendEvent))
  test('of what cannot be sent as it is fails again', () =>
    given(requested(0), failed(0, 0, closed), redriven(12, 100, 0))
      .when(reject(100, closed))
      .decides({ ...failed(100, 0, closed), round: { letter: 12, before: 0 } } as SendEvent))
  test('is told again by whoever takes it over', () =>
    expect(factsOf(stateAfter([...exhausted, redriven(12, 100, 3)]))).toEqual([requested(100), redriven(12, 100, 3)]))
})

describe('a refusal that is nobody’s fault', () => {
  const kept = (seconds: number, attempt: number): SendDecision => ({
    type: 'RecordRefused',
    at: at(seconds),
    attempt,
    error: { code: 190, title: 'Access token has expired' },
    retry: 'uncounted',
    delayMs: 0,
    policy,
  })
  const afterKept = (times: number): SendState =>
    Array.from({ length: times }).reduce<SendState>((state, _, n) => {
      const attempting = decide(attempt(n), state).reduce(evolve, state)
      return decide(kept(n, n + 1), attempting).reduce(evolve, attempting)
    }, initial)

  test('is repeated however often it happens, under numbers of its own', () => {
    expect(afterKept(20)).toMatchObject({ status: 'refused', attempts: 20, uncounted: 20 })
    expect(factsOf(afterKept(20))).toMatchObject([{ type: 'send.refused', attempt: 20 }])
  })
  test('leaves all attempts for what is the fault of the command', () => {
    let state = afterKept(20)
    const refusals: string[] = []
    for (let n = 21; state.status !== 'failed'; n++) {
      state = decide(attempt(1_000 * n), state).reduce(evolve, state)
      const events = decide(
        {
          type: 'RecordRefused',
          at: at(1_000 * n),
          attempt: n,
          error: throttled,
          retry: 'backoff',
          delayMs: 0,
          policy,
        },
        state,
      )
      refusals.push(...events.map(({ type }) => type))
      state = events.reduce(evolve, state)
    }
    expect(refusals).toEqual(['send.refused', 'send.refused', 'send.failed'])
    expect(state).toMatchObject({ attempts: 23, exhausted: true })
  })
})

test('a command that waits for its next attempt waits no longer than it is of use', () => {
  const until = { ...policy, expiresAt: at(5) }
  const waiting = [attempted(1), refused(2, 1, 60)].reduce(evolve, initial)
  expect(nextStep(waiting, ms(3), until)).toEqual({ step: 'wait', until: ms(5) })
  expect(decide(attempt(5, until), waiting)).toEqual([failed(5, 1, EXPIRED)])
})
