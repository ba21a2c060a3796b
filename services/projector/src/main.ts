import { BUCKETS, connectNats, createPublisher, openKv, requireTopology } from '@cloudapi2/nats'
import {
  configOrExit,
  createLog,
  createMetrics,
  createReadiness,
  listenOrExit,
  onShutdown,
} from '@cloudapi2/service-kit'
import { tenantsWithoutSecrets } from './access/tenants.client.ts'
import { parseConfig } from './config.ts'
import { startService } from './service.app.ts'

const SERVICE = 'projector'

const config = configOrExit(parseConfig)
const log = createLog({ service: SERVICE, level: config.logLevel })
log.info({ event: 'service.starting', host: config.host, port: config.port, batchSize: config.batchSize })

const nats = await connectNats({ url: config.natsUrl, name: SERVICE, log })
await requireTopology(nats, config.topology)
const publisher = createPublisher(nats, { timeoutMs: config.publishTimeoutMs })
const tenants = await tenantsWithoutSecrets(await openKv(nats, BUCKETS.tenants, log), log)

const service = startService({
  config,
  log,
  metrics: createMetrics(SERVICE),
  readiness: createReadiness(),
  nats,
  publisher,
  tenants,
})
onShutdown(log, async () => {
  await service.stop()
  tenants.stop()
  publisher.close()
  await nats.close()
})
await listenOrExit(service.app, config, log)
