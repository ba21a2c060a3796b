import { GatewayError, SendError } from '@cloudapi2/contracts'
import { z } from 'zod'
import type { SendState } from './send-command.ts'

/** What the ledger keeps of a command. No text, no recipient: those are in the command and in the log. */
export interface LedgerEntry {
  command_id: string
  company_id: string
  phone_number_id?: string
  /** Of the command as it first came: the same id with another one is another request. */
  fingerprint: string
  state: SendState
  /**
   * Sequence in COMMANDS of the copy of the command whose worker wrote this. That copy stays there until what follows
   * from the state is done, so it alone does it, however often it is delivered; every other copy is a repeat. Counts of
   * deliveries would not tell: they begin anew with a server whose consumers live in memory.
   */
  worked_as?: number
  /** Unique to each change, so that a writer whose confirmation was lost knows its own entry again. */
  written_by: string
}

const attempts = z.number().int().nonnegative()
const at = z.iso.datetime()
const Round = z.object({ letter: z.number().int().positive(), before: attempts })
const round = Round.optional()
const uncounted = attempts.optional()
const State = z.discriminatedUnion('status', [
  z.object({ status: z.literal('none') }),
  z.object({ status: z.literal('attempting'), attempts, at, round, uncounted }),
  z.object({ status: z.literal('refused'), attempts, at, retryAt: at, error: SendError, round, uncounted }),
  z.object({ status: z.literal('uncertain'), attempts, at, error: SendError, round, uncounted }),
  z.object({ status: z.literal('parked'), attempts, at, error: SendError, round }),
  z.object({ status: z.literal('redriven'), attempts, at, round: Round }),
  z.object({
    status: z.literal('accepted'),
    attempts,
    at,
    receipt: z.object({
      messageId: z.string(),
      read: z.object({ isTyping: z.boolean() }).optional(),
      contact: z.object({ phone: z.string().optional(), user_id: z.string().optional() }).optional(),
      response: z.unknown().optional(),
    }),
    round,
  }),
  z.object({ status: z.literal('failed'), attempts, at, error: SendError, exhausted: z.boolean(), round }),
])

const Entry = z.object({
  command_id: z.string(),
  company_id: z.string(),
  phone_number_id: z.string().optional(),
  fingerprint: z.string(),
  state: State,
  worked_as: z.number().int().positive().optional(),
  written_by: z.string(),
})

/** An entry that this version of the software cannot read: acting on it could send twice. */
export class UnreadableLedgerEntry extends GatewayError {
  constructor(cause: unknown) {
    super('the send ledger holds an entry that this version cannot read', {
      code: 'UNREADABLE_LEDGER_ENTRY',
      retryable: false,
      cause,
    })
  }
}

const decoder = new TextDecoder()

/** @throws UnreadableLedgerEntry */
export const decodeEntry = (bytes: Uint8Array): LedgerEntry => {
  try {
    return Entry.parse(JSON.parse(decoder.decode(bytes))) as LedgerEntry
  } catch (cause) {
    throw new UnreadableLedgerEntry(cause)
  }
}

export const encodeEntry = (entry: LedgerEntry): string => JSON.stringify(entry)
