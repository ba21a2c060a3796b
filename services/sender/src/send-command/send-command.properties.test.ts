import type { SendError } from '@cloudapi2/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  attemptsOf,
  decide,
  evolve,
  initial,
  nextStep,
  type Policy,
  type SendDecision,
  type SendState,
} from './send-command.ts'

const error: SendError = { code: 130429, title: 'Rate limit hit' }
const TIMEOUT_MS = 25_000
const GRACE_MS = 60_000

/** What the channel does with one call. `lost`: it has the message, and its answer never comes. */
type Answer = 'accept' | 'refuse for now' | 'refuse for good' | 'lost' | 'lost and not done'

/** One turn of one of two workers: it goes on with what it has in hand, or dies and starts afresh. */
interface Turn {
  worker: 0 | 1
  act: 'go on' | 'die'
  answer: Answer
  passesMs: number
}

const turns = fc.array(
  fc.record<Turn>({
    worker: fc.constantFrom(0, 1),
    act: fc.oneof(
      { weight: 12, arbitrary: fc.constant('go on' as const) },
      { weight: 1, arbitrary: fc.constant('die' as const) },
    ),
    answer: fc.oneof(
      { weight: 6, arbitrary: fc.constant<Answer>('refuse for now') },
      { weight: 1, arbitrary: fc.constantFrom<Answer>('accept', 'refuse for good') },
      { weight: 2, arbitrary: fc.constantFrom<Answer>('lost', 'lost and not done') },
    ),
    passesMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 90_000 })),
  }),
  // Without it most lists have ten turns, and nobody comes as far as a second call.
  { maxLength: 80, size: 'max' },
)

type Worker =
  | { doing: 'nothing' }
  /** It read the entry and is about to write its intent. */
  | { doing: 'deciding'; seen: SendState; revision: number }
  /** Its intent is stored: it calls next. */
  | { doing: 'calling'; since: number; attempt: number }
  | { doing: 'recording'; decision: (at: string) => SendDecision }

/**
 * Two workers with the same command in hand, over one ledger with compare-and-set, against a channel that accepts,
 * refuses and loses. Each turn is one step between two of which everything may happen.
 */
const run = (script: readonly Turn[], policy: Policy) => {
  let now = Date.UTC(2026, 10, 24)
  let ledger: { state: SendState; revision: number } = { state: initial, revision: 0 }
  const workers: [Worker, Worker] = [{ doing: 'nothing' }, { doing: 'nothing' }]
  const calls: { after: SendState; taken: boolean; unknown: boolean }[] = []
  const history: SendState[] = [initial]
  const iso = () => new Date(now).toISOString()

  const write = (decision: SendDecision, seen: { state: SendState; revision: number }): boolean => {
    const events = decide(decision, seen.state)
    if (events.length === 0) return true
    if (seen.revision !== ledger.revision) return false
    ledger = { state: events.reduce(evolve, seen.state), revision: ledger.revision + 1 }
    history.push(ledger.state)
    return true
  }

  for (const { worker, act, answer, passesMs } of script) {
    const doing = workers[worker]
    // A call is over before others may take it for abandoned.
    now += workers.some(({ doing }) => doing === 'calling') ? Math.min(passesMs, 5_000) : passesMs
    if (act === 'die') {
      workers[worker] = { doing: 'nothing' }
      continue
    }
    switch (doing.doing) {
      case 'nothing':
        if (nextStep(ledger.state, now, policy).step === 'park') write({ type: 'Park', at: iso(), policy }, ledger)
        else if (nextStep(ledger.state, now, policy).step === 'attempt')
          workers[worker] = { doing: 'deciding', seen: ledger.state, revision: ledger.revision }
        break
      case 'deciding': {
        workers[worker] = { doing: 'nothing' }
        const before = ledger.revision
        const won = write({ type: 'Attempt', at: iso(), policy }, { state: doing.seen, revision: doing.revision })
        if (won && ledger.revision > before && ledger.state.status === 'attempting')
          workers[worker] = { doing: 'calling', since: now, attempt: ledger.state.attempts }
        break
      }
      case 'calling': {
        if (now - doing.since >= TIMEOUT_MS) {
          workers[worker] = { doing: 'nothing' } // the claim is too old to be used
          break
        }
        const { attempt } = doing
        const taken = answer === 'accept' || answer === 'lost'
        const unknown = answer === 'lost' || answer === 'lost and not done'
        calls.push({ after: ledger.state, taken, unknown })
        const decision = (at: string): SendDecision =>
          answer === 'accept'
            ? { type: 'RecordAccepted', at, receipt: { messageId: 'wamid.1' } }
            : unknown
              ? { type: 'RecordUnknown', at, attempt, error }
              : {
                  type: 'RecordRefused',
                  at,
                  attempt,
                  error,
                  retry: answer === 'refuse for now' ? 'backoff' : 'no',
                  delayMs: 500,
                  policy,
                }
        workers[worker] = { doing: 'recording', decision }
        break
      }
      case 'recording':
        if (write(doing.decision(iso()), ledger)) workers[worker] = { doing: 'nothing' }
        break
    }
  }
  return { calls, history, state: ledger.state }
}

const parking: Policy = {
  maxAttempts: 4,
  attemptTimeoutMs: TIMEOUT_MS,
  onUncertain: 'park',
  uncertainGraceMs: GRACE_MS,
}
const resending: Policy = { ...parking, onUncertain: 'resend' }

test('a command that is parked when in doubt is taken by the channel at most once, whoever dies when', () => {
  fc.assert(
    fc.property(turns, (script) => {
      expect(run(script, parking).calls.filter(({ taken }) => taken).length).toBeLessThanOrEqual(1)
    }),
    { numRuns: 2_000 },
  )
})

test('nobody calls the channel again after an acceptance, a final failure or an unknown outcome was recorded', () => {
  fc.assert(
    // A company that wants it sent again accepts that the first answer may come between the intent and the second call.
    fc.property(turns, (script) => {
      for (const { after } of run(script, parking).calls) expect(after.status).toBe('attempting')
    }),
    { numRuns: 1_000 },
  )
})

test('there are never more calls than attempts allowed', () => {
  fc.assert(
    fc.property(turns, fc.constantFrom(parking, resending), (script, policy) => {
      const { calls, state } = run(script, policy)
      expect(calls.length).toBeLessThanOrEqual(policy.maxAttempts)
      expect(attemptsOf(state)).toBeLessThanOrEqual(policy.maxAttempts)
    }),
    { numRuns: 1_000 },
  )
})

test('an acceptance is for ever, and a failure gives way to nothing but an acceptance', () => {
  fc.assert(
    fc.property(turns, fc.constantFrom(parking, resending), (script, policy) => {
      const { history } = run(script, policy)
      for (const [index, { status }] of history.entries()) {
        const next = history[index + 1]?.status
        if (status === 'accepted') expect(next).toBeUndefined()
        if (status === 'failed' || status === 'parked') expect([undefined, 'accepted']).toContain(next)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('whoever is told to attempt has something to decide, so that no command goes round in circles', () => {
  fc.assert(
    fc.property(
      turns,
      fc.constantFrom(parking, resending),
      fc.integer({ min: 0, max: 200_000 }),
      fc.boolean(),
      (script, base, later, expires) => {
        const { state } = run(script, base)
        const now = Date.UTC(2026, 10, 24) + later
        const policy = expires ? { ...base, expiresAt: new Date(Date.UTC(2026, 10, 24) + 50_000).toISOString() } : base
        if (nextStep(state, now, policy).step !== 'attempt') return
        expect(decide({ type: 'Attempt', at: new Date(now).toISOString(), policy }, state)).not.toEqual([])
      },
    ),
    { numRuns: 1_000 },
  )
})
