import {
  InvalidCommand,
  MAX_COMMAND_BYTES,
  NO_COMPANY,
  parseSendCommand,
  type SendCommand,
  type SendCommandInput,
  subjects,
} from '@cloudapi2/contracts'
import type { Publication } from '@cloudapi2/nats'

/** A command as a caller writes it: what has a default may be left out, the id and the channel too. */
export type Send = Omit<SendCommandInput, 'id' | 'channel'> & Partial<Pick<SendCommandInput, 'id' | 'channel'>>

/** What the caller does not write itself. */
export interface Defaults {
  id: string
  requestedAt: string
  requestedBy: string
}

/** @throws InvalidCommand naming every field that is wrong */
export const commandOf = (send: Send, { id, requestedAt, requestedBy }: Defaults): SendCommand =>
  parseSendCommand({
    ...send,
    id: send.id ?? id,
    channel: send.channel ?? 'whatsapp',
    requested_at: send.requested_at ?? requestedAt,
    requested_by: send.requested_by ?? requestedBy,
  })

/**
 * The message that carries a command. The company stands in front of its `Nats-Msg-Id`, because the stream looks at
 * nothing else, and two companies may use one id (docs/adr/0009).
 *
 * @throws InvalidCommand when it is larger than the gateway takes
 */
export const publicationOf = (command: SendCommand, headers: Record<string, string>): Publication => {
  const data = Buffer.from(JSON.stringify(command))
  if (data.length > MAX_COMMAND_BYTES)
    throw new InvalidCommand([{ path: 'body', message: `expected at most ${MAX_COMMAND_BYTES} bytes` }])
  const company = command.company_id ?? NO_COMPANY
  return {
    subject: subjects.sendCommand(company, command.channel),
    msgId: `${company}:${command.id}`,
    data,
    headers,
  }
}

const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** True for a `traceparent` of W3C Trace Context, level 1. */
export const isTraceparent = (text: string): boolean => TRACEPARENT.test(text)
