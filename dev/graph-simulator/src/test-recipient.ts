import type { Recipient } from './message-body.ts'
import type { Timing } from './timing.ts'

/** What the last four digits of a recipient make happen, like the card numbers of a payment sandbox. */
export const TEST_RECIPIENTS = {
  '0001': 'accepted, then failed with 131026',
  '0002': 'refused with 131047',
  '0003': 'refused twice with 130429, then accepted',
  '0004': 'accepted, but never answered: the connection is held, then reset',
  '0005': 'refused once with HTTP 500 (131000), then accepted',
  '0006': 'accepted; the read status arrives before the delivered one',
  '0007': 'accepted; every status arrives twice',
  '0008': 'accepted; the sent status arrives before the answer',
} as const

export type Suffix = keyof typeof TEST_RECIPIENTS | 'ordinary'

/** Looks at the digits of a phone, or at the end of a business-scoped user id; a group has no suffix. */
export const suffixOf = ({ kind, id }: Recipient): Suffix => {
  const end = id.slice(-4)
  return kind !== 'group' && end in TEST_RECIPIENTS ? (end as Suffix) : 'ordinary'
}

/**
 * Whether the n-th request of a message is still refused.
 *
 * @param nth counts from 1; a message is known by its callback data
 * @param isNamed false when the request carried no callback data: then all requests to the recipient are one sequence,
 *   which starts again after each acceptance
 */
export const refusalOfAttempt = (
  suffix: Suffix,
  nth: number,
  isNamed: boolean,
): 'throttled' | 'server_error' | undefined => {
  const refusals = suffix === '0003' ? 2 : suffix === '0005' ? 1 : 0
  const position = isNamed ? nth : ((nth - 1) % (refusals + 1)) + 1
  if (position > refusals) return undefined
  return suffix === '0003' ? 'throttled' : 'server_error'
}

/** One status webhook to come. Delays are in milliseconds from the acceptance. */
export interface StatusStep {
  status: 'sent' | 'delivered' | 'read' | 'failed'
  /** When it leaves for the tenant. */
  afterMs: number
  /** When it happened, as its timestamp tells: not the same thing when webhooks overtake each other. */
  happenedAfterMs: number
  copies: number
}

const step = (status: StatusStep['status'], afterMs: number, copies = 1, happenedAfterMs = afterMs): StatusStep => ({
  status,
  afterMs,
  happenedAfterMs,
  copies,
})

/** The statuses that follow an accepted message. A reaction is only ever `sent`. */
export const statusesToCome = (suffix: Suffix, type: string, timing: Timing): StatusStep[] => {
  const { sent_ms: sent, delivered_ms: delivered, read_ms: read } = timing
  if (suffix === '0001') return [step('failed', sent)]
  if (type === 'reaction') return [step('sent', sent)]
  if (suffix === '0006' && delivered !== null && read !== null) {
    const [first, second] = [Math.min(delivered, read), Math.max(delivered, read)]
    return [step('sent', sent), step('read', first, 1, second), step('delivered', second, 1, first)]
  }
  const copies = suffix === '0007' ? 2 : 1
  return [
    step('sent', suffix === '0008' ? 0 : sent, copies),
    ...(delivered === null ? [] : [step('delivered', delivered, copies)]),
    ...(read === null ? [] : [step('read', read, copies)]),
  ]
}
