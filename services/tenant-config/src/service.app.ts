import type { KvBucket, Nats, Publisher } from '@cloudapi2/nats'
import type { Logger, Metrics, Readiness } from '@cloudapi2/service-kit'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import { createBroadcaster } from './broadcast/broadcast.handler.ts'
import { createReconciler } from './broadcast/reconciler.handler.ts'
import { listenForChanges, type TableChanges } from './broadcast/table-changes.client.ts'
import { createCompaniesStore } from './companies/companies.store.ts'
import type { Config } from './config.ts'
import { createDatabase } from './database/database.client.ts'
import { migrateWhenPossible } from './database/migrate.store.ts'

export interface ServiceDeps {
  config: Pick<Config, 'databaseUrl' | 'poolSize' | 'adminToken' | 'secretsKeys' | 'compareIntervalMs'>
  log: Logger
  nats: Nats
  publisher: Publisher
  kv: KvBucket
  metrics: Metrics
  readiness: Readiness
}

/**
 * Everything of the service but its connection to NATS and its listening. It starts at once and waits for PostgreSQL by
 * itself: until then, and whenever it is away, the routes answer 503 and the service is not ready.
 */
export const startService = ({
  config,
  log,
  nats,
  publisher,
  kv,
  metrics,
  readiness,
}: ServiceDeps): { app: FastifyInstance; stop: () => Promise<void> } => {
  const { databaseUrl, secretsKeys: keys } = config
  const database = createDatabase({ databaseUrl, poolSize: config.poolSize, log })
  const store = createCompaniesStore({ database, keys })
  const broadcaster = createBroadcaster({
    store,
    kv,
    nats,
    publisher,
    keys,
    log,
    broadcasts: metrics.counter('tenant_config_broadcasts_total', 'Companies looked at, by what came of it', [
      'outcome',
    ]),
    now: () => new Date(),
  })
  const reconciler = createReconciler({
    store,
    kv,
    broadcaster,
    keys,
    log,
    intervalMs: config.compareIntervalMs,
  })

  let isMigrated = false
  let changes: TableChanges | undefined
  const migration = migrateWhenPossible(databaseUrl, log, () => {
    isMigrated = true
    // What changed while nobody listened is found by comparing.
    changes = listenForChanges({
      databaseUrl,
      log,
      onChange: (companyId) => (companyId === undefined ? reconciler.compare() : reconciler.changed(companyId)),
      onConnected: () => reconciler.compare(),
    })
  })
  // The server that came back may have lost what it had.
  nats.onConnectionChange((connected) => {
    if (connected && isMigrated) reconciler.compare({ asking: true })
  })

  readiness.watch('nats', () => (nats.isConnected() ? { ok: true } : { ok: false, reason: 'no connection' }))
  readiness.watch('postgres', () => {
    if (!isMigrated) return { ok: false, reason: migration.lastFailure() ?? 'the tables are not there yet' }
    return changes?.isConnected() ? { ok: true } : { ok: false, reason: 'no connection' }
  })
  readiness.watch('companies', () =>
    reconciler.hasCompared()
      ? { ok: true }
      : { ok: false, reason: 'not all were compared with what the services know' },
  )
  const unusable = metrics.gauge('tenant_config_companies_with_problems', 'Companies with problems in their settings')
  const problems = setInterval(() => unusable.set(broadcaster.withProblems()), 5_000)
  problems.unref()

  const app = buildApp({
    adminToken: config.adminToken,
    isMigrated: () => isMigrated,
    store,
    broadcaster,
    keys,
    log,
    metrics,
    readiness,
  })

  return {
    app,
    stop: async () => {
      clearInterval(problems)
      await app.close()
      migration.stop()
      await changes?.stop()
      await reconciler.stop()
      await database.close()
    },
  }
}
