import { GatewayError, subjects } from '@cloudapi2/contracts'
import { AckPolicy, type ConsumerConfig, DeliverPolicy, type Msg, NatsError, nanos } from 'nats'
import { isNotFound, type Nats, type NatsLog, reasonOf } from './connection.ts'
import { type Outcome, outcomeOfError } from './outcome.ts'
import type { Publisher } from './publisher.ts'
import { TopologyError } from './topology.ts'

/** A message as a consumer sees it. `sequence`: its place in the stream, the same at every redelivery. */
export interface Delivery {
  subject: string
  data: Uint8Array
  header: (name: string) => string | undefined
  /** Every header, the first value of each. */
  headers: () => Record<string, string>
  sequence: number
  /** From 1. */
  deliveryCount: number
  /** When the stream stored it. */
  storedAt: Date
}

/** Where a consumer begins that does not exist yet. */
export type ConsumerStart = { sequence: number } | { time: Date }

export interface ConsumerOptions {
  nats: Nats
  log: NatsLog
  /** Where dead letters go. */
  publisher: Publisher
  /** Names the dead letters: `dlq.<service>.…`. */
  service: string
  stream: string
  durable: string
  filterSubjects: readonly string[]
  /** Time for the effect of one delivery before the server offers it again; renewed while a handler works. */
  ackWaitMs?: number
  /** Deliveries held in memory at most. */
  maxBuffered?: number
  /** Deliveries that may be unacknowledged, those that wait for a later try included. Default: four times `maxBuffered`. */
  maxUnacknowledged?: number
  /**
   * A consumer that exists only while somebody pulls: its state is in the server's memory, and the server removes it
   * after this time without a pull. What was delivered and not acknowledged stays in the stream.
   */
  inactiveThresholdMs?: number
  /**
   * Asked whenever the consumer has to be made; left out: with the first message of the stream. A consumer that is there
   * goes on where it is.
   */
  start?: () => ConsumerStart
  /** Bytes asked of the server in one pull: more than its 64 MB write limit at once would cut the connection. */
  maxPullBytes?: number
}

export interface Consumer {
  /** Takes nothing new, finishes what is in hand, and hands back the rest. */
  stop: () => Promise<void>
  /** Deliveries received and not yet settled. */
  inHand: () => number
}

class ConsumerUnavailable extends GatewayError {
  constructor(durable: string, stream: string, cause: unknown) {
    super(`consumer ${durable} of ${stream}: ${reasonOf(cause)}`, {
      code: 'CONSUMER_UNAVAILABLE',
      retryable: true,
      cause,
    })
  }
}

/** What a killed process had in hand comes to another after this; one at work says so three times within it. */
const DEFAULT_ACK_WAIT_MS = 10_000
/** A pull that finds nothing ends after this; silence for longer means that it was lost, and it is asked again. */
const PULL_EXPIRES_MS = 5_000

/** Of the server's API errors. */
const CONSUMER_ALREADY_EXISTS = 10_148

interface Held extends Delivery {
  message: Msg
}

/**
 * A durable pull consumer, created when missing. Deliveries wait in a bounded buffer; `work` is called whenever there
 * are some and takes as many as it likes.
 */
const openConsumer = async (options: ConsumerOptions, work: () => void) => {
  const { nats, log, stream, durable, filterSubjects } = options
  const ackWaitMs = options.ackWaitMs ?? DEFAULT_ACK_WAIT_MS
  const maxBuffered = options.maxBuffered ?? 1_000
  const maxPullBytes = options.maxPullBytes ?? 16 * 1_048_576
  const config: Partial<ConsumerConfig> = {
    durable_name: durable,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(ackWaitMs),
    // Counting deliveries is ours: at the end there is a dead letter, not silence.
    max_deliver: -1,
    max_ack_pending: options.maxUnacknowledged ?? Math.max(maxBuffered * 4, 1_000),
    // Always the list: a consumer with one filter cannot be given a second one later.
    filter_subjects: [...filterSubjects],
    ...(options.inactiveThresholdMs === undefined
      ? {}
      : { inactive_threshold: nanos(options.inactiveThresholdMs), mem_storage: true, num_replicas: 1 }),
  }
  const create = async () => {
    const manager = await nats.raw.jetstreamManager({ checkAPI: false })
    const wanted = { ...config, ...startConfig(options.start?.()) }
    try {
      await manager.consumers.add(stream, wanted)
    } catch (cause) {
      // Made by another version, with other settings: it becomes ours, and goes on where it is.
      if (cause instanceof NatsError && cause.api_error?.err_code === CONSUMER_ALREADY_EXISTS)
        await manager.consumers
          .info(stream, durable)
          .then(({ config: existing }) =>
            manager.consumers.update(stream, durable, { ...wanted, ...startOf(existing) }),
          )
          .catch((reason: unknown) => {
            throw new ConsumerUnavailable(durable, stream, reason)
          })
      else throw new ConsumerUnavailable(durable, stream, cause)
    }
  }
  await create()

  const inbox = nats.newInbox()
  const buffer: Held[] = []
  let outstanding = 0 // asked for and not yet come
  let lastSignAt = performance.now()
  let isStopped = false

  const pull = () => {
    if (isStopped || !nats.isConnected()) return
    const room = maxBuffered - buffer.length - outstanding
    if (room < maxBuffered / 2) return
    outstanding += room
    nats.raw.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`,
      JSON.stringify({ batch: room, expires: nanos(PULL_EXPIRES_MS), max_bytes: maxPullBytes }),
      { reply: inbox },
    )
  }

  const onStatus = (message: Msg) => {
    const left = Number(message.headers?.get('Nats-Pending-Messages') || Number.NaN)
    outstanding = Number.isNaN(left) ? 0 : Math.max(0, outstanding - left)
    const { code, description } = message.headers ?? { code: 0, description: '' }
    // 408: nothing came; 409 with "batch completed" or "maxbytes": the pull's natural end. The rest is worth a line.
    if (code === 503 || /deleted/i.test(description)) {
      log.warn({ event: 'consumer.missing', stream, durable, reason: `${code} ${description}` })
      setTimeout(recreate, 500).unref()
      return
    }
    pull()
  }

  const recreate = () => {
    if (isStopped) return
    create().then(
      () => {
        outstanding = 0
        pull()
      },
      (error: unknown) => log.error({ event: 'consumer.unavailable', stream, durable, reason: reasonOf(error) }),
    )
  }

  const subscription = nats.raw.subscribe(inbox, {
    callback: (error, message) => {
      if (error) return log.error({ event: 'consumer.subscription_failed', stream, durable, reason: error.message })
      lastSignAt = performance.now()
      if (message.subject === inbox) return onStatus(message)
      outstanding = Math.max(0, outstanding - 1)
      if (isStopped) return handBack(nats, message)
      buffer.push(held(message))
      pull()
      work()
    },
  })

  const watchdog = setInterval(() => {
    if (isStopped || performance.now() - lastSignAt < PULL_EXPIRES_MS + 2_000) return
    lastSignAt = performance.now()
    outstanding = 0
    if (nats.isConnected() && buffer.length < maxBuffered / 2) recreate()
  }, 1_000)
  watchdog.unref()

  const stopHearing = nats.onConnectionChange((connected) => {
    outstanding = 0
    if (connected) recreate()
  })
  pull()

  return {
    ackWaitMs,
    buffer,
    pull,
    settle: (delivery: Held, outcome: Outcome) => settle(options, delivery, outcome),
    close: () => {
      isStopped = true
      clearInterval(watchdog)
      stopHearing()
      // In this order: what is handed back must not come again to a pull of this consumer, which nobody would answer. What
      // is on its way comes in until the server has heard, and is handed back as well.
      if (nats.isConnected()) void subscription.drain().catch(() => subscription.unsubscribe())
      else subscription.unsubscribe()
      for (const { message } of buffer.splice(0)) handBack(nats, message)
    },
  }
}

const startConfig = (start: ConsumerStart | undefined): Partial<ConsumerConfig> => {
  if (start === undefined) return {}
  return 'sequence' in start
    ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: start.sequence }
    : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: start.time.toISOString() }
}

/** Where a consumer began is part of its configuration, and cannot be changed. */
const startOf = (existing: ConsumerConfig): Partial<ConsumerConfig> => {
  const { deliver_policy, opt_start_seq, opt_start_time } = existing
  return { deliver_policy, opt_start_seq, opt_start_time } as Partial<ConsumerConfig>
}

const held = (message: Msg): Held => {
  const tokens = (message.reply as string).split('.')
  // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, or with domain and account
  // hash after ACK and a token at the end.
  const at = tokens.length > 9 ? 6 : 4
  return {
    message,
    subject: message.subject,
    data: message.data,
    header: (name) => message.headers?.get(name) || undefined,
    headers: () =>
      Object.fromEntries((message.headers?.keys() ?? []).map((name) => [name, message.headers?.get(name) ?? ''])),
    deliveryCount: Number(tokens[at]),
    sequence: Number(tokens[at + 1]),
    storedAt: new Date(Number(tokens[at + 3]) / 1e6),
  }
}

const answer = (nats: Nats, message: Msg, text: string) => {
  // Without a connection the answer would be buffered and sent for a delivery the server has offered anew by then.
  if (nats.isConnected()) nats.raw.publish(message.reply as string, text)
}

const handBack = (nats: Nats, message: Msg) => answer(nats, message, '-NAK')

const settle = async (options: ConsumerOptions, delivery: Held, outcome: Outcome): Promise<void> => {
  const { nats, log, service, stream, durable, publisher } = options
  const { message, sequence, deliveryCount } = delivery
  switch (outcome.kind) {
    case 'ack':
      return answer(nats, message, '+ACK')
    case 'later':
      log.warn({
        event: 'delivery.later',
        stream,
        durable,
        sequence,
        deliveryCount,
        delayMs: outcome.delayMs,
        reason: outcome.reason,
      })
      return answer(nats, message, `-NAK ${JSON.stringify({ delay: nanos(outcome.delayMs) })}`)
    case 'dead': {
      const companyId = outcome.companyId ?? delivery.subject.split('.').find((token) => token.length === 36) ?? '_'
      try {
        await publisher.publish({
          subject: subjects.deadLetter(service, companyId),
          msgId: `dlq:${stream}:${sequence}`,
          data: delivery.data,
          headers: {
            Reason: headerText(outcome.reason),
            Code: outcome.code,
            Attempts: String(deliveryCount),
            Stream: stream,
            Sequence: String(sequence),
            Subject: delivery.subject,
            ...outcome.headers,
          },
        })
      } catch (error) {
        // It stays in the stream and comes again: better twice in the dead letters than nowhere.
        log.error({ event: 'dead_letter.not_stored', stream, durable, sequence, reason: reasonOf(error) })
        return answer(nats, message, `-NAK ${JSON.stringify({ delay: nanos(1_000) })}`)
      }
      log.error({
        event: 'delivery.dead',
        stream,
        durable,
        sequence,
        deliveryCount,
        code: outcome.code,
        companyId,
        reason: outcome.reason,
      })
      return answer(nats, message, `+TERM ${outcome.code}`)
    }
  }
}

/** A header holds one line. */
const headerText = (text: string): string => text.replace(/[\r\n]+/g, ' ').slice(0, 1_000)

/**
 * Handles deliveries one by one, up to `concurrency` at a time. A handler that throws gets the outcome of
 * `outcomeOfError`; while it works, the server is told so, and does not offer the message to anybody else.
 */
export const consumeEach = async (
  options: ConsumerOptions & { concurrency: number; handler: (delivery: Delivery) => Promise<Outcome> },
): Promise<Consumer> => {
  const { nats, concurrency, handler } = options
  const running = new Set<Promise<void>>()
  const atWork = new Set<Held>()
  const consumer = await openConsumer({ maxBuffered: concurrency * 2, ...options }, () => next())

  const next = () => {
    while (running.size < concurrency) {
      const delivery = consumer.buffer.shift()
      if (delivery === undefined) break
      const task: Promise<void> = one(delivery).finally(() => {
        running.delete(task)
        next()
      })
      running.add(task)
    }
    consumer.pull()
  }

  // Those that wait behind slow ones would run out of time as well, and be worked on twice.
  const heartbeat = setInterval(() => {
    for (const { message } of atWork) answer(nats, message, '+WPI')
    for (const { message } of consumer.buffer) answer(nats, message, '+WPI')
  }, consumer.ackWaitMs / 3)
  heartbeat.unref()

  const one = async (delivery: Held) => {
    atWork.add(delivery)
    try {
      const outcome = await handler(delivery).catch((error: unknown) => outcomeOfError(error, delivery.deliveryCount))
      await consumer.settle(delivery, outcome)
    } finally {
      atWork.delete(delivery)
    }
  }

  return {
    inHand: () => running.size,
    stop: async () => {
      consumer.close()
      await Promise.all(running)
      clearInterval(heartbeat)
    },
  }
}

/**
 * Handles deliveries in batches, one batch at a time: what arrived while the last one was worked on is the next. The
 * handler returns one outcome per delivery, in order. When it throws, the whole batch is tried again, from memory and
 * for as long as it takes: it is for a database that is away, and must not throw for a single bad message.
 */
export const consumeBatches = async (
  options: ConsumerOptions & { maxBatch: number; handler: (deliveries: Delivery[]) => Promise<Outcome[]> },
): Promise<Consumer> => {
  const { nats, log, stream, durable, maxBatch, handler } = options
  let isStopped = false
  let wake: () => void = () => {}
  let inHand = 0
  const consumer = await openConsumer({ maxBuffered: maxBatch * 2, ...options }, () => wake())

  const run = async () => {
    while (!isStopped) {
      const batch = consumer.buffer.splice(0, maxBatch)
      if (batch.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      consumer.pull()
      inHand = batch.length
      await workOff(batch)
      inHand = 0
    }
  }

  const workOff = async (batch: Held[]) => {
    const heartbeat = setInterval(() => {
      for (const { message } of batch) answer(nats, message, '+WPI')
      // Those that wait behind this batch would run out of time as well.
      for (const { message } of consumer.buffer) answer(nats, message, '+WPI')
    }, consumer.ackWaitMs / 3)
    try {
      for (let tries = 1; ; tries++) {
        try {
          const outcomes = await handler(batch)
          await Promise.all(batch.map((delivery, i) => consumer.settle(delivery, outcomes[i] as Outcome)))
          return
        } catch (error) {
          log.error({ event: 'batch.failed', stream, durable, size: batch.length, tries, reason: reasonOf(error) })
          if (isStopped) return // unacknowledged: they come again
          await pause(Math.min(5_000, 100 * 2 ** (tries - 1)))
        }
      }
    } finally {
      clearInterval(heartbeat)
    }
  }

  let endPause: () => void = () => {}
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const loop = run()
  return {
    inHand: () => inHand,
    stop: async () => {
      isStopped = true
      wake()
      endPause()
      await loop
      consumer.close()
    },
  }
}

/** The sequence of the last message that a stream has taken; 0 when there was none yet. */
export const lastSequence = async (nats: Nats, stream: string): Promise<number> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    return (await manager.streams.info(stream)).state.last_seq
  } catch (cause) {
    throw new TopologyError(`stream ${stream}`, cause)
  }
}

/** Removes a durable consumer; nothing happens when there is none. What it had not acknowledged stays in the stream. */
export const removeConsumer = async (nats: Nats, stream: string, durable: string): Promise<void> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    await manager.consumers.delete(stream, durable)
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
