import { setMaxListeners } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { subjects } from '@cloudapi2/contracts'
import { COMMANDS, type Consumer, consumeEach, type KvBucket, type Nats, type Publisher } from '@cloudapi2/nats'
import type { Logger, Metrics, Readiness } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import type { FastifyInstance } from 'fastify'
import { admission } from './access/access.routes.ts'
import { buildApp } from './app.ts'
import type { Channel } from './channel/channel.ts'
import type { Config } from './config.ts'
import { createOutcomes } from './direct-send/outcomes.client.ts'
import { submitCommand } from './direct-send/submit-command.handler.ts'
import { createRateLimiter } from './rate-limit/sliding-window.ts'
import { createLedger } from './send-command/ledger.store.ts'
import { ledgerSearch } from './send-command/ledger-search.client.ts'
import type { Pause } from './send-command/persistence.ts'
import { workCommandHandler } from './send-command/work-command.handler.ts'
import { createSlots } from './slots/slots.ts'
import { templateStore } from './template/templates.store.ts'
import { conversationClient } from './tenant-resolution/conversation.client.ts'
import { senderLookup } from './tenant-resolution/sender-lookup.handler.ts'

/** Answered from the projector's database by one key. */
const QUERY_TIMEOUT_MS = 2_000
/** How often it is looked whether the tenants have come. */
const LOOK_MS = 50
/** What a call may last beyond its time-out, and clocks may differ. */
const CALL_SLACK_MS = 5_000

export interface ServiceDeps {
  config: Pick<
    Config,
    'adminToken' | 'concurrency' | 'graph' | 'maxInHand' | 'retries' | 'sendWaitMs' | 'uncertainGraceMs'
  >
  log: Logger
  metrics: Metrics
  readiness: Readiness
  nats: Nats
  publisher: Publisher
  tenants: TenantDirectory
  ledgerBucket: KvBucket
  templatesBucket: KvBucket
  channel: Channel
}

export interface Service {
  app: FastifyInstance
  /** Takes nothing new, finishes what the channel was asked, hands the rest back. */
  stop: () => Promise<void>
}

/** Puts the sender together and starts consuming as soon as the tenants are known. `app` listens to nothing yet. */
export const startService = (deps: ServiceDeps): Service => {
  const { config, log, metrics, readiness, nats, publisher, tenants, channel } = deps
  const stopping = new AbortController()
  const leaving = new AbortController()
  // Every command that waits listens.
  setMaxListeners(0, stopping.signal, leaving.signal)
  const now = Date.now
  const pause: Pause = (ms, signal) => wait(ms, undefined, signal === undefined ? {} : { signal })
  const policy = {
    maxAttempts: config.retries.maxAttempts,
    uncertainGraceMs: config.uncertainGraceMs,
    // An intent may be half as old before the call starts, and the call must be over before the other half is.
    attemptTimeoutMs: 2 * config.graph.timeoutMs + CALL_SLACK_MS,
  }

  const ledger = createLedger({
    bucket: deps.ledgerBucket,
    findFirst: ledgerSearch(nats, { timeoutMs: QUERY_TIMEOUT_MS }),
  })
  const lookup = senderLookup({
    tenants,
    ledger,
    findConversation: conversationClient(nats, { timeoutMs: QUERY_TIMEOUT_MS }),
  })
  const slots = createSlots(config.concurrency)
  const outcomes = createOutcomes(nats)

  const concluded = metrics.counter('sender_commands_total', 'Commands that came to an end, by how', ['outcome'])
  const calls = metrics.histogram(
    'sender_channel_call_seconds',
    'Calls to the channel, by result',
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    ['result'],
  )
  const inHand = metrics.gauge('sender_commands_in_hand', 'Commands taken and not ended, those that wait included')

  const handler = workCommandHandler({
    tenants,
    channel,
    ledger,
    lookup,
    findTemplate: templateStore({ bucket: deps.templatesBucket, channel, log, now }),
    slots,
    publisher,
    reply: (subject, data) => nats.publish(subject, data),
    policy,
    backoff: config.retries,
    log,
    count: (outcome) => concluded.inc({ outcome }),
    observeCall: (result, seconds) => calls.observe({ result }, seconds),
    now,
    random: Math.random,
    pause,
    stopping: stopping.signal,
  })

  let consumer: Consumer | undefined
  const consume = async () => {
    while (!tenants.isLoaded()) await pause(LOOK_MS, stopping.signal)
    consumer = await consumeEach({
      nats,
      log,
      publisher,
      service: 'sender',
      stream: COMMANDS,
      durable: 'sender',
      // Everything there is under it: what has a subject of another form must not lie in the queue for ever.
      filterSubjects: [subjects.allSendCommands],
      concurrency: config.maxInHand,
      // The server lets four times as many be unacknowledged: those in hand, and these.
      maxBuffered: Math.max(config.concurrency * 2, Math.ceil(config.maxInHand / 3)),
      handler: async (delivery) => {
        inHand.inc()
        try {
          return await handler(delivery)
        } finally {
          inHand.dec()
        }
      },
    })
  }
  const starting = consume().then(
    () => undefined,
    (error: unknown) => {
      if (!stopping.signal.aborted) throw error
    },
  )

  readiness.watch('nats', () => (nats.isConnected() ? { ok: true } : { ok: false, reason: 'no connection to NATS' }))
  readiness.watch('tenants', () =>
    tenants.isLoaded() ? { ok: true } : { ok: false, reason: 'no snapshot of the tenants yet' },
  )
  readiness.watch('commands', () =>
    consumer !== undefined ? { ok: true } : { ok: false, reason: 'the consumer of commands has not started' },
  )

  const app = buildApp({
    log,
    metrics,
    readiness,
    admit: admission({ adminToken: config.adminToken, tenants }),
    tenants,
    lookup,
    limit: createRateLimiter(now),
    submit: submitCommand({ ledger, publisher, outcomes, tenants, policy, now, pause, leaving: leaving.signal }),
    isConnected: () => nats.isConnected(),
    sendWaitMs: config.sendWaitMs,
    ledger,
    now,
  })

  return {
    app,
    stop: async () => {
      readiness.set('running', false, 'stopping')
      const closing = app.close() // no new requests; those who wait for an outcome go on waiting
      stopping.abort(new Error('the service is stopping'))
      await starting
      await consumer?.stop()
      leaving.abort(new Error('the service is stopping'))
      await closing
      outcomes.stop()
    },
  }
}
