import { GatewayError } from '@cloudapi2/contracts'

/** The archive did not answer, or not in time. What was asked may have happened all the same. */
export class EventStoreUnreachable extends GatewayError {
  constructor(what: string, cause?: unknown) {
    super(`EventStoreDB did not answer (${what}): check EVENTSTORE_URL and that the server runs`, {
      code: 'EVENTSTORE_UNREACHABLE',
      retryable: true,
      cause,
    })
  }
}

/** The archive answered, and said no. */
export class ArchiveRefused extends GatewayError {
  constructor(what: string, reason: string, cause?: unknown) {
    super(`EventStoreDB refused ${what}: ${reason}`, { code: 'EVENTSTORE_REFUSED', retryable: false, cause })
  }
}

/** Never shows the URL itself: it may hold a password. */
export class EventStoreUrlInvalid extends GatewayError {
  constructor(reason: string) {
    super(
      `EVENTSTORE_URL ${reason}; expected something like esdb://user:password@host:2113?tls=true (esdb+discover:// for a cluster)`,
      { code: 'EVENTSTORE_URL_INVALID', retryable: false },
    )
  }
}

/** What is read is not what the archiver wrote: an event without its position in EVENTS. */
export class ArchiveUnreadable extends GatewayError {
  constructor(stream: string, revision: bigint) {
    super(
      `event ${revision} of ${stream} in EventStoreDB carries no position in EVENTS: it was not written by the archiver; read the log with --source jetstream, or move the foreign events away`,
      { code: 'ARCHIVE_UNREADABLE', retryable: false },
    )
  }
}
