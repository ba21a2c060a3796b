import type { SendOutcome } from '@cloudapi2/contracts'
import type { Nats } from '@cloudapi2/nats'
import { parseOutcome } from './answers.ts'

export interface Expected {
  /** Goes into the command's `Reply-To`. */
  replyTo: string
  /** Resolves with the outcome; never rejects, and never resolves when none comes. */
  outcome: Promise<SendOutcome>
  forget: () => void
}

export interface Outcomes {
  expect: () => Expected
  stop: () => void
}

/** Outcomes of commands, told apart by the end of the subject they come on: one subscription for all. */
export const createOutcomes = (nats: Nats): Outcomes => {
  const inbox = nats.newInbox()
  const waiting = new Map<string, (outcome: SendOutcome) => void>()
  let count = 0
  const stop = nats.subscribe(`${inbox}.*`, ({ subject, data }) => {
    const outcome = parseOutcome(data)
    if (outcome !== undefined) waiting.get(subject.slice(inbox.length + 1))?.(outcome)
  })
  return {
    stop,
    expect: () => {
      const token = (count++).toString(36)
      const outcome = new Promise<SendOutcome>((resolve) => void waiting.set(token, resolve))
      return { replyTo: `${inbox}.${token}`, outcome, forget: () => void waiting.delete(token) }
    },
  }
}
