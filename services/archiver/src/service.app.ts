import { setMaxListeners } from 'node:events'
import { type ArchivePosition, subjects } from '@cloudapi2/contracts'
import type { ArchiveWriter } from '@cloudapi2/event-log'
import {
  backoffMs,
  createLeases,
  EVENTS,
  type KvBucket,
  LEASE_TTL_MS,
  lookUpMessage,
  type Nats,
  type Publisher,
  streamExtent,
} from '@cloudapi2/nats'
import { createHttp, type Logger, type Metrics, type Readiness } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { writeAnchors } from './anchors/anchors.handler.ts'
import { type CopyObserver, copyLog } from './archive/copy-log.handler.ts'
import type { Config } from './config.ts'
import { pause, repeatedly } from './repeatedly.ts'

/** How often one who stands by asks for the work. */
const TAKE_EVERY_MS = 1_000
/** How often the end of the log is looked up for the metrics. */
const LOOK_EVERY_MS = 5_000
const LEASE = 'archiver'

export interface ServiceDeps {
  config: Pick<Config, 'anchorIntervalMs'>
  log: Logger
  metrics: Metrics
  readiness: Readiness
  nats: Nats
  publisher: Publisher
  leasesBucket: KvBucket
  checkpoints: KvBucket
  /** Undefined: nothing is copied. */
  archive: ArchiveWriter | undefined
}

export interface Service {
  app: FastifyInstance
  /** Finishes the append in hand and lets another one work at once. */
  stop: () => Promise<void>
}

/**
 * Puts the service together and starts it. Of all archivers one works, by lease; the others stand by, ready to take over.
 * `app` listens to nothing yet.
 */
export const startService = (deps: ServiceDeps): Service => {
  const { config, log, metrics, readiness, nats, publisher, archive } = deps
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal)

  let isWorking = false
  let archived: number | undefined
  let chained: number | undefined
  /** Every event up to here is told of by an anchor. */
  let anchored: number | undefined
  let logEnd = 0
  let trouble: string | undefined

  const events = metrics.counter('archiver_events_total', 'Events stored in the archive')
  const refusals = metrics.counter('archiver_refused_total', 'Events that the archive refuses for good', ['code'])
  const anchors = metrics.counter('archiver_anchors_total', 'Audit anchors written')
  metrics.gauge('archiver_working', '1 for the archiver at work, 0 for one that stands by', [], () => Number(isWorking))
  if (archive !== undefined) {
    metrics.gauge('archiver_position', 'Every event of the log up to here is in the archive', [], () => archived ?? 0)
    metrics.gauge('archiver_lag_events', 'Positions of the log that are not in the archive yet', [], () =>
      isWorking ? Math.max(0, logEnd - (archived ?? 0)) : 0,
    )
  }
  metrics.gauge('archiver_chain_lag_events', 'Positions of the log that are in no audit chain yet', [], () =>
    isWorking ? Math.max(0, logEnd - (chained ?? 0)) : 0,
  )

  readiness.watch('nats', () => (nats.isConnected() ? { ok: true } : { ok: false, reason: 'no connection to NATS' }))
  if (archive !== undefined)
    readiness.watch('archive', () => (trouble === undefined ? { ok: true } : { ok: false, reason: trouble }))

  const observe: CopyObserver = {
    position: (position) => {
      archived = position
      logEnd = Math.max(logEnd, position)
    },
    archived: (count) => events.inc(count),
    refused: (code) => refusals.inc({ code }),
    trouble: (reason) => {
      trouble = reason
    },
  }

  const leases = createLeases({
    bucket: deps.leasesBucket,
    log,
    ttlMs: LEASE_TTL_MS,
  })

  /** Both go on by themselves after a failure; what they know they find out anew. */
  const untilAborted = async (name: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> => {
    for (let tries = 1; !signal.aborted; tries++) {
      const startedAt = performance.now()
      try {
        await work()
      } catch (err) {
        if (signal.aborted) return
        log.error({ event: `${name}.failed`, tries, err })
        if (performance.now() - startedAt > 60_000) tries = 1
        await pause(backoffMs(tries), signal)
      }
    }
  }

  const answerPosition = (): (() => void) =>
    nats.respond(subjects.archivePosition, LEASE, async (request) => {
      // As it is now: it moves while the log is asked.
      const upTo = archived
      // What is gone by age is not waited for: the next one that is there counts.
      const missing = await lookUpMessage(nats, EVENTS, { firstOn: subjects.allEvents, from: (upTo ?? 0) + 1 })
      const answer: ArchivePosition = {
        position: upTo ?? 0,
        enabled: archive !== undefined,
        // Undefined: it has not been asked yet where the archive stands.
        caught_up: upTo !== undefined && missing === undefined,
        anchored: anchored ?? 0,
      }
      request.respond(JSON.stringify(answer))
    })

  const work = async (signal: AbortSignal): Promise<void> => {
    const stopAnswering = answerPosition()
    try {
      await Promise.all([
        untilAborted('anchors', signal, () =>
          writeAnchors(
            {
              nats,
              publisher,
              log,
              intervalMs: config.anchorIntervalMs,
              now: Date.now,
              onAnchor: () => anchors.inc(),
              onPosition: (position) => {
                chained = position
                logEnd = Math.max(logEnd, position)
              },
              onAnchored: (position) => {
                anchored = position
              },
            },
            signal,
          ),
        ),
        archive === undefined
          ? undefined
          : untilAborted('archive', signal, () =>
              copyLog({ nats, publisher, archive, checkpoints: deps.checkpoints, log, observe }, signal),
            ),
        repeatedly(LOOK_EVERY_MS, signal, async () => {
          const extent = await streamExtent(nats, EVENTS).catch(() => undefined) // the metrics stay as they were
          if (extent !== undefined) logEnd = extent.last
        }),
      ])
    } finally {
      stopAnswering()
    }
  }

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const lost = new AbortController()
      const lease = await leases
        .take(LEASE, () => lost.abort())
        .catch((err: unknown) => void log.warn({ event: 'lease.not_taken', err }))
      if (lease !== undefined) {
        const signal = AbortSignal.any([stopping.signal, lost.signal])
        setMaxListeners(0, signal)
        isWorking = true
        log.info({ event: 'archiver.working', archive: archive !== undefined })
        await work(signal)
        isWorking = false
        archived = undefined
        chained = undefined
        anchored = undefined
        trouble = undefined
        await lease.release()
        log.info({ event: 'archiver.standing_by' })
      }
      await pause(TAKE_EVERY_MS, stopping.signal)
    }
  }
  const running = run()

  const app = createHttp({ log, metrics, readiness, bodyLimitBytes: 1_024 })
  return {
    app,
    stop: async () => {
      readiness.set('running', false, 'stopping')
      stopping.abort()
      await Promise.all([running, app.close()])
    },
  }
}
