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

const config = configOrExit(parseConfig)
const log = createLog({ service: 'tenant-config', level: config.logLevel })
log.info({
  event: 'service.starting',
  sealing_key: config.secretsKeys.firstId,
  compare_interval_ms: config.compareIntervalMs,
})

const nats = await connectNats({ url: config.natsUrl, name: 'tenant-config', log })
await requireTopology(nats, config.topology)
const publisher = createPublisher(nats, { timeoutMs: config.publishTimeoutMs })
const kv = await openKv(nats, BUCKETS.tenants, log)

const service = startService({
  config,
  log,
  nats,
  publisher,
  kv,
  metrics: createMetrics('tenant-config'),
  readiness: createReadiness(),
})
await listenOrExit(service.app, config, log)

onShutdown(log, async () => {
  await service.stop() // finish what is in hand
  publisher.close()
  await nats.close()
})
