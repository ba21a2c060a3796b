import { createHash } from 'node:crypto'
import { canonicalJson, type SendCommand } from '@cloudapi2/contracts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The part of a ledger key that the command id alone decides: the id itself may hold characters a key may not. */
export const ledgerPrefix = (commandId: string): string => sha256(commandId).slice(0, 32)

/** The name of a command in the ledger: two companies may use the same id for different commands. */
export const ledgerKey = (companyId: string, commandId: string): string => `${ledgerPrefix(commandId)}.${companyId}`

/**
 * Where it is kept to whom a command without a company was attributed. The answer may change from one delivery to the
 * next, the command must not: it would be sent twice. The fingerprint keeps apart what two companies' senders happen to
 * call by the same id.
 */
export const attributionKey = (command: SendCommand): string =>
  `${ledgerPrefix(command.id)}.attribution.${fingerprintOf(command).slice(0, 32)}`

/**
 * What makes a repeat the same command: everything that was asked for, but not the company (the key names it), nor who
 * asked and when.
 */
export const fingerprintOf = ({ channel, phone_number_id, to, message, metadata, priority, expires_at }: SendCommand) =>
  sha256(canonicalJson({ channel, phone_number_id, to, message, metadata, priority, expires_at }))
