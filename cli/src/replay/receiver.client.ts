import {
  GatewayError,
  NO_COMPANY,
  REPLAY_HEADER,
  REPLAY_POSITION_HEADER,
  SYSTEM_CHANNEL,
  subjects,
  UnsafeSubjectToken,
} from '@cloudapi2/contracts'
import type { LogEntry } from '@cloudapi2/event-log'
import { type Nats, NatsRequestFailed } from '@cloudapi2/nats'
import { routeOf } from '../tail/event-line.ts'

/** What has reached the server for certain. */
export interface Sent {
  events: number
  /** Of the first and the last of them; undefined before the first. */
  first: number | undefined
  last: number | undefined
}

/** The one receiver of a replay: whoever subscribes to `replay.<id>.>`. */
export interface Receiver {
  /**
   * Tells that a replay begins, and finds out whether anybody is there. A receiver that answers is waited for, up to a
   * second; one that does not is fine.
   *
   * @throws GatewayError RECEIVER_ABSENT
   */
  begin: (what: Record<string, unknown>) => Promise<void>
  /** One event, as it is stored. @throws GatewayError NATS_DISCONNECTED naming the position to go on from */
  send: (entry: LogEntry) => Promise<void>
  /** Tells that it was the last one, and how many there were. @throws GatewayError RECEIVER_ABSENT when nobody was there any more */
  end: () => Promise<Sent>
}

const ANSWER_MS = 1_000
/** How many events may be on their way to the server. */
const FLUSH_EVERY = 200

export const receiver = (nats: Nats, id: string): Receiver => {
  const sent: Sent = { events: 0, first: undefined, last: undefined }
  let pending: number[] = []

  const flush = async () => {
    try {
      await nats.flush()
    } catch (cause) {
      throw lost(cause)
    }
    sent.first ??= pending[0]
    sent.last = pending.at(-1) ?? sent.last
    sent.events += pending.length
    pending = []
  }
  const lost = (cause: unknown) =>
    new GatewayError(
      `the connection to NATS was lost; ${sent.last === undefined ? 'nothing was sent for certain' : `${sent.events} events were sent for certain: go on with --after ${sent.last}`}`,
      { code: 'NATS_DISCONNECTED', retryable: true, cause },
    )
  /** @returns false when nobody subscribes */
  const tell = async (subject: string, value: unknown, timeoutMs: number): Promise<boolean> => {
    try {
      await nats.request(subject, JSON.stringify(value), timeoutMs, { [REPLAY_HEADER]: id })
    } catch (error) {
      if (!nats.isConnected()) throw lost(error)
      if (!(error instanceof NatsRequestFailed)) throw error
      return !error.isNobodyThere
    }
    return true
  }

  return {
    begin: async (what) => {
      if (!(await tell(subjects.replayBegin(id), { replay: id, ...what }, ANSWER_MS)))
        throw new GatewayError(`nobody subscribes to replay.${id}.>: start the receiver first; nothing was sent`, {
          code: 'RECEIVER_ABSENT',
          retryable: true,
        })
    },
    send: async (entry) => {
      const subject = subjectOf(id, entry)
      try {
        nats.publish(subject, entry.body, {
          [REPLAY_HEADER]: id,
          [REPLAY_POSITION_HEADER]: String(entry.position),
        })
      } catch (cause) {
        throw lost(cause)
      }
      pending.push(entry.position)
      if (pending.length >= FLUSH_EVERY) await flush()
    },
    end: async () => {
      await flush()
      const told = { replay: id, ...sent }
      if (!(await tell(subjects.replayEnd(id), told, ANSWER_MS)))
        throw new GatewayError(
          `nobody subscribes to replay.${id}.> any more: ${sent.events} events were sent, and some or all of them were not received`,
          { code: 'RECEIVER_ABSENT', retryable: true },
        )
      return { ...sent }
    },
  }
}

/** A body that is no event is told of as well: what of it to take is for the receiver to decide. */
const subjectOf = (id: string, entry: LogEntry): string => {
  const route = routeOf(entry)
  try {
    if (route !== undefined) return subjects.replayed(id, route.companyId, route.channel, route.type)
  } catch (error) {
    if (!(error instanceof UnsafeSubjectToken)) throw error
  }
  return subjects.replayed(id, NO_COMPANY, SYSTEM_CHANNEL, 'event.unreadable')
}
