import {
  CORRELATION_HEADER,
  GatewayError,
  InvalidCommand,
  isCompanyId,
  NO_COMPANY,
  parseSendCommand,
  parseSendSubject,
  REDRIVE_HEADER,
  type Redrive,
  type SendCommand,
  subjects,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import type { DeadLetter, DeadLetters } from './dead-letters.ts'
import type { Publication, Publisher } from './publisher.ts'
import { COMMANDS } from './topology.ts'

/** It can only end the same way again, or is no command at all; the message says what to do instead. */
export class DeadLetterNotRedrivable extends GatewayError {
  constructor(id: number, reason: string) {
    super(`dead letter ${id} cannot be redriven: ${reason}`, { code: 'DEAD_LETTER_NOT_REDRIVABLE', retryable: false })
  }
}

/** Nobody knows whether the message went out: a redrive may send it a second time, and must be forced. */
export class DeadLetterUncertain extends GatewayError {
  constructor(id: number) {
    super(
      `dead letter ${id} may have been delivered, nobody knows: look for the message at the recipient first, then force the redrive; it may send it twice`,
      { code: 'DEAD_LETTER_UNCERTAIN', retryable: false },
    )
  }
}

export interface RedriveOptions {
  /** Also when it may have been delivered. */
  force: boolean
  /** Milliseconds since 1970. */
  now: number
  /** W3C trace context to go on from. */
  traceparent?: string | undefined
}

/**
 * The command of a dead letter as it is to be published again: body and subject as they were, with a header that says
 * which dead letter this is, so that its worker attempts it anew and the same redrive twice is one.
 *
 * @throws DeadLetterNotRedrivable
 * @throws DeadLetterUncertain
 */
export const redrivePublication = (
  letter: DeadLetter,
  { force, now, traceparent }: RedriveOptions,
): Publication & { commandId: string } => {
  const { id, code, stream, sequence } = letter
  if (stream !== COMMANDS)
    throw new DeadLetterNotRedrivable(
      id,
      `it is an event, and still in the log (${stream}, sequence ${sequence}); mend the cause, then have it folded again as docs/operating.md says under "Dead letters"`,
    )
  const { command, subject } = commandOf(letter)
  if (code === 'IDEMPOTENCY_KEY_REUSED')
    throw new DeadLetterNotRedrivable(id, 'its id names another command already; send its content under a new id')
  if (command.expires_at !== undefined && Date.parse(command.expires_at) <= now)
    throw new DeadLetterNotRedrivable(id, 'it has expired; send it again with a later expires_at under a new id')
  if (code === 'SEND_UNCERTAIN' && !force) throw new DeadLetterUncertain(id)
  const redrive: Redrive = {
    dead_letter: id,
    attempts: Number.isSafeInteger(letter.attempts) ? letter.attempts : 0,
    force,
  }
  return {
    commandId: command.id,
    subject,
    msgId: `redrive:${id}`,
    data: letter.body,
    headers: {
      [REDRIVE_HEADER]: JSON.stringify(redrive),
      [CORRELATION_HEADER]: command.id,
      ...(traceparent === undefined ? {} : { [TRACEPARENT_HEADER]: traceparent }),
    },
  }
}

/**
 * Publishes the command of a dead letter again, and removes the letter once the stream has it. Safe to repeat after any
 * failure: a letter that is still there names the same redrive.
 *
 * @throws DeadLetterNotRedrivable, DeadLetterUncertain, PublishFailed, DeadLettersUnavailable
 */
export const redriveDeadLetter = async (
  { letters, publisher }: { letters: Pick<DeadLetters, 'remove'>; publisher: Pick<Publisher, 'publish'> },
  letter: DeadLetter,
  options: RedriveOptions,
): Promise<{ commandId: string; subject: string }> => {
  const { commandId, ...publication } = redrivePublication(letter, options)
  await publisher.publish(publication)
  await letters.remove(letter.id)
  return { commandId, subject: publication.subject }
}

const decoder = new TextDecoder()

/** The command and the subject it came on. What is not valid would only come back. */
const commandOf = (letter: DeadLetter): { command: SendCommand; subject: string } => {
  const refuse = (what: string): never => {
    throw new DeadLetterNotRedrivable(letter.id, `it is not a valid command (${what}); correct it and send it anew`)
  }
  let command: SendCommand
  try {
    command = parseSendCommand(JSON.parse(decoder.decode(letter.body)))
  } catch (error) {
    if (error instanceof InvalidCommand)
      return refuse(error.fields.map(({ path, message }) => `${path}: ${message}`).join('; '))
    return refuse('it is not JSON') // the parser's own words would quote it
  }
  const address = parseSendSubject(letter.subject)
  // Given up on one of the sender's own subjects: the one it came on follows from what it is.
  if (address === undefined && !letter.subject.startsWith('cmd.send.'))
    return {
      command,
      subject: subjects.sendCommand(letter.company_id ?? command.company_id ?? NO_COMPANY, command.channel),
    }
  const company = address?.company_id
  if (address === undefined || (company !== undefined && !isCompanyId(company)))
    return refuse('its subject is not cmd.send.<company_id or _>.<channel>')
  if (address.channel !== command.channel) return refuse("channel: expected the subject's")
  if (company !== undefined && command.company_id !== undefined && command.company_id !== company)
    return refuse("company_id: expected the subject's")
  return { command, subject: letter.subject }
}
