import {
  ANSWER_IF_PAUSED_HEADER,
  CORRELATION_HEADER,
  REPLY_TO_HEADER,
  type SendCommand,
  type SendOutcome,
  subjects,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import type { CommandOutcomes, Publisher } from '@cloudapi2/nats'
import type { TenantDirectory } from '@cloudapi2/tenants'
import { fingerprintOf, ledgerKey } from '../send-command/command-name.ts'
import type { Ledger } from '../send-command/ledger.store.ts'
import { outcomeOf } from '../send-command/outcome-of.ts'
import type { Pause } from '../send-command/persistence.ts'
import { initial, type Policy } from '../send-command/send-command.ts'
import { settledOutcome } from './answers.ts'

/** How often the ledger is asked for a command that somebody else sent before us: its outcome goes to them. */
const ASK_EVERY_MS = 250

export type Submitted =
  | { kind: 'reused' }
  /** `isReplayed`: this command was there before. */
  | { kind: 'outcome'; outcome: SendOutcome; isReplayed: boolean }

/** @throws what says that the command was not accepted: the ledger or the stream could not be reached */
export type SubmitCommand = (
  command: SendCommand & { company_id: string },
  options: { waitMs: number; traceparent: string },
) => Promise<Submitted>

/**
 * Hands a command to the stream, as any other service would, and waits for its outcome. The name is taken in the ledger
 * first: of two requests with one name, however close, exactly one is the first.
 */
export const submitCommand =
  (deps: {
    ledger: Ledger
    publisher: Pick<Publisher, 'publish'>
    outcomes: CommandOutcomes
    tenants: Pick<TenantDirectory, 'get'>
    policy: Pick<Policy, 'maxAttempts' | 'attemptTimeoutMs' | 'uncertainGraceMs'>
    now: () => number
    pause: Pause
    /** Aborts when the service is about to go: whoever still waits is told that its command stands in the queue. */
    leaving: AbortSignal
  }): SubmitCommand =>
  async (command, { waitMs, traceparent }) => {
    const { ledger, publisher, outcomes, tenants, now, pause, leaving } = deps
    const { id, company_id: companyId } = command
    const policy: Policy = {
      ...deps.policy,
      onUncertain: tenants.get(companyId)?.onUncertain ?? 'park',
      expiresAt: command.expires_at,
    }
    const fingerprint = fingerprintOf(command)
    const held = await ledger.reserve({
      command_id: id,
      company_id: companyId,
      ...(command.phone_number_id === undefined ? {} : { phone_number_id: command.phone_number_id }),
      fingerprint,
      state: initial,
      written_by: traceparent,
    })
    if (held.entry.fingerprint !== fingerprint) return { kind: 'reused' }
    const isReplayed = !held.isNew
    const settled = settledOutcome(held.entry, now(), policy)
    if (settled !== undefined) return { kind: 'outcome', outcome: settled, isReplayed }

    const expected = outcomes.expect()
    const over = new AbortController()
    const leave = () => over.abort()
    leaving.addEventListener('abort', leave, { once: true })
    try {
      // Nobody has worked on it: it may be a name that was taken by a request which never got as far as the stream.
      if (held.entry.state.status === 'none')
        await publisher.publish({
          subject: subjects.sendCommand(companyId, command.channel),
          // With the company, unlike the id of those who send over NATS: two companies may use the same one.
          msgId: ledgerKey(companyId, id),
          data: JSON.stringify(command),
          headers: {
            [REPLY_TO_HEADER]: expected.replyTo,
            [ANSWER_IF_PAUSED_HEADER]: '1',
            [TRACEPARENT_HEADER]: traceparent,
            [CORRELATION_HEADER]: id,
          },
        })
      const queued: SendOutcome = { status: 'queued', command_id: id }
      if (waitMs === 0) return { kind: 'outcome', outcome: queued, isReplayed }

      const ask = async () => (await ledger.find(companyId, id))?.entry
      const fromLedger = async (): Promise<SendOutcome> => {
        for (;;) {
          await pause(ASK_EVERY_MS, over.signal)
          const entry = await ask()
          const outcome = entry && settledOutcome(entry, now(), policy)
          if (outcome !== undefined) return outcome
        }
      }
      // The answer may have been lost on its way: the ledger has the last word.
      const atTheEnd = () =>
        ask().then(
          // One that waits for its next attempt says why.
          (entry) => (entry === undefined ? queued : outcomeOf(id, entry.state)),
          () => queued,
        )
      const patience = pause(waitMs, over.signal).then(atTheEnd, () => (leaving.aborted ? atTheEnd() : queued))
      const sources = [expected.outcome, patience, ...(isReplayed ? [fromLedger().catch(() => patience)] : [])]
      return { kind: 'outcome', outcome: await Promise.race(sources), isReplayed }
    } finally {
      leaving.removeEventListener('abort', leave)
      expected.forget()
      over.abort()
    }
  }
