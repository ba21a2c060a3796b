import { z } from 'zod'
import type { Random } from './random.ts'

const Rate = z.number().min(0).max(1)

/** Rates are shares of the answers and webhooks, 0 to 1. */
export const FaultsSchema = z.strictObject({
  /** A webhook answered 200 is delivered once more. */
  duplicates: Rate.default(0),
  /** A webhook is held back by up to `reordering_ms`, so that later ones overtake it. */
  reordering: Rate.default(0),
  reordering_ms: z.number().int().min(0).default(500),
  /** An answer or a webhook is late by `delay_ms`. */
  delay: Rate.default(0),
  delay_ms: z.number().int().min(0).default(1_000),
  /** The Graph API answers 500 or 503 and has done nothing. */
  errors_5xx: Rate.default(0),
  /** The connection breaks before the answer. The Graph API has accepted the message in half of the cases. */
  resets: Rate.default(0),
  /** The answer never comes. The Graph API has accepted the message in half of the cases. */
  timeouts: Rate.default(0),
  /** Which side has the faults. */
  affects: z.array(z.enum(['graph', 'webhooks'])).default(['graph', 'webhooks']),
})
export type Faults = z.output<typeof FaultsSchema>

export type GraphFault = { delayMs: number; breaks?: '5xx' | 'reset' | 'timeout'; isDone: boolean }

/** What goes wrong with one answer of the Graph API. `isDone`: the request has its effect although it breaks. */
export const graphFault = (faults: Faults, random: Random): GraphFault => {
  if (!faults.affects.includes('graph')) return { delayMs: 0, isDone: true }
  const delayMs = random.next() < faults.delay ? faults.delay_ms : 0
  if (random.next() < faults.errors_5xx) return { delayMs, breaks: '5xx', isDone: false }
  if (random.next() < faults.resets) return { delayMs, breaks: 'reset', isDone: random.next() < 0.5 }
  if (random.next() < faults.timeouts) return { delayMs, breaks: 'timeout', isDone: random.next() < 0.5 }
  return { delayMs, isDone: true }
}

export type WebhookFault = { delayMs: number; isRepeated: boolean }

/** What goes wrong with one webhook as a whole. */
export const webhookFault = (faults: Faults, random: Random): WebhookFault => {
  if (!faults.affects.includes('webhooks')) return { delayMs: 0, isRepeated: false }
  const delayMs = random.next() < faults.delay ? faults.delay_ms : 0
  const overtakenMs = random.next() < faults.reordering ? Math.ceil(random.next() * faults.reordering_ms) : 0
  return { delayMs: delayMs + overtakenMs, isRepeated: random.next() < faults.duplicates }
}

/** What goes wrong with one delivery: the tenant got it, Meta does not know, and will deliver it again. */
export const isAnswerLost = (faults: Faults, random: Random): boolean =>
  faults.affects.includes('webhooks') && random.next() < faults.resets + faults.timeouts
