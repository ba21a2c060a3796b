import type { InvalidField, SendError, SendOutcome } from '@cloudapi2/contracts'
import { Problem } from '@cloudapi2/service-kit'
import type { LedgerEntry } from '../send-command/ledger-entry.ts'
import { outcomeOf } from '../send-command/outcome-of.ts'
import { nextStep, type Policy } from '../send-command/send-command.ts'

/** Codes of ours with a status of their own; the rest goes by whose fault it is. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  UNKNOWN_COMPANY: 404,
  PHONE_NUMBER_OF_ANOTHER_COMPANY: 403,
  CONVERSATIONS_UNAVAILABLE: 503,
  SEND_UNCERTAIN: 504,
}

const STATUS_OF_FAULT: Readonly<Record<string, number>> = {
  /** The command cannot be sent as it is: change it. */
  request: 422,
  /** The channel refuses the company, whatever the message: no change of the request would help. */
  account: 502,
  /** Too much for the channel even after all attempts. */
  throttled: 429,
  channel: 502,
}

/** What a caller may be told to wait for when the channel itself named no time. */
const RETRY_AFTER_SECONDS = '60'

/** A command that failed, as an answer: the channel's own code and words where it was the channel that refused. */
export const problemOf = (error: SendError, commandId: string | undefined, isReplayed = false): Problem => {
  const { code, title, details, action, fault, fields } = error
  const status = STATUS_OF_CODE[String(code)] ?? STATUS_OF_FAULT[String(fault)] ?? 502
  const isLater = status === 429 || status === 503
  return new Problem({
    status,
    code: String(code),
    title,
    ...(details === undefined ? {} : { detail: details }),
    headers: { ...(isLater ? { 'retry-after': RETRY_AFTER_SECONDS } : {}), ...replayed(isReplayed) },
    extensions: {
      // A number where the channel's is one, as in its own answers.
      code,
      ...(action === undefined ? {} : { action }),
      ...(fields === undefined ? {} : { fields }),
      ...(commandId === undefined ? {} : { command_id: commandId }),
    },
  })
}

export const invalidRequest = (fields: readonly InvalidField[]): Problem =>
  new Problem({
    status: 422,
    code: 'INVALID_REQUEST',
    title: 'The request is not valid',
    detail: fields.map(({ path, message }) => `${path}: ${message}`).join('; '),
    extensions: { fields },
  })

export const replayed = (isReplayed: boolean): Record<string, string> =>
  isReplayed ? { 'idempotency-replayed': 'true' } : {}

/** How a command that the ledger knows has ended; undefined while it has not. */
export const settledOutcome = (entry: LedgerEntry, now: number, policy: Policy): SendOutcome | undefined => {
  const next = nextStep(entry.state, now, policy)
  return next.step === 'end' ? outcomeOf(entry.command_id, entry.state) : undefined
}
