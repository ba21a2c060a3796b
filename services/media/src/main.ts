import {
  BUCKETS,
  connectNats,
  createPublisher,
  MEDIA_BUCKET,
  openKv,
  openObjectBucket,
  requireTopology,
} from '@cloudapi2/nats'
import {
  configOrExit,
  createLog,
  createMetrics,
  createReadiness,
  listenOrExit,
  onShutdown,
} from '@cloudapi2/service-kit'
import { createTenantDirectory } from '@cloudapi2/tenants'
import { createMediaClient } from '@cloudapi2/whatsapp'
import { parseConfig } from './config.ts'
import { startService } from './service.app.ts'
import { natsObjectStore } from './store/nats-objects.store.ts'

const SERVICE = 'media'

const config = configOrExit(parseConfig)
const log = createLog({ service: SERVICE, level: config.logLevel })
log.info({
  event: 'service.starting',
  host: config.host,
  port: config.port,
  graph: config.graph,
  store: config.s3 === undefined ? 'nats' : 's3',
})

const nats = await connectNats({ url: config.natsUrl, name: SERVICE, log })
await requireTopology(nats, config.topology)
const publisher = createPublisher(nats, { timeoutMs: config.publishTimeoutMs })
const tenants = await createTenantDirectory({
  source: await openKv(nats, BUCKETS.tenants, log),
  keys: config.secretsKeys,
  log,
})
const store =
  config.s3 === undefined
    ? natsObjectStore(openObjectBucket(nats, MEDIA_BUCKET, { timeoutMs: config.publishTimeoutMs }))
    : // Amazon's SDK is loaded only where it is used.
      (await import('./store/s3.store.ts')).s3Store(config.s3)
const channel = createMediaClient(config.graph)

const service = startService({
  config,
  log,
  metrics: createMetrics(SERVICE),
  readiness: createReadiness(),
  nats,
  publisher,
  tenants,
  store,
  indexBucket: await openKv(nats, BUCKETS.mediaIndex, log),
  channel,
})
onShutdown(log, async () => {
  await service.stop()
  await channel.close()
  await store.close()
  tenants.stop()
  publisher.close()
  await nats.close()
})
await listenOrExit(service.app, config, log)
