import { connectEventStore } from '@cloudapi2/event-log'
import { BUCKETS, connectNats, createPublisher, openKv, requireTopology } from '@cloudapi2/nats'
import {
  configOrExit,
  createLog,
  createMetrics,
  createReadiness,
  listenOrExit,
  onShutdown,
} from '@cloudapi2/service-kit'
import { parseConfig } from './config.ts'
import { startService } from './service.app.ts'

const SERVICE = 'archiver'

const config = configOrExit(parseConfig)
const log = createLog({ service: SERVICE, level: config.logLevel })
log.info({
  event: 'service.starting',
  host: config.host,
  port: config.port,
  archive: config.eventStoreUrl !== undefined,
  anchorIntervalMs: config.anchorIntervalMs,
})

const nats = await connectNats({ url: config.natsUrl, name: SERVICE, log })
await requireTopology(nats, config.topology)
const publisher = createPublisher(nats, { timeoutMs: config.publishTimeoutMs })
const archive = config.eventStoreUrl === undefined ? undefined : connectEventStore(config.eventStoreUrl)

const service = startService({
  config,
  log,
  metrics: createMetrics(SERVICE),
  readiness: createReadiness(),
  nats,
  publisher,
  leasesBucket: await openKv(nats, BUCKETS.leases, log),
  checkpoints: await openKv(nats, BUCKETS.checkpoints, log),
  archive,
})
onShutdown(log, async () => {
  await service.stop()
  await archive?.close()
  publisher.close()
  await nats.close()
})
await listenOrExit(service.app, config, log)
