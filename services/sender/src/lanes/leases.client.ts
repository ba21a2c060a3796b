import { randomUUID } from 'node:crypto'
import { type KvBucket, KvConflict } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'

/** The right to work on something alone, for as long as it is renewed in time. */
export interface Lease {
  /** Gives it back at once. A failure is no harm: it then ends by itself. */
  release: () => Promise<void>
}

export interface Leases {
  /** Undefined when somebody else has it. `onLost`: it could not be renewed in time; somebody else may have it now. */
  take: (key: string, onLost: () => void) => Promise<Lease | undefined>
}

export interface LeaseOptions {
  bucket: Pick<KvBucket, 'create' | 'update' | 'delete'>
  log: Logger
  /** As the bucket forgets them. */
  ttlMs: number
  clock: { now: () => number; every: (ms: number, run: () => void) => () => void }
}

/**
 * Leases as keys of a bucket whose entries expire: whoever creates the key has the lease, and writes it anew three times
 * before it would expire. A process that died is forgotten after one such time.
 */
export const createLeases = ({ bucket, log, ttlMs, clock }: LeaseOptions): Leases => {
  const owner = randomUUID()
  return {
    take: async (key, onLost) => {
      let revision: number
      let renewedAt = clock.now() // before the server's clock starts
      try {
        revision = await bucket.create(key, owner)
      } catch (error) {
        if (error instanceof KvConflict) return undefined
        throw error
      }
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
          revision = await bucket.update(key, owner, revision)
          renewedAt = at
        } catch (error) {
          // Of a renewal whose answer was lost the revision is unknown: the next one then conflicts, and it is given up.
          if (error instanceof KvConflict) lose('somebody else wrote it')
        }
      }
      const stopRenewing = clock.every(ttlMs / 4, () => {
        if (clock.now() - renewedAt > ttlMs * 0.8) return lose('it could not be renewed in time')
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
