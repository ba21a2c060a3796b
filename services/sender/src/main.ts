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
import { createGraphClient } from '@cloudapi2/whatsapp'
import { whatsappChannel } from './channel/whatsapp.client.ts'
import { parseConfig } from './config.ts'
import { startService } from './service.app.ts'

const SERVICE = 'sender'

const config = configOrExit(parseConfig)
const log = createLog({ service: SERVICE, level: config.logLevel })
log.info({ event: 'service.starting', host: config.host, port: config.port, graph: config.graph })

const nats = await connectNats({ url: config.natsUrl, name: SERVICE, log })
await requireTopology(nats, config.topology)
const publisher = createPublisher(nats, { timeoutMs: config.publishTimeoutMs })
const tenants = await createTenantDirectory({
  source: await openKv(nats, BUCKETS.tenants, log),
  keys: config.secretsKeys,
  log,
})
const graph = createGraphClient(config.graph)

const service = startService({
  config,
  log,
  metrics: createMetrics(SERVICE),
  readiness: createReadiness(),
  nats,
  publisher,
  tenants,
  ledgerBucket: await openKv(nats, BUCKETS.sendLedger, log),
  leasesBucket: await openKv(nats, BUCKETS.leases, log),
  templatesBucket: await openKv(nats, BUCKETS.templates, log),
  channel: whatsappChannel(graph),
})
onShutdown(log, async () => {
  await service.stop()
  await graph.close()
  tenants.stop()
  publisher.close()
  await nats.close()
})
await listenOrExit(service.app, config, log)
