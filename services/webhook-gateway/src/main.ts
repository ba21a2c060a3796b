import { BUCKETS, connectNats, createPublisher, openKv, requireTopology } from '@cloudapi2/nats'
import {
  configOrExit,
  createLog,
  createMetrics,
  createReadiness,
  listenOrExit,
  onShutdown,
} from '@cloudapi2/service-kit'
import { createTenantDirectory } from '@cloudapi2/tenants'
import { buildApp } from './app.ts'
import { parseConfig } from './config.ts'

const SERVICE = 'webhook-gateway'

const config = configOrExit(parseConfig)
const log = createLog({ service: SERVICE, level: config.logLevel })
const metrics = createMetrics(SERVICE)
const readiness = createReadiness()
log.info({ event: 'service.starting', host: config.host, port: config.port, maxBodyBytes: config.maxBodyBytes })
if (config.allowUnsigned) log.warn({ event: 'webhook.unsigned_allowed' })

const nats = await connectNats({ url: config.natsUrl, name: SERVICE, log })
await requireTopology(nats, config.topology)
if (nats.maxPayloadBytes() < config.maxBodyBytes)
  // An event can be nearly as large as the webhook that brought it.
  log.warn({ event: 'nats.max_payload_small', maxPayloadBytes: nats.maxPayloadBytes(), needed: config.maxBodyBytes })
const publisher = createPublisher(nats, { timeoutMs: config.publishTimeoutMs })
const tenants = await createTenantDirectory({
  source: await openKv(nats, BUCKETS.tenants, log),
  keys: config.secretsKeys,
  log,
})

readiness.watch('nats', () => (nats.isConnected() ? { ok: true } : { ok: false, reason: 'no connection to NATS' }))
readiness.watch('tenants', () =>
  tenants.isLoaded() ? { ok: true } : { ok: false, reason: 'no snapshot of the tenants yet' },
)

const app = buildApp({
  ...config,
  log,
  metrics,
  readiness,
  tenants,
  publisher,
  now: () => new Date(),
})
onShutdown(log, async () => {
  readiness.set('running', false, 'stopping')
  await app.close() // answers what is in hand
  tenants.stop()
  publisher.close()
  await nats.close()
})
await listenOrExit(app, config, log)
