import type { DeadLetters } from '@cloudapi2/nats'

/** A command that was given up, as it lies among the dead letters. */
export interface GivenUp {
  body: Uint8Array
  remove: () => Promise<unknown>
}

/** The dead letter of a command, not older than `since`; undefined when there is none (any more, or yet). */
export type FindGivenUp = (companyId: string, commandId: string, since: Date) => Promise<GivenUp | undefined>

/** Letters that lie there for another reason than the end of the command itself: another content under its id. */
const OF_OTHERS: readonly string[] = ['IDEMPOTENCY_KEY_REUSED', 'INVALID_COMMAND']

/** Clocks of this process and of the server may differ. */
const SLACK_MS = 10_000

export const givenUpCommands =
  (letters: Pick<DeadLetters, 'page' | 'remove'>): FindGivenUp =>
  async (companyId, commandId, since) => {
    const filter = {
      service: 'sender',
      companyId,
      commandId,
      since: new Date(Math.max(0, since.getTime() - SLACK_MS)),
    }
    let cursor: number | undefined
    do {
      const page = await letters.page({ ...filter, order: 'oldest', limit: 10, cursor })
      const letter = page.letters.find(({ code }) => !OF_OTHERS.includes(code))
      if (letter !== undefined) return { body: letter.body, remove: () => letters.remove(letter.id) }
      cursor = page.next
    } while (cursor !== undefined)
    return undefined
  }
