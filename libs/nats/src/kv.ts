import { GatewayError } from '@cloudapi2/contracts'
import { type KV, type KvEntry, NatsError } from 'nats'
import { type Nats, type NatsLog, reasonOf } from './connection.ts'

export interface KvValue {
  key: string
  value: Uint8Array
  /** Grows with every change of the bucket; names this value in `update`. */
  revision: number
}

export interface KvBucket {
  /** Undefined when there is none, or it was deleted or has expired. */
  get: (key: string) => Promise<KvValue | undefined>
  /** Writes whatever was there. Returns the new revision. */
  put: (key: string, value: Uint8Array | string) => Promise<number>
  /** @throws KvConflict when the key exists */
  create: (key: string, value: Uint8Array | string) => Promise<number>
  /** @throws KvConflict when the key is no longer at `revision` */
  update: (key: string, value: Uint8Array | string, revision: number) => Promise<number>
  /**
   * Leaves a marker, which watchers see.
   *
   * @throws KvConflict when a revision is given and the key is no longer at it
   */
  delete: (key: string, revision?: number) => Promise<void>
  /**
   * Calls `onValue` for every key's value now and for every change from then on (`undefined`: deleted or expired), and
   * `onCurrent` whenever everything known to the server has been told. It starts again after every loss of the
   * connection, so a change made meanwhile is not missed; values told before are told again.
   */
  watch: (handlers: {
    onValue: (key: string, value: KvValue | undefined) => void
    onCurrent: () => void
  }) => Promise<() => void>
}

/** Somebody else was first: read again, decide again. */
export class KvConflict extends GatewayError {
  constructor(bucket: string, cause: unknown) {
    super(`another writer changed a key of ${bucket} first`, { code: 'KV_CONFLICT', retryable: true, cause })
  }
}

const WRONG_LAST_SEQUENCE = 10_071

const conflictOr = (bucket: string) => (error: unknown) => {
  if (error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE)
    throw new KvConflict(bucket, error)
  throw error
}

/** An expired key looks to this client like one with an empty value; we never store one. */
const present = (entry: KvEntry | null): KvValue | undefined =>
  entry === null || entry.operation !== 'PUT' || entry.value.length === 0
    ? undefined
    : { key: entry.key, value: entry.value, revision: entry.revision }

/** Opens a bucket that is there already (see `applyTopology`). */
export const openKv = async (nats: Nats, bucket: string, log: NatsLog): Promise<KvBucket> => {
  const kv: KV = await nats.raw.jetstream({ checkAPI: false }).views.kv(bucket, { bindOnly: true, allow_direct: true })
  const encode = (value: Uint8Array | string) => (typeof value === 'string' ? new TextEncoder().encode(value) : value)
  return {
    get: async (key) => present(await kv.get(key)),
    put: (key, value) => kv.put(key, encode(value)),
    create: (key, value) => kv.create(key, encode(value)).catch(conflictOr(bucket)),
    update: (key, value, revision) => kv.update(key, encode(value), revision).catch(conflictOr(bucket)),
    delete: (key, revision) =>
      kv.delete(key, revision === undefined ? {} : { previousSeq: revision }).catch(conflictOr(bucket)),
    watch: (handlers) => watch(nats, kv, bucket, log, handlers),
  }
}

const RETRY_MS = 500

const watch = async (
  nats: Nats,
  kv: KV,
  bucket: string,
  log: NatsLog,
  { onValue, onCurrent }: Parameters<KvBucket['watch']>[0],
): Promise<() => void> => {
  let isStopped = false
  // Each start of the watch is a generation: what an older one still delivers is not heard any more.
  let generation = 0
  let stopCurrent = () => {}

  const start = async () => {
    const mine = ++generation
    stopCurrent()
    const iterator = await kv.watch({
      initializedFn: () => {
        if (mine === generation && !isStopped) onCurrent()
      },
    })
    if (mine !== generation || isStopped) return iterator.stop()
    stopCurrent = () => iterator.stop()
    void (async () => {
      try {
        for await (const entry of iterator) {
          if (mine !== generation || isStopped) return
          onValue(entry.key, present(entry))
        }
      } catch (error) {
        log.error({ event: 'kv.watch_failed', bucket, reason: reasonOf(error) })
      }
      if (mine === generation && !isStopped) restart()
    })()
  }

  const restart = () => {
    if (isStopped || !nats.isConnected()) return // the return of the connection starts it
    start().catch((error: unknown) => {
      log.error({ event: 'kv.watch_failed', bucket, reason: reasonOf(error) })
      setTimeout(restart, RETRY_MS).unref()
    })
  }

  nats.onConnectionChange((connected) => {
    if (connected) restart()
  })
  await start()
  return () => {
    isStopped = true
    stopCurrent()
  }
}
