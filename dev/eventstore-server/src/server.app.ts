import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { appendRoute, batchAppendRoute, type WriteDeps } from './append.routes.ts'
import { deleteRoute, tombstoneRoute } from './delete.routes.ts'
import { gossipRoute, supportedMethodsRoute } from './discovery.routes.ts'
import { createEventStore } from './event-store.ts'
import { createFaults, type Faults } from './faults.ts'
import { unavailable } from './grpc-errors.ts'
import { noJournal, openJournal } from './journal.store.ts'
import { createOpenCalls } from './open-calls.ts'
import { GossipService, ServerFeaturesService, StreamsService } from './protocol.ts'
import { readRoute } from './read.routes.ts'
import { writeAhead } from './write-ahead.ts'
import { createWriter } from './writer.ts'

export interface EventStoreServerOptions {
  /** 0, the default: one that is free. */
  port?: number
  /** Keeps the events in `events.jsonl` in this folder; they are there again at the next start. */
  dir?: string
  /** The file itself, instead of `dir`. With neither, events are gone when the server stops. */
  dataFile?: string
  /**
   * Ids of so many of the last events are remembered, by which a repeat with `any` is known. A real node has 8 MiB of
   * them, some 100,000; make it small to see what happens to a client that relies on it.
   *
   * @default 100,000
   */
  recentIds?: number
  /** Whether the server announces BatchAppend; without it the client appends with one call each. Default true. */
  batchAppend?: boolean
  /** Bytes of one append, all its events together. Default 1 MiB, as on a real node. */
  maxAppendSize?: number
}

export interface EventStoreServer {
  /** `esdb://127.0.0.1:PORT?tls=false` */
  url: string
  port: number
  faults: Faults
  /** Cuts the calls that are open, closes the port and the file. */
  stop: () => Promise<void>
  /** As if the process were killed: every connection breaks off, nothing is said. */
  kill: () => Promise<void>
}

const HOST = '127.0.0.1'

/**
 * Starts a server that speaks EventStoreDB's protocol, as far as its README says, on this machine only.
 *
 * @throws when the port is taken, or the file cannot be opened or read
 */
export const startEventStoreServer = async (options: EventStoreServerOptions = {}): Promise<EventStoreServer> => {
  const { recentIds = 100_000, batchAppend = true, maxAppendSize = 1024 * 1024 } = options
  const dataFile = options.dataFile ?? (options.dir === undefined ? undefined : join(options.dir, 'events.jsonl'))
  const store = createEventStore({ recentIds })
  const journal =
    dataFile === undefined ? noJournal : openJournal(dataFile, (commit) => store.apply(commit, { isReplay: true }))

  const listeners = new Set<() => void>()
  const openCalls = createOpenCalls()
  const faults = createFaults(() => openCalls.cutAll(unavailable('the server is away')))
  const now = () => Date.now()
  const writer = createWriter({
    store,
    journal,
    now,
    newId: randomUUID,
    onWritten: () => {
      for (const listener of [...listeners]) listener()
    },
  })
  const onWritten = (listener: () => void) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  const server = new Server({ interceptors: [writeAhead] })
  let port = 0
  const writeDeps: WriteDeps = { writer, faults, openCalls, maxAppendSize, now }
  server.addService(StreamsService, {
    read: readRoute({ store, faults, openCalls, now, onWritten }),
    append: appendRoute(writeDeps),
    batchAppend: batchAppendRoute(writeDeps),
    delete: deleteRoute(writeDeps),
    tombstone: tombstoneRoute(writeDeps),
  })
  server.addService(ServerFeaturesService, { getSupportedMethods: supportedMethodsRoute(faults, { batchAppend }) })
  server.addService(GossipService, { read: gossipRoute(faults, () => ({ host: HOST, port })) })
  try {
    port = await listen(server, options.port ?? 0)
  } catch (error) {
    journal.close()
    throw error
  }

  let stopping: Promise<void> | undefined
  const close = (isKill: boolean) => {
    stopping ??= closeServer(server, isKill ? undefined : () => openCalls.cutAll(unavailable('the server stops'))).then(
      journal.close,
    )
    return stopping
  }
  return {
    url: `esdb://${HOST}:${port}?tls=false`,
    port,
    faults: faults.controls,
    stop: () => close(false),
    kill: () => close(true),
  }
}

const listen = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(`${HOST}:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(new Error(`eventstore-server: port ${port}: ${error.message}`)),
    )
  })

const GRACE_MS = 500

/** Ends when the port is free. `cut` tells the clients; a client that does not hang up then is not waited for long. */
const closeServer = (server: Server, cut: (() => void) | undefined): Promise<void> =>
  new Promise((resolve) => {
    const force = () => server.forceShutdown()
    cut?.()
    const timer = setTimeout(force, GRACE_MS)
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve()
    })
    if (cut === undefined) force()
  })
