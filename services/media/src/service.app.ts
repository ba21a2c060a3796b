import { setTimeout as wait } from 'node:timers/promises'
import { subjects } from '@cloudapi2/contracts'
import {
  type Consumer,
  consumeEach,
  EVENTS,
  type KvBucket,
  MEDIA_INDEX_CONSUMER,
  MEDIA_RETENTION_CONSUMER,
  type Nats,
  type Publisher,
} from '@cloudapi2/nats'
import type { Logger, Metrics, Readiness } from '@cloudapi2/service-kit'
import { type TenantDirectory, untilLoaded } from '@cloudapi2/tenants'
import type { MediaClient } from '@cloudapi2/whatsapp'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import type { Config } from './config.ts'
import { createTurns } from './fetching/company-turns.ts'
import { fetchAttempt } from './fetching/fetch-attempt.client.ts'
import { fetchMedia } from './fetching/fetch-media.handler.ts'
import { mediaIndex } from './index/media-index.store.ts'
import { rememberMedia } from './index/remember-media.handler.ts'
import { indexedFiles } from './retention/indexed-files.client.ts'
import { removeFiles } from './retention/remove-files.handler.ts'
import type { MediaStore } from './store/media-store.ts'

/** Between attempts at a consumer that could not be had. */
const RETRY_MS = 1_000
/**
 * Files that wait in the stream for another try. Beyond that nothing new is taken until some are through: a hundred thousand
 * is what a large company whose token is refused receives in days.
 */
const MAX_WAITING = 100_000
/** One company's share of all places. */
const COMPANY_SHARE = 8
const INDEX_CONCURRENCY = 16
const SWEEP_EVERY_MS = 6 * 3_600_000

export interface ServiceDeps {
  config: Pick<Config, 'adminToken' | 'downloadTimeoutMs' | 'maxInFlight' | 'pauseMs' | 'retries'>
  log: Logger
  metrics: Metrics
  readiness: Readiness
  nats: Nats
  publisher: Publisher
  tenants: TenantDirectory
  store: MediaStore
  indexBucket: KvBucket
  channel: Pick<MediaClient, 'lookUp' | 'download'>
}

export interface Service {
  app: FastifyInstance
  /** Takes nothing new, breaks off what is on its way and hands it back. */
  stop: () => Promise<void>
}

/** Puts the service together and starts it as soon as the tenants are known. `app` listens to nothing yet. */
export const startService = (deps: ServiceDeps): Service => {
  const { config, log, metrics, readiness, nats, publisher, tenants, store, channel } = deps
  const stopping = new AbortController()
  const { signal } = stopping
  const index = mediaIndex(deps.indexBucket)
  const perCompany = Math.max(1, Math.floor(config.maxInFlight / COMPANY_SHARE))
  const turns = createTurns({ perCompany, pauseMs: config.pauseMs })

  const outcomes = metrics.counter(
    'media_fetches_total',
    'Attempts to bring a file into the store, by how they ended',
    ['outcome'],
  )
  const removals = metrics.counter('media_removed_total', 'Files of messages that were removed by age', ['what'])
  const bytes = metrics.counter('media_bytes_total', 'Bytes of files brought into the store')
  const seconds = metrics.histogram(
    'media_fetch_seconds',
    'From taking up a file to its end',
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600],
    ['outcome'],
  )
  const answers = metrics.counter('media_answers_total', 'Answers to requests for files', ['status'])
  const inFlight = metrics.gauge('media_in_flight', 'Files being fetched')
  metrics.gauge('media_companies_paused', 'Companies whose token is refused', [], turns.paused)

  const handler = fetchMedia({
    tenants,
    turns,
    fetch: fetchAttempt({ channel, store, downloadTimeoutMs: config.downloadTimeoutMs, stopping: signal }),
    store,
    index,
    publisher,
    retries: config.retries,
    pauseMs: config.pauseMs,
    log,
    observe: ({ outcome, seconds: took, sizeBytes }) => {
      outcomes.inc({ outcome })
      seconds.observe({ outcome }, took)
      if (outcome === 'stored') bytes.inc(sizeBytes)
    },
    now: Date.now,
    random: Math.random,
    stopping: signal,
  })

  const consumers: Consumer[] = []
  readiness.watch('nats', () => (nats.isConnected() ? { ok: true } : { ok: false, reason: 'no connection to NATS' }))
  readiness.watch('tenants', () =>
    tenants.isLoaded() ? { ok: true } : { ok: false, reason: 'no snapshot of the tenants yet' },
  )
  readiness.watch('media', () =>
    consumers.length === 3 ? { ok: true } : { ok: false, reason: 'the consumers of events have not started' },
  )

  const start = async (): Promise<void> => {
    await untilLoaded(tenants, signal)
    const common = { nats, log, publisher, service: 'media', stream: EVENTS }
    consumers.push(
      await untilItWorks(() =>
        consumeEach({
          ...common,
          durable: MEDIA_INDEX_CONSUMER,
          filterSubjects: [subjects.eventsOfType('media.stored'), subjects.eventsOfType('media.failed')],
          concurrency: INDEX_CONCURRENCY,
          handler: rememberMedia(index),
        }),
      ),
    )
    consumers.push(
      await untilItWorks(() =>
        consumeEach({
          ...common,
          durable: MEDIA_RETENTION_CONSUMER,
          filterSubjects: [subjects.eventsOfType('retention.applied')],
          concurrency: 1,
          handler: remove,
        }),
      ),
    )
    consumers.push(
      await untilItWorks(() =>
        consumeEach({
          ...common,
          durable: 'media',
          filterSubjects: [subjects.eventsOfType('message.created')],
          concurrency: config.maxInFlight,
          maxUnacknowledged: MAX_WAITING,
          handler: async (delivery) => {
            inFlight.inc()
            try {
              return await handler(delivery)
            } finally {
              inFlight.dec()
            }
          },
        }),
      ),
    )
  }
  const remove = removeFiles({
    files: indexedFiles(nats),
    index,
    store,
    log,
    count: ({ contents, entries }) => {
      removals.inc({ what: 'content' }, contents)
      removals.inc({ what: 'entry' }, entries)
    },
    now: Date.now,
    stopping: signal,
  })
  const untilItWorks = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        signal.throwIfAborted()
        log.error({ event: 'media.not_started', reason: (error as Error).message })
        await wait(RETRY_MS, undefined, { signal })
      }
    }
  }

  const sweep = async (): Promise<void> => {
    for (;;) {
      try {
        // Twice as long as anybody may be at it.
        const swept = await store.sweep(2 * config.downloadTimeoutMs)
        if (swept > 0) log.info({ event: 'media.swept', uploads: swept })
      } catch (error) {
        log.warn({ event: 'media.sweep_failed', reason: (error as Error).message })
      }
      await wait(SWEEP_EVERY_MS, undefined, { signal, ref: false })
    }
  }
  const running = [start(), sweep()].map((work) =>
    work.catch((error: unknown) => {
      if (!signal.aborted) throw error
    }),
  )

  const app = buildApp({
    log,
    metrics,
    readiness,
    adminToken: config.adminToken,
    tenants,
    index,
    store,
    count: (status) => answers.inc({ status: String(status) }),
  })

  return {
    app,
    stop: async () => {
      readiness.set('running', false, 'stopping')
      const closing = app.close()
      stopping.abort(new Error('the service is stopping'))
      await Promise.all(running)
      await Promise.all(consumers.map((consumer) => consumer.stop()))
      await closing
    },
  }
}
