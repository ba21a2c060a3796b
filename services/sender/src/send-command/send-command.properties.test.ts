import type { SendError } from '@cloudapi2/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { storedEvent } from './facts.ts'
import {
  attemptsOf,
  decide,
  evolve,
  factsOf,
  initial,
  nextStep,
  type Policy,
  type SendDecision,
  type SendEvent,
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
  /** `redrive`: an operator takes a dead letter out, one that was taken out before too. */
  act: 'go on' | 'die' | 'redrive'
  answer: Answer
  passesMs: number
}

const turnsOf = (redrives: number) =>
  fc.array(
    fc.record<Turn>({
      worker: fc.constantFrom(0, 1),
      act: fc.oneof(
        { weight: 12, arbitrary: fc.constant<Turn['act']>('go on') },
        { weight: 1, arbitrary: fc.constant<Turn['act']>('die') },
        { weight: redrives, arbitrary: fc.constant<Turn['act']>('redrive') },
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
const turns = turnsOf(0)
const turnsWithRedrives = turnsOf(3)

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
const run = (script: readonly Turn[], policy: Policy, force = false) => {
  let now = Date.UTC(2026, 10, 24)
  let ledger: { state: SendState; revision: number } = { state: initial, revision: 0 }
  const workers: [Worker, Worker] = [{ doing: 'nothing' }, { doing: 'nothing' }]
  const calls: { after: SendState; taken: boolean; unknown: boolean }[] = []
  const history: SendState[] = [initial]
  const facts: SendEvent[] = []
  /** Numbers of the dead letters: one for each end that is no acceptance. */
  const letters: number[] = []
  let redriven = 0
  const iso = () => new Date(now).toISOString()

  const write = (decision: SendDecision, seen: { state: SendState; revision: number }): boolean => {
    const events = decide(decision, seen.state)
    if (events.length === 0) return true
    if (seen.revision !== ledger.revision) return false
    ledger = { state: events.reduce(evolve, seen.state), revision: ledger.revision + 1 }
    history.push(ledger.state)
    facts.push(...events)
    if (ledger.state.status === 'failed' || ledger.state.status === 'parked') letters.push(letters.length + 1)
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
    if (act === 'redrive') {
      const letter = letters[passesMs % letters.length]
      const before = ledger.revision
      if (letter !== undefined)
        write({ type: 'Redrive', at: iso(), letter, attempts: attemptsOf(ledger.state), force }, ledger)
      redriven += ledger.revision - before
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
  return { calls, history, facts, letters, redriven, state: ledger.state }
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

test('a command that is redriven without force is taken by the channel at most once all the same', () => {
  fc.assert(
    fc.property(turnsWithRedrives, (script) => {
      expect(run(script, parking).calls.filter(({ taken }) => taken).length).toBeLessThanOrEqual(1)
    }),
    { numRuns: 2_000 },
  )
})

test('a dead letter begins one round of attempts at most, however often it is redriven', () => {
  fc.assert(
    fc.property(turnsWithRedrives, fc.constantFrom(parking, resending), fc.boolean(), (script, policy, force) => {
      const { calls, letters, redriven } = run(script, policy, force)
      expect(redriven).toBeLessThanOrEqual(letters.length)
      expect(calls.length).toBeLessThanOrEqual(policy.maxAttempts * (1 + redriven))
    }),
    { numRuns: 1_000 },
  )
})

const about = {
  companyId: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
  command: {
    id: 'c-1',
    channel: 'whatsapp',
    to: '34608684495',
    message: { type: 'text', text: 'Hi' },
    priority: 'normal',
  },
} as const
const idOf = (fact: SendEvent) => storedEvent(fact, about, '2026-11-24T08:00:00.000Z').id

test('no two facts of a command have one id, in whatever round they happened', () => {
  fc.assert(
    fc.property(turnsWithRedrives, fc.constantFrom(parking, resending), (script, policy) => {
      const ids = run(script, policy, true).facts.map(idOf)
      expect(new Set(ids).size).toBe(ids.length)
    }),
    { numRuns: 1_000 },
  )
})

test('what a state proves has the ids of what happened', () => {
  fc.assert(
    fc.property(turnsWithRedrives, fc.constantFrom(parking, resending), (script, policy) => {
      const { facts, state } = run(script, policy, true)
      const happened = facts.map(idOf)
      for (const fact of factsOf(state)) expect(happened).toContain(idOf(fact))
    }),
    { numRuns: 1_000 },
  )
})
