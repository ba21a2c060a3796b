import { setTimeout as wait } from 'node:timers/promises'
import { subjects } from '@cloudapi2/contracts'
import { type Consumer, consumeBatches, EVENTS, type Nats, type Publisher } from '@cloudapi2/nats'
import {
  createMessageQueries,
  createProjectionStore,
  createRetentionStore,
  createSendQueries,
  FOLDED_TYPES,
  migrate,
  openDatabase,
} from '@cloudapi2/read-model'
import type { Logger, Metrics, Readiness } from '@cloudapi2/service-kit'
import { type TenantDirectory, untilLoaded } from '@cloudapi2/tenants'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import { type Config, MAX_BATCH_SIZE } from './config.ts'
import { answerLatestConversation } from './conversation/latest-conversation.handler.ts'
import { projectionHandler } from './projection/projection.handler.ts'
import { projectionMetrics } from './projection/projection-metrics.ts'
import { applyRetention } from './retention/apply-retention.handler.ts'
import { repeat } from './retention/repeat.ts'
import { retentionMetrics } from './retention/retention-metrics.ts'
import { trimLog } from './retention/trim-log.handler.ts'

/** Between attempts at what has to be there before the projection can run. */
const RETRY_MS = 1_000
/** Until retention is tried again after a failure, at the latest. */
const RETENTION_RETRY_MS = 30_000
/** How often PostgreSQL is asked whether it is there. */
const CHECK_MS = 2_000
/**
 * Events in memory at most. The same for every process whatever its batches, because the consumer they share is made
 * with settings that follow from it.
 */
const MAX_BUFFERED = 2 * MAX_BATCH_SIZE

export interface ServiceDeps {
  config: Pick<
    Config,
    'adminToken' | 'batchSize' | 'databaseUrl' | 'poolSize' | 'retentionBatch' | 'retentionIntervalMs'
  >
  log: Logger
  metrics: Metrics
  readiness: Readiness
  nats: Nats
  publisher: Publisher
  tenants: TenantDirectory
}

export interface Service {
  app: FastifyInstance
  /** Takes nothing new, finishes the batch in hand, closes its connections to PostgreSQL. */
  stop: () => Promise<void>
}

/**
 * Puts the projector together and starts it: migrations, then the consumer, each tried again until it works. `app`
 * listens to nothing yet.
 */
export const startService = ({ config, log, metrics, readiness, nats, publisher, tenants }: ServiceDeps): Service => {
  const stopping = new AbortController()
  const { signal } = stopping
  const pool = openDatabase({ ...config, applicationName: 'projector', log })
  // Its own connection: it holds one for as long as it works, however many there are for questions.
  const retentionPool = openDatabase({ ...config, poolSize: 1, applicationName: 'projector-retention', log })
  const queries = createMessageQueries(pool)
  const handler = projectionHandler({
    store: createProjectionStore(pool),
    metrics: projectionMetrics(metrics),
    now: Date.now,
  })
  let consumer: Consumer | undefined

  readiness.watch('nats', () => (nats.isConnected() ? { ok: true } : { ok: false, reason: 'no connection to NATS' }))
  readiness.watch('tenants', () =>
    tenants.isLoaded() ? { ok: true } : { ok: false, reason: 'no snapshot of the tenants yet' },
  )
  readiness.set('postgres', false, 'not asked yet')
  readiness.set('migrations', false, 'not run yet')
  readiness.set('projection', false, 'the consumer of events has not started')

  /** Tries until it works, saying at every attempt what is in the way. */
  const untilItWorks = async (check: string, work: () => Promise<void>): Promise<void> => {
    for (;;) {
      signal.throwIfAborted()
      try {
        await work()
        readiness.set(check, true)
        return
      } catch (error) {
        signal.throwIfAborted()
        log.error({ event: 'projector.not_started', check, reason: reasonOf(error) })
        readiness.set(check, false, reasonOf(error))
        await wait(RETRY_MS, undefined, { signal })
      }
    }
  }

  const start = async (): Promise<void> => {
    await untilItWorks('migrations', async () => {
      const run = await migrate(config.databaseUrl)
      if (run.length > 0) log.info({ event: 'projector.migrated', run })
    })
    await untilItWorks('projection', async () => {
      consumer = await consumeBatches({
        nats,
        log,
        publisher,
        service: 'projector',
        stream: EVENTS,
        durable: 'projector',
        filterSubjects: FOLDED_TYPES.map(subjects.eventsOfType),
        maxBatch: config.batchSize,
        maxBuffered: MAX_BUFFERED,
        handler,
      })
    })
    await Promise.all([keepRetention(), keepLogShort()])
  }

  /** By the settings of the companies: not before all of them are known. */
  const keepRetention = async (): Promise<void> => {
    const counts = retentionMetrics(metrics)
    const run = applyRetention({
      store: createRetentionStore(retentionPool),
      tenants,
      publisher,
      batchSize: config.retentionBatch,
      metrics: counts,
      log,
      now: Date.now,
      stopping: signal,
    })
    await untilLoaded(tenants, signal)
    await repeat({
      intervalMs: config.retentionIntervalMs,
      retryMs: RETENTION_RETRY_MS,
      work: async () => counts.run((await run()) ? 'done' : 'elsewhere'),
      onFailure: (error) => {
        counts.run('failed')
        log.error({ event: 'retention.failed', reason: reasonOf(error) })
      },
      signal,
    })
  }

  const keepLogShort = (): Promise<void> =>
    repeat({
      intervalMs: config.retentionIntervalMs,
      retryMs: RETENTION_RETRY_MS,
      work: trimLog({ nats, log, now: Date.now }),
      onFailure: (error) => log.error({ event: 'log.not_trimmed', reason: reasonOf(error) }),
      signal,
    })

  const watchDatabase = async (): Promise<void> => {
    for (;;) {
      try {
        await pool.query('select 1')
        readiness.set('postgres', true)
      } catch (error) {
        readiness.set('postgres', false, reasonOf(error))
      }
      await wait(CHECK_MS, undefined, { signal })
    }
  }

  const running = [start(), watchDatabase()].map((work) =>
    work.catch((error: unknown) => {
      if (!signal.aborted) throw error
    }),
  )
  const stopAnswering = answerLatestConversation(nats, queries)
  const app = buildApp({
    log,
    metrics,
    readiness,
    adminToken: config.adminToken,
    tenants,
    queries,
    sends: createSendQueries(pool),
  })

  return {
    app,
    stop: async () => {
      readiness.set('running', false, 'stopping')
      const closing = app.close()
      stopping.abort(new Error('the service is stopping'))
      stopAnswering()
      await Promise.all(running)
      await consumer?.stop()
      await closing
      await Promise.all([pool.end(), retentionPool.end()])
    },
  }
}

/** Of a connection that could not be had, its code; an error of several addresses has no message of its own. */
const reasonOf = (error: unknown): string => {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return [code, message].filter((part) => typeof part === 'string' && part !== '').join(': ') || String(error)
}
