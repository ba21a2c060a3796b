import { startNats } from '@cloudapi2/embedded'
import { applyTopology, connectNats, createPublisher, type Nats, type NatsLog } from '@cloudapi2/nats'
import type { LogRig } from './event-log.contract.ts'
import type { EventLog } from './event-log.ts'
import { jetStreamLog } from './jetstream-log.client.ts'

const silent: NatsLog = { info: () => {}, warn: () => {}, error: () => {} }

/** The log on a nats-server of its own. */
export const natsLogRig = async (): Promise<
  LogRig & { log: EventLog; nats: Nats; empty: NonNullable<LogRig['empty']> }
> => {
  const server = await startNats()
  const nats = await connectNats({ url: server.url, name: 'log', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  const publisher = createPublisher(nats, { timeoutMs: 5_000 })
  return {
    log: jetStreamLog({ nats, publisher }),
    nats,
    restart: async () => {
      await server.kill()
      await server.restart()
    },
    empty: natsLogRig,
    close: async () => {
      publisher.close()
      await nats.close()
      await server.stop()
    },
  }
}
