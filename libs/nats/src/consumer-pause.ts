import { setTimeout as wait } from 'node:timers/promises'
import { GatewayError } from '@cloudapi2/contracts'
import { type ConsumerInfo, nanos } from 'nats'
import { isNotFound, type Nats, reasonOf } from './connection.ts'

/** Nobody reads the stream under this name: there is no position to speak of. */
export class ConsumerMissing extends GatewayError {
  constructor(stream: string, durable: string, cause?: unknown) {
    super(`consumer ${durable} of ${stream} is not there: start its service once`, {
      code: 'CONSUMER_MISSING',
      retryable: true,
      cause,
    })
  }
}

/** What was delivered did not come to its end in time: its service is away, or has messages that wait for a later try. */
export class ConsumerNotDrained extends GatewayError {
  constructor(stream: string, durable: string, unacknowledged: number, waitedMs: number) {
    super(
      `consumer ${durable} of ${stream} has ${unacknowledged} messages in hand that were not settled within ${waitedMs / 1_000} s: is its service running, and can it reach what it writes to?`,
      { code: 'CONSUMER_NOT_DRAINED', retryable: true },
    )
  }
}

class ConsumerUnpausable extends GatewayError {
  constructor(stream: string, durable: string, cause: unknown) {
    super(
      `consumer ${durable} of ${stream} cannot be held still (${reasonOf(cause)}): it takes nats-server 2.11 or newer, and a user that may pause consumers`,
      { code: 'CONSUMER_UNPAUSABLE', retryable: true, cause },
    )
  }
}

export interface ConsumerPosition {
  /** Every message that it reads, up to this sequence, was delivered. */
  delivered: number
  /** Delivered, and neither acknowledged nor given up. */
  unacknowledged: number
  isPaused: boolean
}

/** A consumer that gets nothing new, and has nothing in hand. */
export interface HeldConsumer {
  /** What it reads up to this sequence is settled, and nothing after it was delivered. */
  position: number
  /** Whether that has been so all the time. */
  isStill: () => Promise<boolean>
  /** Lets it go on. */
  release: () => Promise<void>
}

/** Should we die, the consumer goes on by itself after this. */
const PAUSE_MS = 5_000
const RENEW_MS = 1_500
const ASK_MS = 25
const WAKE_MS = 50

/** @throws ConsumerMissing */
export const consumerPosition = async (nats: Nats, stream: string, durable: string): Promise<ConsumerPosition> =>
  positionOf(await info(nats, stream, durable))

/**
 * Holds a durable consumer still: it is given nothing new until it is released, or we die, and what it has in hand is
 * settled. Its service notices nothing but a quiet moment.
 *
 * @param options.timeoutMs for what is in hand to be settled
 * @throws ConsumerMissing, ConsumerNotDrained; the consumer then goes on
 */
export const holdConsumer = async (
  nats: Nats,
  stream: string,
  durable: string,
  { timeoutMs }: { timeoutMs: number },
): Promise<HeldConsumer> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  const pause = async (): Promise<void> => {
    // By the server's clock: ours may be minutes off.
    const { ts } = await info(nats, stream, durable)
    const now = ts === undefined ? Date.now() : Date.parse(ts)
    await manager.consumers.pause(stream, durable, new Date(now + PAUSE_MS))
  }
  const release = async (): Promise<void> => {
    clearInterval(renewing)
    try {
      await manager.consumers.resume(stream, durable)
      wake(nats, stream, durable)
    } catch {
      // The pause ends by itself.
    }
  }
  let hasFailed = false
  const renewing = setInterval(() => {
    pause().catch(() => {
      hasFailed = true
    })
  }, RENEW_MS)
  renewing.unref()

  try {
    await pause().catch((cause: unknown) => {
      throw cause instanceof GatewayError ? cause : new ConsumerUnpausable(stream, durable, cause)
    })
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const { delivered, unacknowledged, isPaused } = await consumerPosition(nats, stream, durable)
      if (isPaused && unacknowledged === 0)
        return {
          position: delivered,
          isStill: async () => {
            const now = await consumerPosition(nats, stream, durable)
            return !hasFailed && now.isPaused && now.delivered === delivered && now.unacknowledged === 0
          },
          release,
        }
      if (performance.now() > deadline) throw new ConsumerNotDrained(stream, durable, unacknowledged, timeoutMs)
      await wait(ASK_MS)
    }
  } catch (error) {
    await release()
    throw error
  }
}

/**
 * A server that is told to resume does not look at the pulls that wait until something happens (2.14: events that came
 * meanwhile lay there until the pull ended, five seconds). Another pull is something; a single byte is more than it lets
 * a message have, so it takes nothing from anybody.
 */
const wake = (nats: Nats, stream: string, durable: string): void => {
  const nothing = JSON.stringify({ batch: 1, expires: nanos(WAKE_MS), max_bytes: 1 })
  nats.raw.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`, nothing, { reply: nats.newInbox() })
}

const info = async (nats: Nats, stream: string, durable: string): Promise<ConsumerInfo> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    return await manager.consumers.info(stream, durable)
  } catch (cause) {
    if (isNotFound(cause)) throw new ConsumerMissing(stream, durable, cause)
    throw new ConsumerUnpausable(stream, durable, cause)
  }
}

const positionOf = ({ delivered, num_ack_pending, paused }: ConsumerInfo): ConsumerPosition => ({
  delivered: delivered.stream_seq,
  unacknowledged: num_ack_pending,
  isPaused: paused === true,
})
