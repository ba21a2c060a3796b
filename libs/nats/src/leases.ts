import { randomUUID } from 'node:crypto'
import type { NatsLog } from './connection.ts'
import { type KvBucket, KvConflict } from './kv.ts'

/** The right to work on something alone, for as long as it is renewed in time. */
export interface Lease {
  /** Gives it back at once. A failure is no harm: it then ends by itself. */
  release: () => Promise<void>
}

export interface Leases {
  /**
   * Undefined when somebody else has it. One lease of a key at a time per process: it is asked for again after its
   * release, or after `onLost` (it could not be renewed in time, or somebody else has it).
   */
  take: (key: string, onLost: () => void) => Promise<Lease | undefined>
}

export interface LeaseOptions {
  bucket: Pick<KvBucket, 'create' | 'update' | 'delete' | 'get'>
  log: NatsLog
  /** As the bucket forgets them. */
  ttlMs: number
  /** Default: the machine's. */
  clock?: { now: () => number; every: (ms: number, run: () => void) => () => void }
}

const systemClock: NonNullable<LeaseOptions['clock']> = {
  now: () => performance.now(),
  every: (ms, run) => {
    const timer = setInterval(run, ms)
    return () => clearInterval(timer)
  },
}

/** So many renewals may fail before it is given up; one more, and the bucket has forgotten it. */
const RENEWALS_PER_TTL = 5

/**
 * Leases as keys of a bucket whose entries expire: whoever creates the key has the lease, and writes it anew five times
 * before it would expire. A process that died is forgotten after one such time.
 */
export const createLeases = ({ bucket, log, ttlMs, clock = systemClock }: LeaseOptions): Leases => {
  const owner = randomUUID()

  /** The new revision, or undefined when it is somebody else's. */
  const write = async (key: string, revision: number | undefined): Promise<number | undefined> => {
    try {
      return await (revision === undefined ? bucket.create(key, owner) : bucket.update(key, owner, revision))
    } catch (error) {
      if (!(error instanceof KvConflict)) throw error
      // A write whose confirmation was lost may have been stored: then our name stands there, under another revision.
      const stored = await bucket.get(key)
      if (stored === undefined || stored.revision === revision) return undefined
      return Buffer.from(stored.value).toString() === owner ? write(key, stored.revision) : undefined
    }
  }

  return {
    take: async (key, onLost) => {
      let renewedAt = clock.now() // before the server's clock starts
      const taken = await write(key, undefined)
      if (taken === undefined) return undefined
      let revision = taken
      let isOver = false
      let renewing: Promise<void> | undefined
      const lose = (reason: string) => {
        if (isOver) return
        isOver = true
        stopRenewing()
        log.warn({ event: 'lease.lost', key, reason })
        onLost()
      }
      const renew = async () => {
        const at = clock.now()
        try {
          const renewed = await write(key, revision)
          if (renewed === undefined) return lose('somebody else wrote it, or it is gone')
          revision = renewed
          renewedAt = at
        } catch (err) {
          log.warn({ event: 'lease.not_renewed', key, err }) // until it is too late
        }
      }
      const stopRenewing = clock.every(ttlMs / RENEWALS_PER_TTL, () => {
        // At the next tick the bucket would have forgotten it.
        if (clock.now() - renewedAt > ttlMs * (1 - 1.5 / RENEWALS_PER_TTL))
          return lose('it could not be renewed in time')
        renewing ??= renew().finally(() => {
          renewing = undefined
        })
      })
      return {
        release: async () => {
          if (isOver) return
          isOver = true
          stopRenewing()
          await renewing
          try {
            await bucket.delete(key, revision)
          } catch (err) {
            log.warn({ event: 'lease.not_released', key, err })
          }
        },
      }
    },
  }
}
