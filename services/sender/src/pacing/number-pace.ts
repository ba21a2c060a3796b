import {
  afterCall,
  type Gate,
  type GateOptions,
  openGate,
  passesFrom,
  probeUnused,
  probing,
  type Sign,
} from './gate.ts'
import { createHeap } from './heap.ts'
import { type FullAt, freeAt, givenBack, type MeterLimit, taken } from './meter.ts'
import { calm, shareAt, type Throttle, type ThrottleOptions, throttled } from './throttle.ts'

/** What a call said of more than its own message. */
export type CallSign =
  | { kind: Sign }
  /** The number sends too much. */
  | { kind: 'number-limit'; retryAfterMs?: number | undefined }
  /** The number sends too much to this recipient. */
  | { kind: 'recipient-limit'; retryAfterMs?: number | undefined }

export type Priority = 'high' | 'normal'

/** Somebody who waits for its turn. */
export interface Ticket {
  readonly recipient: Recipient
  readonly priority: Priority
  readonly order: number
  /** Waits no longer than this. */
  readonly expiresAt: number
  before: Ticket | undefined
  after: Ticket | undefined
  isWaiting: boolean
}

/** A turn that was given. */
export interface Grant {
  readonly ticket: Ticket
  readonly at: number
  readonly isProbe: boolean
  readonly limit: MeterLimit
  isOver: boolean
}

type Line = { first: Ticket | undefined; last: Ticket | undefined }

/** Somebody who is sent to. */
export interface Recipient {
  readonly chatId: string
  readonly high: Line
  readonly normal: Line
  inFlight: number
  fullAt: FullAt
  /** When its full bucket was first taken from, until the first of those calls was answered. */
  begunAt: number | undefined
  /** Refusals of the pair in a row. */
  refusals: number
  refusedAt: number
  waitsUntil: number
  forgetAt: number
}

export interface NumberPaceOptions {
  throttle: ThrottleOptions
  gate: GateOptions
  /** Calls of one number at the same time, by its rate. */
  maxInFlight: (messagesPerSecond: number) => number
}

/** What there is to do now. */
export interface Due {
  grants: Grant[]
  /** They have waited as long as they could. */
  expired: Ticket[]
  /** When to look again at the latest, if nothing happens before; undefined when nobody waits for a time. */
  lookAt: number | undefined
  /** Another turn could be given, but there was no room. */
  isHeldUp: boolean
}

/** What follows from a call for the command it was made for. */
export interface Verdict {
  /** How long all those that it concerns have to wait. */
  waitMs: number
  wasProbe: boolean
}

/**
 * The pace of one number. Pure: the caller has the clock and hands in the time, in milliseconds, which never runs
 * backwards. All it does costs O(log n) of those who wait and of the recipients not yet rested.
 */
export interface NumberPace {
  /** Asks for a turn; `due` gives it. */
  ask: (request: { chatId: string; priority: Priority; expiresAt: number }, now: number) => Ticket
  /** Waits no more. Nothing happens to one that has had its turn. */
  withdraw: (ticket: Ticket, now: number) => void
  /** @param room how many turns may be given at most */
  due: (now: number, room: number) => Due
  /** The call was made, and says something. Before `end`. */
  report: (grant: Grant, sign: CallSign, now: number, random: number) => Verdict
  /** The turn is over. Without a report no call was made, and it counts for nothing. */
  end: (grant: Grant, now: number) => void
  /** A message came in: it counts as well. */
  countInbound: (now: number) => void
  setRate: (messagesPerSecond: number) => void
  gate: () => Gate
  /** Lets go what a refused account holds: it is another one now. */
  reopen: () => void
  throttle: () => Throttle
  waiting: () => number
  /**
   * Drops recipients that have rested. True when nothing is left that would have to be remembered; of a shut gate, when
   * nobody has wanted to pass for long: somebody else may work on this number now, and know better.
   */
  forget: (now: number) => boolean
  /** For its memory. */
  recipients: () => number
}

/**
 * Of the rate, so much steadily and the rest at once: no second, wherever it begins, has more than the whole of it. How
 * the channel counts is not documented; messages also bunch together on their way.
 */
const STEADY_SHARE = 0.95

/** Reference: 1 message per 6 seconds to one person, 45 at once when nothing was sent before. */
const PAIR: MeterLimit = { intervalMs: 6_000, burst: 45 }
/** What 45 messages at once have borrowed. */
const PAIR_DEBT_MS = PAIR.intervalMs * PAIR.burst
/** After the n-th refusal of a pair in a row: 4^n seconds; after an hour the longest loan is paid back many times. */
const PAIR_WAIT_BASE = 4
const PAIR_WAIT_CAP_MS = 3_600_000

/** A number flooded from outside sends again at the latest so long after the flood. */
const INBOUND_DEBT_MS = 1_000

export const limitOf = (messagesPerSecond: number, share: number): MeterLimit => ({
  intervalMs: 1_000 / (messagesPerSecond * STEADY_SHARE * share),
  burst: Math.max(1, Math.floor(messagesPerSecond * (1 - STEADY_SHARE) * share)),
})

export const createNumberPace = (messagesPerSecond: number, options: NumberPaceOptions): NumberPace => {
  let rate = messagesPerSecond
  let fullAt: FullAt = 0
  let throttle = calm
  let gate: Gate = openGate
  let inFlight = 0
  let waiting = 0
  let asked = 0

  const recipients = new Map<string, Recipient>()
  const isBefore = (a: Ticket, b: Ticket): boolean =>
    a.priority === b.priority ? a.order < b.order : a.priority === 'high'
  /** Recipients to whom somebody wants to send, and may. */
  const ready = createHeap<Recipient>((a, b) => isBefore(headOf(a) as Ticket, headOf(b) as Ticket))
  /** Recipients to whom somebody wants to send, and may not yet. */
  const restrained = createHeap<Recipient>((a, b) => mayFrom(a) < mayFrom(b))
  /** Recipients to whom nobody wants to send; remembered for what was sent. */
  const resting = createHeap<Recipient>((a, b) => a.forgetAt < b.forgetAt)
  const expiring = createHeap<Ticket>((a, b) => a.expiresAt < b.expiresAt)

  const mayFrom = ({ fullAt: pairFullAt, waitsUntil }: Recipient): number =>
    Math.max(freeAt(pairFullAt, PAIR), waitsUntil)

  /** Puts a recipient where it belongs after anything about it has changed. */
  const place = (recipient: Recipient, now: number) => {
    const isAsked = headOf(recipient) !== undefined
    const isReady = isAsked && mayFrom(recipient) <= now
    const isResting = !isAsked && recipient.inFlight === 0
    recipient.forgetAt = Math.max(
      recipient.fullAt,
      recipient.refusals > 0 ? recipient.waitsUntil + PAIR_DEBT_MS : recipient.waitsUntil,
    )
    for (const [heap, belongs] of [
      [ready, isReady],
      [restrained, isAsked && !isReady],
      [resting, isResting],
    ] as const) {
      if (belongs) heap.put(recipient)
      else heap.remove(recipient)
    }
  }

  const recipientOf = (chatId: string): Recipient => {
    const known = recipients.get(chatId)
    if (known !== undefined) return known
    const recipient: Recipient = {
      chatId,
      high: { first: undefined, last: undefined },
      normal: { first: undefined, last: undefined },
      inFlight: 0,
      fullAt: 0,
      begunAt: undefined,
      refusals: 0,
      refusedAt: Number.NEGATIVE_INFINITY,
      waitsUntil: 0,
      forgetAt: 0,
    }
    recipients.set(chatId, recipient)
    return recipient
  }

  const leave = (ticket: Ticket) => {
    unlink(ticket)
    ticket.isWaiting = false
    expiring.remove(ticket)
    waiting--
  }

  const dropRested = (now: number) => {
    for (let oldest = resting.first(); oldest !== undefined && oldest.forgetAt <= now; oldest = resting.first()) {
      resting.remove(oldest)
      recipients.delete(oldest.chatId)
    }
  }

  const limit = (now: number) => limitOf(rate, shareAt(throttle, now))

  /** When the number as a whole may send; Infinity: not before something else has happened. */
  const numberFrom = (now: number): number =>
    inFlight >= options.maxInFlight(rate)
      ? Number.POSITIVE_INFINITY
      : Math.max(freeAt(fullAt, limit(now)), throttle.until, passesFrom(gate))

  const grant = (recipient: Recipient, now: number): Grant => {
    const ticket = headOf(recipient) as Ticket
    leave(ticket)
    const isProbe = gate.state === 'shut'
    gate = probing(gate)
    const current = limit(now)
    fullAt = taken(fullAt, now, current)
    inFlight++
    if (recipient.fullAt <= now) recipient.begunAt = now
    recipient.fullAt = taken(recipient.fullAt, now, PAIR)
    recipient.inFlight++
    place(recipient, now)
    return { ticket, at: now, isProbe, limit: current, isOver: false }
  }

  const refusePair = (recipient: Recipient, startedAt: number, now: number, retryAfterMs: number): void => {
    // Of calls made together, one refusal says what all say.
    if (startedAt > recipient.refusedAt) {
      recipient.refusals++
      recipient.refusedAt = now
    }
    const waitMs = Math.min(PAIR_WAIT_CAP_MS, 1_000 * PAIR_WAIT_BASE ** recipient.refusals)
    recipient.waitsUntil = Math.max(recipient.waitsUntil, recipient.refusedAt + waitMs, now + retryAfterMs)
    // Somebody else has used up the loan: afterwards it is one at a time.
    recipient.fullAt = Math.max(recipient.fullAt, recipient.waitsUntil + PAIR_DEBT_MS - PAIR.intervalMs)
  }

  return {
    ask: ({ chatId, priority, expiresAt }, now) => {
      const recipient = recipientOf(chatId)
      const line = recipient[priority]
      const ticket: Ticket = {
        recipient,
        priority,
        order: asked++,
        expiresAt,
        before: line.last,
        after: undefined,
        isWaiting: true,
      }
      if (line.last === undefined) line.first = ticket
      else line.last.after = ticket
      line.last = ticket
      waiting++
      if (expiresAt !== Number.POSITIVE_INFINITY) expiring.put(ticket)
      place(recipient, now)
      return ticket
    },

    withdraw: (ticket, now) => {
      if (!ticket.isWaiting) return
      leave(ticket)
      place(ticket.recipient, now)
    },

    due: (now, room) => {
      const grants: Grant[] = []
      const expired: Ticket[] = []
      for (let next = expiring.first(); next !== undefined && next.expiresAt <= now; next = expiring.first()) {
        leave(next)
        place(next.recipient, now)
        expired.push(next)
      }
      for (let next = restrained.first(); next !== undefined && mayFrom(next) <= now; next = restrained.first())
        place(next, now)
      while (grants.length < room && numberFrom(now) <= now) {
        const next = ready.first()
        if (next === undefined) break
        grants.push(grant(next, now))
      }
      dropRested(now)

      const sendAt = numberFrom(now)
      const isReady = ready.first() !== undefined
      const isHeldUp = isReady && sendAt <= now
      const nextRecipient = restrained.first()
      const mayAt = isReady
        ? isHeldUp
          ? Number.POSITIVE_INFINITY
          : sendAt
        : nextRecipient === undefined
          ? Number.POSITIVE_INFINITY
          : Math.max(sendAt, mayFrom(nextRecipient))
      const lookAt = Math.min(mayAt, expiring.first()?.expiresAt ?? Number.POSITIVE_INFINITY)
      return { grants, expired, isHeldUp, lookAt: lookAt === Number.POSITIVE_INFINITY ? undefined : lookAt }
    },

    report: (granted, sign, now, random) => {
      const { recipient } = granted.ticket
      const { isProbe, at: startedAt } = granted
      if (granted.isOver) return { waitMs: 0, wasProbe: isProbe }
      granted.isOver = true
      // The channel counts when a call arrives: what was taken from a full bucket, it saw at the latest now.
      if (recipient.begunAt !== undefined) {
        recipient.fullAt += now - recipient.begunAt
        recipient.begunAt = undefined
      }
      const said: Sign = sign.kind === 'number-limit' || sign.kind === 'recipient-limit' ? 'works' : sign.kind
      gate = afterCall(gate, said, { isProbe, startedAt, now, random }, options.gate)
      let waitMs = 0
      switch (sign.kind) {
        case 'number-limit':
          throttle = throttled(throttle, { startedAt, now, retryAfterMs: sign.retryAfterMs, random }, options.throttle)
          waitMs = throttle.until - now
          break
        case 'recipient-limit':
          refusePair(recipient, startedAt, now, sign.retryAfterMs ?? 0)
          waitMs = recipient.waitsUntil - now
          break
        case 'works':
          if (startedAt > recipient.refusedAt) recipient.refusals = 0
          break
        case 'broken':
        case 'account-refused':
          break
      }
      place(recipient, now)
      return { waitMs: Math.max(0, Math.ceil(waitMs)), wasProbe: isProbe }
    },

    end: (granted, now) => {
      const { recipient } = granted.ticket
      inFlight--
      recipient.inFlight--
      if (!granted.isOver) {
        granted.isOver = true
        fullAt = givenBack(fullAt, granted.limit)
        recipient.fullAt = givenBack(recipient.fullAt, PAIR)
        if (granted.isProbe) gate = probeUnused(gate)
      }
      if (recipient.inFlight === 0) recipient.begunAt = undefined
      place(recipient, now)
    },

    countInbound: (now) => {
      const current = limit(now)
      fullAt = Math.min(taken(fullAt, now, current), now + (current.burst - 1) * current.intervalMs + INBOUND_DEBT_MS)
    },
    setRate: (next) => {
      rate = next
    },
    gate: () => gate,
    reopen: () => {
      gate = openGate
    },
    throttle: () => throttle,
    waiting: () => waiting,
    forget: (now) => {
      dropRested(now)
      return (
        recipients.size === 0 &&
        inFlight === 0 &&
        fullAt <= now &&
        shareAt(throttle, now) === 1 &&
        throttle.until <= now &&
        (gate.state === 'open' || (waiting === 0 && gate.probeAt + options.gate.pauseProbeMs <= now))
      )
    },
    recipients: () => recipients.size,
  }
}

const headOf = ({ high, normal }: Recipient): Ticket | undefined => high.first ?? normal.first

const unlink = (ticket: Ticket) => {
  const { recipient, priority, before, after } = ticket
  const line = recipient[priority]
  if (before === undefined) line.first = after
  else before.after = after
  if (after === undefined) line.last = before
  else after.before = before
  ticket.before = undefined
  ticket.after = undefined
}
