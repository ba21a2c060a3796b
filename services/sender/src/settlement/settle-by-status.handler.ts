import { CORRELATION_HEADER, decodeEvent, SETTLED_HEADER, subjects } from '@cloudapi2/contracts'
import { ack, type Delivery, KvConflict, later, type Outcome, type Publisher } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import type { Held, Ledger } from '../send-command/ledger.store.ts'
import { decide, evolve } from '../send-command/send-command.ts'
import type { AcceptedCommands } from './accepted-commands.ts'
import type { FindGivenUp } from './given-up.client.ts'

export interface SettlementDeps {
  ledger: Pick<Ledger, 'find' | 'write'>
  findGivenUp: FindGivenUp
  publisher: Pick<Publisher, 'publish'>
  /** Whose acceptance is known already: nearly every status is of one of those, and costs no look into the ledger. */
  accepted: AcceptedCommands
  log: Logger
  count: () => void
  now: () => number
  newId: () => string
}

/** Whoever parks a command writes its dead letter right after: it is looked for again after this. */
const LOOK_AGAIN_MS = 500
const LOOKS = 5
/** What an answer may take beyond the status that overtook it. */
const ANSWER_MS = 1_000

/**
 * A status that carries our id proves that the channel has the message, whatever we believed: a command whose outcome
 * was unknown is settled as sent. Who has it in hand finds that in the ledger; one that was given up already is taken
 * back from the dead letters and given to a worker once more, which tells the log of a message and calls nobody.
 * A `failed` with our id is a proof as well: only what was accepted gets a status.
 */
export const settleByStatus =
  (deps: SettlementDeps): ((delivery: Delivery) => Promise<Outcome>) =>
  async (delivery) => {
    const { ledger, accepted, log } = deps
    const event = decodeEvent(delivery.data)
    if (event.type !== 'status.updated') return ack
    const { companyid: companyId, data } = event
    const commandId = data.command_id
    if (commandId === undefined || accepted.has(companyId, commandId)) return ack

    const held = await ledger.find(companyId, commandId)
    // Of another installation, or long forgotten; or nobody has attempted it.
    if (held === undefined || held.entry.state.status === 'none') return ack
    const before = held.entry.state
    const isFirstLook = delivery.deliveryCount === 1
    // Settled by a status it has no answer of the channel, and what follows may have been interrupted.
    if (before.status === 'accepted' && (isFirstLook || before.receipt.response !== undefined)) {
      accepted.add(companyId, commandId)
      return ack
    }
    // The call may be under way, and its own answer says more: a sender that died in it leaves this state as it is.
    if (before.status === 'attempting' && delivery.deliveryCount < LOOKS)
      return later(ANSWER_MS, 'the answer of the channel may still come')
    if (before.status !== 'accepted') {
      const settled = await settle(held, data.message_id)
      if (!settled) return later(LOOK_AGAIN_MS, 'somebody else changed the command')
      deps.count()
      log.info({
        event: 'send.settled_by_status',
        company_id: companyId,
        command_id: commandId,
        message_id: data.message_id,
        was: before.status,
      })
    }
    const isGivenUp = before.status === 'parked' || before.status === 'failed' || before.status === 'accepted'
    if (isGivenUp && !(await giveBack(companyId, commandId, Date.parse(before.at)))) {
      // Parked, and its dead letter not stored yet; or there is none because it was told meanwhile.
      if (delivery.deliveryCount < LOOKS) return later(LOOK_AGAIN_MS, 'the dead letter is not there yet')
      log.warn({ event: 'send.settled_without_letter', company_id: companyId, command_id: commandId })
    }
    accepted.add(companyId, commandId)
    return ack

    async function settle({ entry, revision }: Held, messageId: string): Promise<boolean> {
      const { contact, chat_id } = data
      const phone = contact?.phone ?? (chat_id !== undefined && /^\d+$/.test(chat_id) ? chat_id : undefined)
      const events = decide(
        {
          type: 'RecordAccepted',
          at: new Date(deps.now()).toISOString(),
          receipt: {
            messageId,
            contact: {
              ...(phone === undefined ? {} : { phone }),
              ...(contact?.user_id === undefined ? {} : { user_id: contact.user_id }),
            },
          },
        },
        entry.state,
      )
      if (events.length === 0) return true
      try {
        await ledger.write({ ...entry, state: events.reduce(evolve, entry.state), written_by: deps.newId() }, revision)
        return true
      } catch (error) {
        if (error instanceof KvConflict) return false
        throw error
      }
    }

    async function giveBack(company: string, command: string, since: number): Promise<boolean> {
      // A settlement that is repeated no longer knows since when: all are looked through.
      const letter = await deps.findGivenUp(company, command, new Date(isFirstLook ? since : 0))
      if (letter === undefined) return false
      await deps.publisher.publish({
        subject: subjects.sendCommand(company, event.channel),
        msgId: `${command}.settled.${company}`,
        data: letter.body,
        headers: { [SETTLED_HEADER]: data.message_id, [CORRELATION_HEADER]: command },
      })
      await letter.remove()
      return true
    }
  }
