import { randomBytes, randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import {
  ANSWER_IF_PAUSED_HEADER,
  CORRELATION_HEADER,
  REPLY_TO_HEADER,
  type SendOutcome,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import { createCommandOutcomes, createPublisher, type Nats, type Publication } from '@cloudapi2/nats'
import { commandOf, isTraceparent, publicationOf, type Send } from './command.ts'
import { CommandNotAccepted, GatewayStopped, InvalidOption, SendAborted } from './errors.ts'

export interface SendOptions {
  /** How long to wait for the outcome once the command is stored. Default 0: not at all. */
  waitMs?: number
  /** How long to try to have the command stored. Default 30,000. */
  acceptWithinMs?: number
  /** Ends the waiting, not the command. */
  signal?: AbortSignal
  /** W3C trace context of what this is part of; left out: a new trace. It goes on into every event of the command. */
  traceparent?: string
}

export interface Sent {
  /** The idempotency key the command went under. */
  command_id: string
  /**
   * `accepted` or `failed`: how it ended. `queued`: stored, and not ended within `waitMs`; with `error`: its number is
   * paused, and the command is kept until it sends again.
   */
  outcome: SendOutcome
}

export interface Sender {
  /**
   * Hands a command to the gateway. When this resolves it is stored and will be worked on, whatever happens to either
   * side. Sending it again under the same `id` is the same command, and ends with the same outcome.
   *
   * @throws InvalidCommand naming every wrong field; nothing was sent
   * @throws CommandNotAccepted when it was not confirmed within `acceptWithinMs`; send it again under its `commandId`
   * @throws SendAborted by `signal`
   * @throws GatewayStopped after, or by, `stop()`
   */
  send: (command: Send, options?: SendOptions) => Promise<Sent>
  stop: () => void
}

/** An embedded server that syncs every write to disk answers within some ten. */
const ACK_TIMEOUT_MS = 2_000
const DEFAULT_ACCEPT_WITHIN_MS = 30_000
const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 2_000

export const createSender = (nats: Nats, { name }: { name: string }): Sender => {
  const publisher = createPublisher(nats, { timeoutMs: ACK_TIMEOUT_MS })
  const outcomes = createCommandOutcomes(nats)
  const stopping = new AbortController()
  // Every command that waits listens.
  setMaxListeners(0, stopping.signal)

  /** Again and again under one id, until the stream has confirmed it. */
  const store = async (publication: Publication, commandId: string, withinMs: number, over: AbortSignal) => {
    const deadline = performance.now() + withinMs
    for (let delayMs = FIRST_RETRY_MS; ; delayMs = Math.min(LONGEST_RETRY_MS, delayMs * 2)) {
      try {
        return await orAborted(publisher.publish(publication), over)
      } catch (error) {
        if (over.aborted) throw error
        const leftMs = deadline - performance.now()
        if (leftMs <= 0) throw new CommandNotAccepted(commandId, error)
        await wait(Math.min(delayMs, leftMs), undefined, { signal: over })
      }
    }
  }

  return {
    send: async (send, options = {}) => {
      const waitMs = duration('waitMs', options.waitMs ?? 0)
      const acceptWithinMs = duration('acceptWithinMs', options.acceptWithinMs ?? DEFAULT_ACCEPT_WITHIN_MS)
      const traceparent = options.traceparent ?? newTraceparent()
      if (!isTraceparent(traceparent)) throw new InvalidOption('traceparent', 'version 00 of W3C Trace Context')
      const command = commandOf(send, {
        id: randomUUID(),
        requestedAt: new Date().toISOString(),
        requestedBy: name,
      })
      if (stopping.signal.aborted) throw new GatewayStopped()

      const over = options.signal === undefined ? stopping.signal : AbortSignal.any([stopping.signal, options.signal])
      const expected = waitMs === 0 ? undefined : outcomes.expect()
      let isStored = false
      try {
        const publication = publicationOf(command, {
          [TRACEPARENT_HEADER]: traceparent,
          [CORRELATION_HEADER]: command.id,
          ...(expected === undefined ? {} : { [REPLY_TO_HEADER]: expected.replyTo, [ANSWER_IF_PAUSED_HEADER]: '1' }),
        })
        over.throwIfAborted()
        await store(publication, command.id, acceptWithinMs, over)
        isStored = true
        const queued: SendOutcome = { status: 'queued', command_id: command.id }
        if (expected === undefined) return { command_id: command.id, outcome: queued }
        const patience = new AbortController()
        try {
          const late = wait(waitMs, queued, { signal: AbortSignal.any([over, patience.signal]) })
          return { command_id: command.id, outcome: await Promise.race([expected.outcome, late]) }
        } finally {
          patience.abort()
        }
      } catch (error) {
        if (options.signal?.aborted) throw new SendAborted(command.id, isStored, options.signal.reason)
        if (stopping.signal.aborted) throw new GatewayStopped()
        throw error
      } finally {
        expected?.forget()
      }
    },
    stop: () => {
      stopping.abort()
      outcomes.stop()
      publisher.close()
    },
  }
}

const orAborted = async <T>(task: Promise<T>, signal: AbortSignal): Promise<T> => {
  let stop: () => void = () => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([task, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

const newTraceparent = (): string => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`

/** The longest that a timer of Node can wait. */
const LONGEST_MS = 2_147_483_647

const duration = (option: string, ms: number): number => {
  if (!(ms >= 0 && ms <= LONGEST_MS)) throw new InvalidOption(option, `milliseconds from 0 to ${LONGEST_MS}`)
  return ms
}
