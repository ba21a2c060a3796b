import { COMMAND_SUBJECT_HEADER, subjects } from '@cloudapi2/contracts'
import { ack, type Delivery, type Outcome, type Publisher } from '@cloudapi2/nats'
import { readCommand } from '../send-command/read-command.ts'
import type { SenderLookup } from '../tenant-resolution/sender-lookup.handler.ts'

export interface IntakeDeps {
  lookup: SenderLookup
  publisher: Pick<Publisher, 'publish'>
  /** Works on what has no number: it is refused there, with all that belongs to it. */
  work: (delivery: Delivery) => Promise<Outcome>
  onQueued: (phoneNumberId: string) => void
}

/**
 * Passes each command on into the lane of the number that is to send it, whole, with its headers. Dying between the
 * two leaves it in both places; the ledger makes one command of them.
 */
export const intakeHandler =
  ({ lookup, publisher, work, onQueued }: IntakeDeps): ((delivery: Delivery) => Promise<Outcome>) =>
  async (delivery) => {
    const read = readCommand(delivery.subject, delivery.data)
    if (!read.ok) return work(delivery)
    const found = await lookup(read.command).catch(() => undefined)
    // Also when it cannot be told now: the worker knows how long to try.
    if (found?.kind !== 'found' || found.phoneNumberId === undefined) return work(delivery)
    const { priority } = read.command
    await publisher.publish({
      subject: subjects.laneCommand(found.phoneNumberId, priority),
      // Not the command's own id: within its window the stream would take this for a repeat of what lies in the intake.
      msgId: `lane:${delivery.sequence}`,
      data: delivery.data,
      headers: { ...withoutMsgId(delivery.headers()), [COMMAND_SUBJECT_HEADER]: delivery.subject },
    })
    onQueued(found.phoneNumberId)
    return ack
  }

const withoutMsgId = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.toLowerCase().startsWith('nats-')))
