import { setMaxListeners } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import {
  type Consumer,
  createCommandOutcomes,
  createLeases,
  type Delivery,
  type KvBucket,
  LEASE_TTL_MS,
  type Nats,
  type Outcome,
  openDeadLetters,
  type Publisher,
} from '@cloudapi2/nats'
import type { Logger, Metrics, Readiness } from '@cloudapi2/service-kit'
import { messagesPerSecondOf, type TenantDirectory, untilLoaded } from '@cloudapi2/tenants'
import type { FastifyInstance } from 'fastify'
import { admission } from './access/access.routes.ts'
import { buildApp } from './app.ts'
import type { Channel } from './channel/channel.ts'
import type { Config } from './config.ts'
import { submitCommand } from './direct-send/submit-command.handler.ts'
import { createIntake } from './lanes/intake.handler.ts'
import { createIntakePace } from './lanes/intake-pace.ts'
import { type Intakes, startIntakes } from './lanes/intakes.handler.ts'
import { laneWindow } from './lanes/lane-window.ts'
import { createLanes, type Lanes } from './lanes/lanes.handler.ts'
import { createPassage } from './meta-api/graph-passage.client.ts'
import { hearInbound } from './pacing/inbound-traffic.client.ts'
import { numberAlarms } from './pacing/number-alarms.handler.ts'
import { createPacing, inFlightByRate } from './pacing/pacing.ts'
import { createRateLimiter } from './rate-limit/sliding-window.ts'
import { createLedger } from './send-command/ledger.store.ts'
import { ledgerSearch } from './send-command/ledger-search.client.ts'
import type { Pause } from './send-command/persistence.ts'
import { workCommandHandler } from './send-command/work-command.handler.ts'
import { startSettlement } from './settlement/settlement.app.ts'
import { hearTemplateChanges } from './template/template-changes.client.ts'
import { templateStore } from './template/templates.store.ts'
import { conversationClient } from './tenant-resolution/conversation.client.ts'
import { senderLookup } from './tenant-resolution/sender-lookup.handler.ts'

/** Answered from the projector's database by one key. */
const QUERY_TIMEOUT_MS = 2_000
/** Commands of one company on their way into their lanes at the same time: more would be in the way of the others'. */
const INTAKE_CONCURRENCY = 128
const INTAKE_IDLE_MS = 3_000
/** A lane costs the server about a millisecond to open: it may stay a while without work. */
const LANE_IDLE_MS = 10_000
/** What a sender leaves behind that dies is found by the others after its lease and this. */
const LANE_SWEEP_MS = 3_000
/** What a call may last beyond its time-out, and clocks may differ. */
const CALL_SLACK_MS = 5_000
/** A channel that failed so often in a row for one number is asked by one call at a time, seldom, until it answers. */
const CIRCUIT = { failuresToShut: 5, probeMs: 1_000, probeCapMs: 30_000, pauseFirstProbeMs: 5_000 }

export interface ServiceDeps {
  config: Pick<
    Config,
    | 'adminToken'
    | 'concurrency'
    | 'graph'
    | 'metaWaitMs'
    | 'pauseProbeMs'
    | 'retries'
    | 'sendWaitMs'
    | 'uncertainGraceMs'
  >
  log: Logger
  metrics: Metrics
  readiness: Readiness
  nats: Nats
  publisher: Publisher
  tenants: TenantDirectory
  ledgerBucket: KvBucket
  templatesBucket: KvBucket
  leasesBucket: KvBucket
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
  const deadLetters = openDeadLetters(nats, { timeoutMs: QUERY_TIMEOUT_MS })
  const numberChanges = metrics.counter('sender_number_changes_total', 'What happened to numbers', ['change'])
  const pacing = createPacing({
    clock: {
      now: () => performance.now(),
      after: (ms, run) => {
        const timer = setTimeout(run, ms)
        timer.unref()
        return () => clearTimeout(timer)
      },
    },
    random: Math.random,
    maxInFlight: config.concurrency,
    pace: {
      throttle: config.retries,
      gate: { ...CIRCUIT, pauseProbeMs: config.pauseProbeMs },
      maxInFlight: inFlightByRate(config.concurrency),
    },
    onChange: numberAlarms({
      channel: channel.name,
      publisher,
      log,
      count: (change) => numberChanges.inc({ change }),
      now,
      pause,
      stopping: stopping.signal,
    }),
  })
  tenants.onChange((companyId) => pacing.credentialsAre(companyId, tenants.get(companyId)?.accessToken))
  const stopHearing = hearInbound(nats, (phoneNumberId) => {
    const tenant = tenants.byPhoneNumberId(phoneNumberId)
    if (tenant === undefined) return
    const { companyId } = tenant
    pacing.countInbound({ companyId, phoneNumberId, messagesPerSecond: messagesPerSecondOf(tenant, phoneNumberId) })
  })
  metrics.gauge('sender_numbers_paused', 'Numbers whose account is refused', [], () => pacing.numbers().paused)
  metrics.gauge('sender_numbers_down', 'Numbers whose circuit is open', [], () => pacing.numbers().down)
  metrics.gauge('sender_turns_waited_for', 'Commands that wait for their turn', [], pacing.waiting)
  metrics.gauge('sender_calls_in_flight', 'Calls to the channel under way', [], pacing.inFlight)
  const outcomes = createCommandOutcomes(nats)

  const concluded = metrics.counter('sender_commands_total', 'Commands that came to an end, by how', ['outcome'])
  const calls = metrics.histogram(
    'sender_channel_call_seconds',
    'Calls to the channel, by result',
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    ['result'],
  )
  const inHand = metrics.gauge('sender_commands_in_hand', 'Commands taken and not ended, those that wait included')

  const templates = templateStore({ bucket: deps.templatesBucket, channel, log, now })
  const stopHearingTemplates = hearTemplateChanges({ nats, channel, templates, log })
  const handler = workCommandHandler({
    tenants,
    channel,
    ledger,
    lookup,
    templates,
    pacing,
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

  const work = async (delivery: Delivery, leaving?: AbortSignal): Promise<Outcome> => {
    inHand.inc()
    try {
      return await handler(delivery, leaving)
    } finally {
      inHand.dec()
    }
  }
  const leases = createLeases({
    bucket: deps.leasesBucket,
    log,
    ttlMs: LEASE_TTL_MS,
  })
  const rateOf = (phoneNumberId: string) => messagesPerSecondOf(tenants.byPhoneNumberId(phoneNumberId), phoneNumberId)
  let lanes: Lanes | undefined
  let intakes: Intakes | undefined
  const consume = async () => {
    await untilLoaded(tenants, stopping.signal)
    lanes = createLanes({
      nats,
      log,
      publisher,
      leases,
      work,
      window: (phoneNumberId) => laneWindow(rateOf(phoneNumberId)),
      idleMs: LANE_IDLE_MS,
      sweepMs: LANE_SWEEP_MS,
      stopping: stopping.signal,
    })
    intakes = startIntakes({
      nats,
      log,
      publisher,
      intake: createIntake({
        lookup,
        publisher,
        work,
        onQueued: lanes.ensure,
        pace: createIntakePace({
          messagesPerSecond: rateOf,
          now: () => performance.now(),
        }),
        pause,
        stopping: stopping.signal,
      }),
      concurrency: INTAKE_CONCURRENCY,
      idleMs: INTAKE_IDLE_MS,
      sweepMs: LANE_SWEEP_MS,
      stopping: stopping.signal,
    })
  }
  metrics.gauge('sender_lanes', 'Numbers with work, worked on by this process', [], () => lanes?.owned() ?? 0)
  let settlement: Consumer | undefined
  const settle = async () => {
    settlement = await startSettlement({ nats, log, metrics, publisher, ledger, deadLetters })
  }
  const starting = Promise.all([consume(), settle()]).then(
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
    intakes?.isStarted() ? { ok: true } : { ok: false, reason: 'commands are not taken yet' },
  )

  const passage = createPassage(config.graph)
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
    metaWaitMs: config.metaWaitMs,
    passage,
    graphBaseUrl: config.graph.baseUrl,
    ledger,
    deadLetters,
    publisher,
    now,
  })

  return {
    app,
    stop: async () => {
      readiness.set('running', false, 'stopping')
      const closing = app.close() // no new requests; those who wait for an outcome go on waiting
      stopping.abort(new Error('the service is stopping'))
      await starting
      await Promise.all([intakes?.stop(), lanes?.stop(), settlement?.stop()])
      leaving.abort(new Error('the service is stopping'))
      await closing
      await passage.close()
      outcomes.stop()
      stopHearing()
      stopHearingTemplates()
      pacing.stop()
    },
  }
}
