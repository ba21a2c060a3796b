import { randomUUID } from 'node:crypto'
import { decodeEvent, type EventType, type GatewayEvent, isEventType } from '@cloudapi2/contracts'
import {
  ack,
  backoffMs,
  type ConsumerStart,
  consumeEach,
  type Delivery,
  EVENTS,
  lastSequence,
  later,
  type Nats,
  type NatsLog,
  type Outcome,
  type Publisher,
  removeConsumer,
} from '@cloudapi2/nats'
import { GatewayStopped, InvalidOption } from './errors.ts'
import {
  createProgress,
  type EventSelection,
  type From,
  filtersOf,
  startAt,
  typeOfSubject,
  validFrom,
  validName,
} from './event-selection.ts'

/** An event of one of these types. */
export type EventOf<T extends EventType> = Extract<GatewayEvent, { type: T }>

/** What is known of an event's coming, beside the event itself. */
export interface EventDelivery {
  /** Its place in the log; the same at every delivery. */
  sequence: number
  /** From 1: a handler that has failed this often may decide to put the event aside, and return. */
  attempt: number
  /** When the log stored it. */
  storedAt: Date
  /** W3C trace context of what it follows from. */
  traceparent: string | undefined
}

export type EventHandler<T extends EventType> = (event: EventOf<T>, delivery: EventDelivery) => Promise<void> | void

export interface SubscribeOptions<T extends EventType = EventType> extends EventSelection<T> {
  /** Handlers at work at the same time. Default 1: one after the other, in the order of the log. */
  concurrency?: number
  /**
   * What to do with a message that this version cannot read: an event of a newer version, or no event at all. When it
   * returns, the message is done with. Left out: it is logged, kept, and offered again at growing intervals, until a
   * version comes that can.
   */
  onUnreadable?: (error: unknown, delivery: EventDelivery & { data: Uint8Array }) => Promise<void> | void
}

export interface Subscription {
  /** Takes nothing new, waits for the handlers at work, hands the rest back. */
  stop: () => Promise<void>
}

export interface Events {
  /**
   * Calls `handler` with each event, brought up to the current version of its type. An event is done with when the
   * handler has returned; when it throws, the event comes again, after 250 ms at first and 30 s at last, for as long as it
   * takes, while others go on. So an event may come twice (its `id` is the same) and after a later one.
   *
   * @throws InvalidOption
   * @throws GatewayError CONSUMER_UNAVAILABLE when the user may not consume, or there is no log yet
   */
  subscribe: <T extends EventType = EventType>(
    options: SubscribeOptions<T>,
    handler: EventHandler<T>,
  ) => Promise<Subscription>
  /**
   * The same as a loop: an event is done with when the next one is asked for. What was in hand when the loop was left, by
   * `break` or a throw, comes again.
   */
  read: <T extends EventType = EventType>(
    options: Omit<SubscribeOptions<T>, 'concurrency'>,
  ) => AsyncIterableIterator<EventOf<T>, undefined>
  stop: () => Promise<void>
}

/** For a handler that holds up the process; one that waits says itself that it is at work. */
const ACK_WAIT_MS = 30_000
/** How long a reader without a name may be away, its server restarted, and go on without asking for its place. */
const FORGOTTEN_AFTER_MS = 60_000

export const createEvents = (
  nats: Nats,
  { name, log, publisher }: { name: string; log: NatsLog; publisher: Publisher },
): Events => {
  const running = new Set<Subscription>()
  const ends = new Set<() => void>()
  let isStopped = false

  const subscribe = async <T extends EventType>(
    options: SubscribeOptions<T>,
    handler: EventHandler<T>,
  ): Promise<Subscription> => {
    const filterSubjects = filtersOf(options)
    const concurrency = options.concurrency ?? 1
    if (!Number.isSafeInteger(concurrency) || concurrency < 1)
      throw new InvalidOption('concurrency', 'a whole number from 1')
    const isDurable = options.durable !== undefined
    const durable = isDurable
      ? validName('durable', options.durable as string)
      : `${name}-${randomUUID().replaceAll('-', '')}`
    const from = validFrom(options.from ?? (isDurable ? 'start' : 'now'))
    if (isStopped) throw new GatewayStopped()

    const first = await firstOf(nats, from)
    const progress = createProgress()
    const consumer = await consumeEach({
      nats,
      log,
      publisher,
      service: name,
      stream: EVENTS,
      durable,
      filterSubjects,
      concurrency,
      ackWaitMs: ACK_WAIT_MS,
      ...(isDurable ? {} : { inactiveThresholdMs: FORGOTTEN_AFTER_MS }),
      // A named one that was removed begins anew as it was asked to; a nameless one that the server forgot goes on.
      start: () => (isDurable ? first : startAt(first, progress)),
      handler: async (delivery) => {
        progress.begin(delivery.sequence)
        const outcome = await handle(delivery, options, handler as unknown as EventHandler<EventType>, log)
        if (outcome.kind === 'ack') progress.done(delivery.sequence)
        return outcome
      },
    })
    let stopped: Promise<void> | undefined
    const stop = async () => {
      await consumer.stop()
      running.delete(subscription)
      if (isDurable || !nats.isConnected()) return
      await removeConsumer(nats, EVENTS, durable).catch((error: unknown) => {
        // The server removes it by itself when nobody has pulled for a while.
        log.warn({
          event: 'consumer.not_removed',
          durable,
          reason: error instanceof Error ? error.message : `${error}`,
        })
      })
    }
    const subscription: Subscription = {
      stop: () => {
        stopped ??= stop()
        return stopped
      },
    }
    running.add(subscription)
    return subscription
  }

  const read = async function* <T extends EventType>(
    options: Omit<SubscribeOptions<T>, 'concurrency'>,
  ): AsyncGenerator<EventOf<T>, undefined> {
    const offers: Offer<T>[] = []
    let isOver = false
    let wake: () => void = () => {}
    const end = () => {
      isOver = true
      for (const { leave } of offers) leave()
      wake()
    }
    const subscription = await subscribe<T>(
      options,
      (event) =>
        new Promise<void>((done, fail) => {
          const leave = () => fail(new GatewayStopped())
          if (isOver) return leave()
          offers.push({ event, done, leave })
          wake()
        }),
    )
    ends.add(end)
    try {
      while (!isOver) {
        const [offer] = offers
        if (offer === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
          continue
        }
        yield offer.event
        offers.shift()
        offer.done()
      }
    } finally {
      ends.delete(end)
      end()
      await subscription.stop()
    }
    return undefined
  }

  return {
    subscribe,
    read,
    stop: async () => {
      isStopped = true
      for (const end of ends) end()
      await Promise.all([...running].map((subscription) => subscription.stop()))
    },
  }
}

interface Offer<T extends EventType> {
  event: EventOf<T>
  done: () => void
  /** Gives it back: it comes again. */
  leave: () => void
}

/** `now` is settled here, so that a consumer made anew does not begin with a later one. */
const firstOf = async (nats: Nats, from: From): Promise<ConsumerStart> => {
  if (from === 'start') return { sequence: 1 }
  if (from === 'now') return { sequence: (await lastSequence(nats, EVENTS)) + 1 }
  return from instanceof Date ? { time: from } : from
}

const handle = async (
  delivery: Delivery,
  { onUnreadable }: Pick<SubscribeOptions, 'onUnreadable'>,
  handler: EventHandler<EventType>,
  log: NatsLog,
): Promise<Outcome> => {
  const { sequence, deliveryCount: attempt, storedAt, subject, data } = delivery
  const known: EventDelivery = { sequence, attempt, storedAt, traceparent: delivery.header('traceparent') }
  const again = (event: string, error: unknown): Outcome => {
    log.error({ event, sequence, attempt, err: error })
    return later(backoffMs(attempt), event)
  }

  if (!isEventType(typeOfSubject(subject))) {
    // Of a newer gateway, whose new types nobody here can have asked for.
    log.info({ event: 'event.type_unknown', sequence, type: typeOfSubject(subject) })
    return ack
  }
  let event: GatewayEvent
  try {
    event = decodeEvent(data)
  } catch (error) {
    if (onUnreadable === undefined) return again('event.unreadable', error)
    try {
      await onUnreadable(error, { ...known, data })
      return ack
    } catch (failure) {
      return again('event.unreadable', failure)
    }
  }
  try {
    await handler(event, known)
    return ack
  } catch (error) {
    // Given back by a loop that was left: no failure of anybody's.
    if (error instanceof GatewayStopped) return later(0, 'the reader has left')
    return again('event.handler_failed', error)
  }
}
