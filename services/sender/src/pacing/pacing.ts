import type { SendError } from '@cloudapi2/contracts'
import type { Gate } from './gate.ts'
import {
  type CallSign,
  createNumberPace,
  type Due,
  type Grant,
  type NumberPace,
  type NumberPaceOptions,
  type Ticket,
} from './number-pace.ts'

/** What somebody who wants to call the channel says of the call. */
export interface TurnRequest {
  companyId: string
  phoneNumberId: string
  chatId: string
  priority: 'high' | 'normal'
  /** What the number may send and receive. */
  messagesPerSecond: number
  /** Milliseconds until waiting is of no use any more; undefined: never. */
  expiresInMs?: number | undefined
}

/** What came of a call. */
export type CallReport =
  | { kind: 'works' }
  | { kind: 'broken' }
  | { kind: 'number-limit'; retryAfterMs?: number | undefined }
  | { kind: 'recipient-limit'; retryAfterMs?: number | undefined }
  /** `token`: the credentials of the call; `cause`: names the call, for ever. */
  | { kind: 'account-refused'; error: SendError; token: string; cause: string }

export interface TurnVerdict {
  /** How long all that this concerns have to wait. */
  waitMs: number
  /** Whether it was the fault of the command, and not of a channel or an account known not to work. */
  isOwnFault: boolean
}

/** The right to call the channel, once, now. */
export interface Turn {
  /** The command's time ran out first: there is no right to call. */
  isExpired: boolean
  /** After the call. Whoever does not call does not report, and has used nothing up. */
  report: (report: CallReport) => TurnVerdict
  /** In any case, at the end. */
  release: () => void
}

/** A number whose account the channel does not accept. */
export interface NumberPause {
  companyId: string
  phoneNumberId: string
  error: SendError
  cause: string
}

/** What happened to a number. */
export type NumberChange =
  | ({ kind: 'paused' } & NumberPause)
  | ({ kind: 'resumed'; by: 'credentials' | 'probe' } & NumberPause)
  | { kind: 'down' | 'up'; companyId: string; phoneNumberId: string }
  | { kind: 'throttled'; companyId: string; phoneNumberId: string; stopMs: number; level: number }

export interface Pacing {
  /**
   * Resolves when it is one's turn, or when the request has expired. Rejects when the signal aborts. The numbers do not
   * wait for each other, nor the recipients of a number; of one number those with priority go first, else whoever asked
   * first.
   */
  take: (request: TurnRequest, signal: AbortSignal) => Promise<Turn>
  /** A message came in for the number: it counts as well. */
  countInbound: (number: { companyId: string; phoneNumberId: string; messagesPerSecond: number }) => void
  /** Lets go what is paused with other credentials than these; undefined: the company has none. */
  credentialsAre: (companyId: string, token: string | undefined) => void
  /** Why a number is paused; undefined when it is not. */
  pauseOf: (phoneNumberId: string) => SendError | undefined
  waiting: () => number
  inFlight: () => number
  /** Numbers that are remembered, those that are paused, and those whose channel is down. */
  numbers: () => { known: number; paused: number; down: number }
  stop: () => void
}

export interface PacingDeps {
  /** Milliseconds that never run backwards, and a way to be called later; it returns how to call that off. */
  clock: { now: () => number; after: (ms: number, run: () => void) => () => void }
  random: () => number
  /** Calls of all numbers at the same time. */
  maxInFlight: number
  pace: NumberPaceOptions
  onChange: (change: NumberChange) => void
}

interface Waiting {
  give: (turn: Turn) => void
}

/** One number, its timer, and what its pause is about. */
interface Numbered {
  companyId: string
  phoneNumberId: string
  pace: NumberPace
  callOff: () => void
  lookAt: number
  pause: (NumberPause & { token: string }) | undefined
}

/** How often numbers that have rested are forgotten. */
const FORGET_EVERY_MS = 60_000

/** More at a time make the answers of all later than they are worth: calls would run into their time-out. */
const MOST_IN_FLIGHT = 256

/**
 * A second's worth of calls of one number, so that a slow channel does not slow it down; never so many that the others
 * get none, or that this process cannot follow.
 */
export const inFlightByRate =
  (total: number) =>
  (messagesPerSecond: number): number =>
    Math.max(1, Math.min(Math.ceil(total / 2), MOST_IN_FLIGHT, Math.max(8, messagesPerSecond)))

/** The paces of all numbers, with a clock. */
export const createPacing = ({ clock, random, maxInFlight, pace, onChange }: PacingDeps): Pacing => {
  const numbers = new Map<string, Numbered>()
  const waiters = new Map<Ticket, Waiting>()
  /** Numbers that could send, had the others not taken all there is; whoever has waited longest first. */
  const heldUp = new Set<Numbered>()
  const paused = new Set<Numbered>()
  let inFlight = 0
  let isStopped = false

  const numberOf = ({
    companyId,
    phoneNumberId,
    messagesPerSecond,
  }: Pick<TurnRequest, 'companyId' | 'phoneNumberId' | 'messagesPerSecond'>): Numbered => {
    const known = numbers.get(phoneNumberId)
    if (known !== undefined) {
      known.pace.setRate(messagesPerSecond)
      known.companyId = companyId
      return known
    }
    const number: Numbered = {
      companyId,
      phoneNumberId,
      pace: createNumberPace(messagesPerSecond, pace),
      callOff: () => {},
      lookAt: Number.POSITIVE_INFINITY,
      pause: undefined,
    }
    numbers.set(phoneNumberId, number)
    return number
  }

  const lookAgain = (number: Numbered, at: number | undefined) => {
    if (at === number.lookAt) return
    number.callOff()
    number.lookAt = at ?? Number.POSITIVE_INFINITY
    number.callOff =
      at === undefined
        ? () => {}
        : clock.after(Math.max(1, Math.ceil(at - clock.now())), () => {
            number.lookAt = Number.POSITIVE_INFINITY
            give(number)
          })
  }

  /** Gives the turns that are due. `most`: to this number, so that the others get theirs. */
  const give = (number: Numbered, most = Number.POSITIVE_INFINITY) => {
    if (isStopped) return
    const due: Due = number.pace.due(clock.now(), Math.min(most, maxInFlight - inFlight))
    if (due.isHeldUp) heldUp.add(number)
    else heldUp.delete(number)
    lookAgain(number, due.lookAt)
    for (const ticket of due.expired) resolve(ticket, EXPIRED_TURN)
    inFlight += due.grants.length
    for (const grant of due.grants) resolve(grant.ticket, turnOf(number, grant))
  }

  const resolve = (ticket: Ticket, turn: Turn) => {
    const waiter = waiters.get(ticket)
    waiters.delete(ticket)
    waiter?.give(turn)
  }

  const giveToOthers = () => {
    while (inFlight < maxInFlight) {
      const [next] = heldUp
      if (next === undefined) return
      heldUp.delete(next) // and to the end of the line, if it could have more
      give(next, 1)
    }
  }

  const turnOf = (number: Numbered, grant: Grant): Turn => {
    let isOver = false
    return {
      isExpired: false,
      report: (report) => {
        const before = { gate: number.pace.gate(), throttle: number.pace.throttle() }
        const verdict = number.pace.report(grant, signOf(report), clock.now(), random())
        const after = number.pace.gate()
        tell(number, before.gate, after, report)
        const throttle = number.pace.throttle()
        if (throttle.toldAt !== before.throttle.toldAt)
          onChange({
            kind: 'throttled',
            companyId: number.companyId,
            phoneNumberId: number.phoneNumberId,
            stopMs: Math.round(throttle.until - clock.now()),
            level: throttle.level,
          })
        const isKnownNotToWork = report.kind === 'broken' && (verdict.wasProbe || before.gate.state === 'shut')
        return { waitMs: verdict.waitMs, isOwnFault: report.kind !== 'account-refused' && !isKnownNotToWork }
      },
      release: () => {
        if (isOver) return
        isOver = true
        inFlight--
        number.pace.end(grant, clock.now())
        // Those who could not send for want of this turn go first.
        if (heldUp.size > 0) heldUp.add(number)
        else give(number)
        giveToOthers()
      },
    }
  }

  const tell = (number: Numbered, before: Gate, after: Gate, report: CallReport) => {
    const { companyId, phoneNumberId } = number
    const was = before.state === 'open' ? 'open' : before.why
    const is = after.state === 'open' ? 'open' : after.why
    if (report.kind === 'account-refused' && is === 'paused') {
      const { error, cause, token } = report
      const isNew = number.pause === undefined
      // A probe with newer credentials found them refused as well: it is those that must change now.
      number.pause = isNew
        ? { companyId, phoneNumberId, error, cause, token }
        : { ...(number.pause as NumberPause), token }
      paused.add(number)
      if (isNew) onChange({ kind: 'paused', companyId, phoneNumberId, error, cause })
    }
    if (was === is) return
    if (was === 'paused') resumed(number, 'probe')
    if (was === 'down') onChange({ kind: 'up', companyId, phoneNumberId })
    if (is === 'down') onChange({ kind: 'down', companyId, phoneNumberId })
  }

  const resumed = (number: Numbered, by: 'credentials' | 'probe') => {
    if (number.pause === undefined) return
    const { companyId, phoneNumberId, error, cause } = number.pause
    number.pause = undefined
    paused.delete(number)
    onChange({ kind: 'resumed', by, companyId, phoneNumberId, error, cause })
  }

  let callOffForgetting = () => {}
  const forgetLater = () => {
    callOffForgetting = clock.after(FORGET_EVERY_MS, () => {
      for (const [id, number] of numbers)
        if (number.pace.forget(clock.now())) {
          number.callOff()
          numbers.delete(id)
          paused.delete(number)
        }
      forgetLater()
    })
  }
  forgetLater()

  return {
    take: (request, signal) => {
      if (signal.aborted) return Promise.reject(signal.reason)
      const number = numberOf(request)
      const now = clock.now()
      const ticket = number.pace.ask(
        {
          chatId: request.chatId,
          priority: request.priority,
          expiresAt: request.expiresInMs === undefined ? Number.POSITIVE_INFINITY : now + request.expiresInMs,
        },
        now,
      )
      return new Promise((resolveTurn, reject) => {
        const onAbort = () => {
          waiters.delete(ticket)
          number.pace.withdraw(ticket, clock.now())
          reject(signal.reason)
        }
        signal.addEventListener('abort', onAbort, { once: true })
        waiters.set(ticket, {
          give: (turn) => {
            signal.removeEventListener('abort', onAbort)
            resolveTurn(turn)
          },
        })
        give(number)
      })
    },
    countInbound: (number) => numberOf(number).pace.countInbound(clock.now()),
    credentialsAre: (companyId, token) => {
      for (const number of paused) {
        if (number.pause?.companyId !== companyId || number.pause.token === token) continue
        number.pace.reopen()
        resumed(number, 'credentials')
        give(number)
      }
    },
    pauseOf: (phoneNumberId) => numbers.get(phoneNumberId)?.pause?.error,
    waiting: () => waiters.size,
    inFlight: () => inFlight,
    numbers: () => {
      const counts = { known: numbers.size, paused: 0, down: 0 }
      for (const { pace: of } of numbers.values()) {
        const gate = of.gate()
        if (gate.state === 'shut') counts[gate.why]++
      }
      return counts
    },
    stop: () => {
      isStopped = true
      callOffForgetting()
      for (const number of numbers.values()) number.callOff()
    },
  }
}

const signOf = (report: CallReport): CallSign =>
  report.kind === 'account-refused' ? { kind: 'account-refused' } : report

const EXPIRED_TURN: Turn = {
  isExpired: true,
  report: () => ({ waitMs: 0, isOwnFault: true }),
  release: () => {},
}
