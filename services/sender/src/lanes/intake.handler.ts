import { randomUUID } from 'node:crypto'
import {
  ANSWER_IF_PAUSED_HEADER,
  COMMAND_SUBJECT_HEADER,
  CORRELATION_HEADER,
  parseSendSubject,
  REDRIVE_HEADER,
  REPLY_TO_HEADER,
  SETTLED_HEADER,
  type SendCommand,
  subjects,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import { ack, type Delivery, later, MAX_DELIVERIES, type Outcome, type Publisher, type Request } from '@cloudapi2/nats'
import type { Pause } from '../send-command/persistence.ts'
import { readCommand } from '../send-command/read-command.ts'
import type { Found, SenderLookup } from '../tenant-resolution/sender-lookup.handler.ts'
import type { IntakePace } from './intake-pace.ts'

export interface IntakeDeps {
  lookup: SenderLookup
  publisher: Pick<Publisher, 'publish'>
  /** Works on what has no number: it is refused there, with all that belongs to it. */
  work: (delivery: Delivery) => Promise<Outcome>
  onQueued: (phoneNumberId: string) => void
  pace: IntakePace
  pause: Pause
  stopping: AbortSignal
}

export type Heard = Pick<Request, 'subject' | 'data' | 'header'>

export interface Intake {
  /** A command in the queue, in its turn. */
  handler: (delivery: Delivery) => Promise<Outcome>
  /** A command that has just been published, heard of before its turn. */
  overtake: (heard: Heard) => Promise<void>
}

/** Whatever a worker reads, of a command that is not given back to it. */
const HEADERS_OF_A_COMMAND = [REPLY_TO_HEADER, ANSWER_IF_PAUSED_HEADER, TRACEPARENT_HEADER, CORRELATION_HEADER]

/**
 * Passes each command on into the lane of the number that is to send it, whole, with its headers. Dying between the
 * two leaves it in both places; the ledger makes one command of them.
 *
 * What a busy number has waiting stays where it is until its lane can use it. That must hold up neither the same company's
 * other numbers nor what is urgent: these pass as soon as they are heard of, and what lies in the queue is then their
 * repeat.
 */
export const createIntake = ({ lookup, publisher, work, onQueued, pace, pause, stopping }: IntakeDeps): Intake => {
  const passOn = async (
    phoneNumberId: string,
    priority: SendCommand['priority'],
    { subject, data, headers }: { subject: string; data: Uint8Array; headers: Record<string, string> },
  ) => {
    await publisher.publish({
      subject: subjects.laneCommand(phoneNumberId, priority),
      // One that nobody else can have: within its window the stream drops what has an id that it knows, and neither the
      // command's own nor one that could be guessed must lose it.
      msgId: randomUUID(),
      data,
      headers: { ...headers, [COMMAND_SUBJECT_HEADER]: subject },
    })
    onQueued(phoneNumberId)
  }

  return {
    handler: async (delivery) => {
      const read = readCommand(delivery.subject, delivery.data)
      if (!read.ok) return work(delivery)
      const { command } = read
      let found: Found
      try {
        found = await lookup(command)
      } catch (error) {
        // Not to the worker before it must be refused: it could wait for its turn there, in the place of others' intake.
        if (delivery.deliveryCount < MAX_DELIVERIES) throw error
        return work(delivery)
      }
      if (found.kind !== 'found' || found.phoneNumberId === undefined) return work(delivery)
      // Under no company there are those of many: they would wait for each other.
      if (parseSendSubject(delivery.subject)?.company_id !== undefined && command.priority !== 'high') {
        const waitMs = pace.take(found.phoneNumberId)
        try {
          if (waitMs > 0) await pause(waitMs, stopping)
        } catch (error) {
          if (stopping.aborted) return later(0, 'handed back')
          throw error
        }
      }
      const headers = withoutServerHeaders(delivery.headers())
      await passOn(found.phoneNumberId, command.priority, { ...delivery, headers })
      return ack
    },

    overtake: async ({ subject, data, header }) => {
      if (!pace.isAnyHeldBack()) return
      // Given back to its worker: it goes by which copy it is.
      if (header(REDRIVE_HEADER) !== undefined || header(SETTLED_HEADER) !== undefined) return
      if (!mayOvertake(data, pace)) return
      const read = readCommand(subject, data)
      if (!read.ok) return
      const found = await lookup(read.command)
      if (found.kind !== 'found' || found.phoneNumberId === undefined) return
      const { priority } = read.command
      if (priority !== 'high' && pace.isHeldBack(found.phoneNumberId)) return
      const headers = HEADERS_OF_A_COMMAND.flatMap((name) => {
        const value = header(name)
        return value === undefined ? [] : [[name, value] as const]
      })
      await passOn(found.phoneNumberId, priority, { subject, data, headers: Object.fromEntries(headers) })
    },
  }
}

/** Cheap, since all that a busy company publishes is asked: urgent, or of a number that is named and not held back. */
const mayOvertake = (data: Uint8Array, pace: IntakePace): boolean => {
  try {
    const { priority, phone_number_id } = JSON.parse(Buffer.from(data).toString()) as Partial<SendCommand>
    return priority === 'high' || (typeof phone_number_id === 'string' && !pace.isHeldBack(phone_number_id))
  } catch {
    return false // no JSON object: it is refused in its turn
  }
}

/** Its id, and what else would tell the server how to store it. */
const withoutServerHeaders = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.toLowerCase().startsWith('nats-')))
