import type { SendError } from '@cloudapi2/contracts'

/**
 * The life of one command, from the first time it is taken in hand to its end. The state is what the ledger keeps; it
 * holds what the next decision asks and what must be told again after a crash. Times are RFC 3339, UTC.
 */
export type SendState =
  /** Known by name at most: nobody has worked on it. */
  | { status: 'none' }
  /** The intent is stored; whether the channel was called, only the one who wrote it knows. */
  | { status: 'attempting'; attempts: number; at: string; round?: Round; uncounted?: number }
  /** Refused, and worth another attempt from `retryAt` on. */
  | {
      status: 'refused'
      attempts: number
      at: string
      retryAt: string
      error: SendError
      round?: Round
      uncounted?: number
    }
  /** The channel may or may not have it. */
  | { status: 'uncertain'; attempts: number; at: string; error: SendError; round?: Round; uncounted?: number }
  /** Given up without our ever knowing; a status may still prove that it was sent. */
  | { status: 'parked'; attempts: number; at: string; error: SendError; round?: Round }
  /** Taken out of the dead letters; nobody has attempted it since. */
  | { status: 'redriven'; attempts: number; at: string; round: Round }
  | { status: 'accepted'; attempts: number; at: string; receipt: Receipt; round?: Round }
  /** `exhausted`: it was worth another attempt, but there were enough. */
  | { status: 'failed'; attempts: number; at: string; error: SendError; exhausted: boolean; round?: Round }

// `uncounted`: attempts of this round that failed through no fault of the command, and use up none that it has.

/** The attempts since the last redrive. Without one: all there were. Attempts are numbered on through all rounds. */
export interface Round {
  /** The dead letter that began it; of two, the greater is the later. */
  letter: number
  /** Attempts in the rounds before. */
  before: number
}

/** What the channel said when it accepted a message, or that one of the other side was read. */
export interface Receipt {
  /** Of the message sent; with `read`, of the one that was read. */
  messageId: string
  /** Nothing was sent: a message is marked as read, and the other side may see somebody typing. */
  read?: { isTyping: boolean }
  /** Who the channel says the recipient is. */
  contact?: { phone?: string; user_id?: string }
  /** The channel's own answer; absent when a status proved the acceptance. */
  response?: unknown
}

/** What can happen to a command. */
export type SendEvent =
  | { type: 'send.requested'; at: string }
  | { type: 'send.attempted'; at: string; attempt: number }
  | { type: 'send.refused'; at: string; attempt: number; error: SendError; retryAt: string; isUncounted?: true }
  | { type: 'send.uncertain'; at: string; attempt: number; error: SendError }
  | { type: 'send.parked'; at: string; attempts: number; error: SendError; round?: Round }
  | { type: 'send.accepted'; at: string; receipt: Receipt }
  | { type: 'send.redriven'; at: string; letter: number; attempts: number }
  | { type: 'send.failed'; at: string; attempts: number; error: SendError; exhausted: boolean; round?: Round }

/**
 * How a refusal is to be treated: never again, once more at once, again after a while, or again as often as it takes,
 * because no message would have fared better (the channel cannot be reached, or does not accept the account).
 */
export type Retry = 'no' | 'once' | 'backoff' | 'uncounted'

export type SendDecision =
  /** About to call the channel. */
  | { type: 'Attempt'; at: string; policy: Policy }
  /** Cannot be sent as it is; the channel was not asked. */
  | { type: 'Reject'; at: string; error: SendError }
  | { type: 'RecordAccepted'; at: string; receipt: Receipt }
  | {
      type: 'RecordRefused'
      at: string
      attempt: number
      error: SendError
      retry: Retry
      delayMs: number
      policy: Policy
    }
  | { type: 'RecordUnknown'; at: string; attempt: number; error: SendError }
  /** Somebody took it out of the dead letters. `attempts`: as the letter says. `force`: also when it may have been sent. */
  | { type: 'Redrive'; at: string; letter: number; attempts: number; force: boolean }
  /** No status came in time, and it is not to be sent again. */
  | { type: 'Park'; at: string; policy: Policy }

export interface Policy {
  maxAttempts: number
  /** After this, an attempt whose outcome nobody has recorded will have no outcome. */
  attemptTimeoutMs: number
  onUncertain: 'resend' | 'park'
  /** How long a status may take to settle an unknown outcome. */
  uncertainGraceMs: number
  /** No attempt is begun from then on. */
  expiresAt?: string | undefined
}

export const initial: SendState = { status: 'none' }

export const EXPIRED: SendError = {
  code: 'EXPIRED',
  title: 'The command expired before it could be sent',
  action: 'Send it again with a later expires_at, or none.',
  fault: 'request',
}

/** An intent without an outcome: whoever had it in hand is gone. */
export const INTERRUPTED: SendError = {
  code: 'SEND_INTERRUPTED',
  title: 'The sender stopped between the call and its outcome',
}

export const decide = (decision: SendDecision, state: SendState): SendEvent[] => {
  const { at } = decision
  const requested: SendEvent[] = state.status === 'none' ? [{ type: 'send.requested', at }] : []
  switch (decision.type) {
    case 'Attempt': {
      const { policy } = decision
      if (state.status === 'attempting')
        return Date.parse(at) < attemptEndsAt(state.at, policy)
          ? [] // it may still be under way
          : [{ type: 'send.uncertain', at, attempt: state.attempts, error: INTERRUPTED }]
      if (!mayAttempt(state, Date.parse(at), policy)) return []
      const attempts = attemptsOf(state)
      if (isExpired(Date.parse(at), policy))
        return [
          ...requested,
          { type: 'send.failed', at, attempts, error: EXPIRED, exhausted: false, ...roundOf(state) },
        ]
      return [...requested, { type: 'send.attempted', at, attempt: attempts + 1 }]
    }
    case 'Reject':
      // Not from `uncertain` and `attempting`: what may be on its way has not failed.
      return state.status === 'none' || state.status === 'refused' || state.status === 'redriven'
        ? [
            ...requested,
            {
              type: 'send.failed',
              at,
              attempts: attemptsOf(state),
              error: decision.error,
              exhausted: false,
              ...roundOf(state),
            },
          ]
        : []
    case 'RecordAccepted':
      // A proof of acceptance counts whenever it comes: a status may tell of an attempt that we had given up.
      return state.status === 'none' || state.status === 'accepted'
        ? []
        : [{ type: 'send.accepted', at, receipt: decision.receipt }]
    case 'RecordRefused': {
      if (!isUnderWay(state, decision.attempt)) return [] // a late answer to a question already settled
      const { error, retry, delayMs, policy, attempt: attempts } = decision
      const inRound = attemptsInRound(state)
      if (retry === 'uncounted')
        return [{ type: 'send.refused', at, attempt: attempts, error, retryAt: plus(at, delayMs), isUncounted: true }]
      const again = retry === 'backoff' || (retry === 'once' && inRound === 1)
      if (again && inRound < policy.maxAttempts)
        return [{ type: 'send.refused', at, attempt: attempts, error, retryAt: plus(at, delayMs) }]
      return [{ type: 'send.failed', at, attempts, error, exhausted: again, ...roundOf(state) }]
    }
    case 'RecordUnknown':
      return isUnderWay(state, decision.attempt)
        ? [{ type: 'send.uncertain', at, attempt: decision.attempt, error: decision.error }]
        : []
    case 'Park':
      return state.status === 'uncertain' && Date.parse(at) >= graceEndsAt(state.at, decision.policy)
        ? [{ type: 'send.parked', at, attempts: state.attempts, error: state.error, ...roundOf(state) }]
        : []
    case 'Redrive': {
      const { letter } = decision
      // Forgotten by the ledger, or never in it: it was given up before anybody knew whose it is.
      if (state.status === 'none')
        return [...requested, { type: 'send.redriven', at, letter, attempts: decision.attempts }]
      const isOver = state.status === 'failed' || (state.status === 'parked' && decision.force)
      return isOver && !isDone(decision, state) ? [{ type: 'send.redriven', at, letter, attempts: state.attempts }] : []
    }
  }
}

export const evolve = (state: SendState, event: SendEvent): SendState => {
  const { at } = event
  const round = roundOf(state)
  const uncounted = uncountedOf(state)
  switch (event.type) {
    case 'send.requested':
      return state
    case 'send.attempted':
      return { status: 'attempting', attempts: event.attempt, at, ...round, ...(uncounted > 0 ? { uncounted } : {}) }
    case 'send.refused':
      return {
        status: 'refused',
        attempts: event.attempt,
        at,
        retryAt: event.retryAt,
        error: event.error,
        ...round,
        ...(event.isUncounted ? { uncounted: uncounted + 1 } : uncounted > 0 ? { uncounted } : {}),
      }
    case 'send.uncertain':
      return {
        status: 'uncertain',
        attempts: event.attempt,
        at,
        error: event.error,
        ...round,
        ...(uncounted > 0 ? { uncounted } : {}),
      }
    case 'send.parked':
      return { status: 'parked', attempts: event.attempts, at, error: event.error, ...round }
    case 'send.redriven':
      return {
        status: 'redriven',
        attempts: event.attempts,
        at,
        round: { letter: event.letter, before: event.attempts },
      }
    case 'send.accepted':
      return { status: 'accepted', attempts: attemptsOf(state), at, receipt: event.receipt, ...round }
    case 'send.failed':
      return {
        status: 'failed',
        attempts: event.attempts,
        at,
        error: event.error,
        exhausted: event.exhausted,
        ...round,
      }
  }
}

/** What whoever has a command in hand does next. Times are milliseconds since 1970. */
export type NextStep =
  | { step: 'attempt' }
  | { step: 'wait'; until: number }
  | { step: 'park' }
  /** It has ended; `parked`: without our ever knowing how. */
  | { step: 'end'; as: 'accepted' | 'failed' | 'exhausted' | 'parked' }

export const nextStep = (state: SendState, now: number, policy: Policy): NextStep => {
  switch (state.status) {
    case 'accepted':
      return { step: 'end', as: 'accepted' }
    case 'failed':
      return { step: 'end', as: state.exhausted ? 'exhausted' : 'failed' }
    case 'attempting': {
      const until = attemptEndsAt(state.at, policy)
      return now < until ? { step: 'wait', until } : { step: 'attempt' }
    }
    case 'uncertain': {
      // A status may still prove that it was sent, also of one that would not be sent again.
      const until = graceEndsAt(state.at, policy)
      if (now < until) return { step: 'wait', until }
      // What may have been sent already has not failed by expiring.
      return { step: isResent(state, policy) && !isExpired(now, policy) ? 'attempt' : 'park' }
    }
    case 'parked':
      return { step: 'end', as: 'parked' }
    case 'refused': {
      const until = Math.min(Date.parse(state.retryAt), expiresAt(policy))
      return now < until ? { step: 'wait', until } : { step: 'attempt' }
    }
    case 'none':
    case 'redriven':
      return { step: 'attempt' }
  }
}

/**
 * The facts that a state proves: told again by whoever takes a command over, as its predecessor may have written the
 * state and died before telling. Their ids are those of the first time.
 */
export const factsOf = (state: SendState): SendEvent[] => {
  switch (state.status) {
    case 'none':
      return []
    case 'attempting': {
      const { at, attempts } = state
      const attempted: SendEvent = { type: 'send.attempted', at, attempt: attempts }
      return attempts === 1 ? [{ type: 'send.requested', at }, attempted] : [attempted]
    }
    case 'refused': {
      const { at, attempts, error, retryAt } = state
      return [{ type: 'send.refused', at, attempt: attempts, error, retryAt }]
    }
    case 'uncertain':
      return [{ type: 'send.uncertain', at: state.at, attempt: state.attempts, error: state.error }]
    case 'parked':
      return [{ type: 'send.parked', at: state.at, attempts: state.attempts, error: state.error, ...roundOf(state) }]
    case 'redriven': {
      const { at, attempts, round } = state
      // With the request: it may have been told together with this, for the first time.
      return [
        { type: 'send.requested', at },
        { type: 'send.redriven', at, letter: round.letter, attempts },
      ]
    }
    case 'accepted':
      return [{ type: 'send.accepted', at: state.at, receipt: state.receipt }]
    case 'failed': {
      const { at, attempts, error, exhausted } = state
      const failed: SendEvent = { type: 'send.failed', at, attempts, error, exhausted, ...roundOf(state) }
      return attempts === 0 ? [{ type: 'send.requested', at }, failed] : [failed]
    }
  }
}

export const attemptsOf = (state: SendState): number => (state.status === 'none' ? 0 : state.attempts)

/** Attempts since the last redrive: those that count against the attempts allowed. */
export const attemptsInRound = (state: SendState): number =>
  state.status === 'none' ? 0 : state.attempts - (state.round?.before ?? 0) - uncountedOf(state)

/**
 * True when this redrive, or a later one, has begun its round already. False also for one that is refused: its dead
 * letter is still needed.
 */
export const isDone = ({ letter }: { letter: number }, state: SendState): boolean =>
  state.status !== 'none' && letter <= (state.round?.letter ?? 0)

const roundOf = (state: SendState): { round?: Round } =>
  state.status === 'none' || state.round === undefined ? {} : { round: state.round }

const uncountedOf = (state: SendState): number => ('uncounted' in state ? (state.uncounted ?? 0) : 0)

/** An answer to an earlier attempt says nothing about the one that is under way now. */
const isUnderWay = (state: SendState, attempt: number): boolean =>
  state.status === 'attempting' && state.attempts === attempt

const mayAttempt = (state: SendState, now: number, policy: Policy): boolean =>
  nextStep(state, now, policy).step === 'attempt'

const expiresAt = (policy: Policy): number =>
  policy.expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(policy.expiresAt)

const isExpired = (now: number, policy: Policy): boolean => expiresAt(policy) <= now

const isResent = (state: SendState, { onUncertain, maxAttempts }: Policy): boolean =>
  onUncertain === 'resend' && attemptsInRound(state) < maxAttempts

const attemptEndsAt = (startedAt: string, { attemptTimeoutMs }: Policy): number =>
  Date.parse(startedAt) + attemptTimeoutMs

const graceEndsAt = (uncertainSince: string, { uncertainGraceMs }: Policy): number =>
  Date.parse(uncertainSince) + uncertainGraceMs

const plus = (at: string, ms: number): string => new Date(Date.parse(at) + ms).toISOString()
