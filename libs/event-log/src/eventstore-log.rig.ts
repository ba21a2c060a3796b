import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EventStoreServer, startEventStoreServer } from '@cloudapi2/eventstore-server'
import type { LogRig } from './event-log.contract.ts'
import { type ArchiveLog, connectEventStore } from './eventstore-log.client.ts'

export type ArchiveRig = LogRig & { log: ArchiveLog; server: () => EventStoreServer }

/** The archive on our own server. */
export const archiveRig = async (): Promise<ArchiveRig> => {
  const dir = await mkdtemp(join(tmpdir(), 'cloudapi2-archive-'))
  let server = await startEventStoreServer({ dir })
  const { url, port } = server
  const log = connectEventStore(url, { deadlineMs: 5_000, patienceMs: 20_000 })
  return {
    log,
    server: () => server,
    restart: async () => {
      await server.kill()
      server = await startEventStoreServer({ dir, port })
    },
    empty: archiveRig,
    close: async () => {
      await log.close()
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** The archive on a node that runs elsewhere, and goes on running. */
export const archiveRigAt = (url: string): LogRig & { log: ArchiveLog } => {
  const log = connectEventStore(url)
  return { log, restart: undefined, empty: undefined, close: log.close }
}
