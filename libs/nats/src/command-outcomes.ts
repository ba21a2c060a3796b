import { SendOutcome } from '@cloudapi2/contracts'
import type { Nats } from './connection.ts'

export interface ExpectedOutcome {
  /** Goes into the command's `Reply-To`. */
  replyTo: string
  /** Resolves with the first answer; never rejects, and never resolves when none comes. */
  outcome: Promise<SendOutcome>
  forget: () => void
}

export interface CommandOutcomes {
  expect: () => ExpectedOutcome
  stop: () => void
}

/** Outcomes of commands, told apart by the end of the subject they come on: one subscription for all. */
export const createCommandOutcomes = (nats: Nats): CommandOutcomes => {
  const inbox = nats.newInbox()
  const waiting = new Map<string, (outcome: SendOutcome) => void>()
  let count = 0
  const stop = nats.subscribe(`${inbox}.*`, ({ subject, data }) => {
    const outcome = outcomeIn(data)
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

const outcomeIn = (data: Uint8Array): SendOutcome | undefined => {
  try {
    return SendOutcome.safeParse(JSON.parse(new TextDecoder().decode(data))).data
  } catch {
    return undefined // not of the sender's making: a broken answer is as good as none
  }
}
