import {
  archivePosition,
  dropBefore,
  EVENTS,
  firstStoredSince,
  handledUpTo,
  LOG_READERS,
  type Nats,
  trimmableLog,
} from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import { trimPlan } from './trim-plan.ts'

/**
 * Drops events that are older than `EVENTS_MAX_AGE` from the log, up to where the archive and every reader of ours is. Any
 * number of processes may do it at once.
 *
 * @throws TopologyError when the log cannot be asked
 */
export const trimLog =
  ({ nats, log, now }: { nats: Nats; log: Logger; now: () => number }) =>
  async (): Promise<void> => {
    const events = await trimmableLog(nats, EVENTS)
    const { age, first, last } = events
    if (age.maxAgeMs === 0 || last < first) return
    const youngSince = new Date(now() - age.maxAgeMs)
    const firstYoung = await firstStoredSince(nats, EVENTS, youngSince, events)
    if (firstYoung <= first) return
    const plan = trimPlan({
      age,
      firstYoung,
      archive: await archivePosition(nats),
      readers: await Promise.all(LOG_READERS.map((durable) => handledUpTo(nats, EVENTS, durable))),
    })
    if ('blocked' in plan) {
      log.warn({ event: 'log.not_trimmed', reason: plan.blocked, first, first_young: firstYoung })
      return
    }
    if (plan.before < firstYoung)
      log.warn({ event: 'log.trim_held_up', up_to: plan.before, first_young: firstYoung, first })
    if (plan.before <= first) return
    const dropped = await dropBefore(nats, EVENTS, plan.before)
    log.info({ event: 'log.trimmed', dropped, first: plan.before })
  }
