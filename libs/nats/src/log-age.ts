import { ArchivePosition, GatewayError, subjects } from '@cloudapi2/contracts'
import { type Nats, NatsRequestFailed } from './connection.ts'

/**
 * Events may be dropped from the log only when they are in the archive. An age limit of the server's own drops them
 * blindly, also on the day when the archive is away. So the stream has none: how long events are kept is written beside it
 * (its metadata), and whoever trims the log does it by hand, up to where everybody has read (docs/adr/0019-retention.md).
 */
const MAX_AGE = 'cloudapi2-max-age-ms'
const WITHOUT_ARCHIVE = 'cloudapi2-without-archive'

/** How long the log keeps events. */
export interface LogAge {
  /** 0: for ever. */
  maxAgeMs: number
  /** An operator has said that events go although nothing copies them. */
  withoutArchive: boolean
}

export const logAgeMetadata = ({ maxAgeMs, withoutArchive }: LogAge): Record<string, string> =>
  maxAgeMs === 0 ? {} : { [MAX_AGE]: String(maxAgeMs), ...(withoutArchive ? { [WITHOUT_ARCHIVE]: 'true' } : {}) }

/** Out of a stream's configuration; `max_age` (nanoseconds) is what an earlier version of this software set. */
export const logAgeOf = (config: {
  max_age?: number | undefined
  metadata?: Record<string, string> | undefined
}): LogAge => {
  const written = Number(config.metadata?.[MAX_AGE] ?? 0)
  return {
    maxAgeMs: written > 0 ? written : (config.max_age ?? 0) / 1e6,
    withoutArchive: config.metadata?.[WITHOUT_ARCHIVE] === 'true',
  }
}

/** Events are not to go before they are in the archive, and it is not known that they are. */
export class EventsNotArchived extends GatewayError {
  constructor(reason: string) {
    super(`EVENTS_MAX_AGE is not set: events older than it would go, and ${reason}`, {
      code: 'EVENTS_NOT_ARCHIVED',
      retryable: true,
    })
  }
}

const ANSWER_TIMEOUT_MS = 2_000
/** Under traffic there is always something on its way: the archive has caught up when it has what was there at first. */
const CATCH_UP_MS = 5_000
const ASK_AGAIN_MS = 100

/** How far the archive has come; undefined when nobody answers. */
export const archivePosition = async (nats: Nats): Promise<ArchivePosition | undefined> => {
  let answer: Uint8Array
  try {
    answer = await nats.request(subjects.archivePosition, '', ANSWER_TIMEOUT_MS)
  } catch (error) {
    if (error instanceof NatsRequestFailed) return undefined
    throw error
  }
  return ArchivePosition.parse(JSON.parse(Buffer.from(answer).toString()))
}

/**
 * Makes sure that everything up to `last` is in the archive, or that an operator wants to do without one.
 *
 * @throws EventsNotArchived saying what to do
 */
export const requireArchived = async (nats: Nats, last: number, withoutArchive: boolean): Promise<void> => {
  const deadline = performance.now() + CATCH_UP_MS
  for (;;) {
    const archive = await archivePosition(nats)
    if (archive?.enabled !== true) {
      if (withoutArchive) return
      throw new EventsNotArchived(
        archive === undefined
          ? 'no archiver answers: start one with EVENTSTORE_URL, or set EVENTS_MAX_AGE_WITHOUT_ARCHIVE=true if they may be lost'
          : 'nothing copies them: set EVENTSTORE_URL of the archiver, or EVENTS_MAX_AGE_WITHOUT_ARCHIVE=true if they may be lost',
      )
    }
    if (archive.caught_up || archive.position >= last) return
    if (performance.now() > deadline)
      throw new EventsNotArchived(
        `the archive has them up to position ${archive.position} of ${last}: wait until the archiver has caught up, then try again`,
      )
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS))
  }
}
