import { GatewayError } from '@cloudapi2/contracts'

/** The archive holds events of another log than this one: to go on would leave events out without anybody noticing. */
export class ArchiveOfAnotherLog extends GatewayError {
  constructor(stream: string, position: number, found: string) {
    super(
      `position ${position}, where the archive's stream ${stream} ends, ${found}: this is the archive of another log, or EVENTS was put back from an older copy. Use another EventStoreDB for this log, or put EVENTS back whole`,
      // An operator mends it while we wait.
      { code: 'ARCHIVE_OF_ANOTHER_LOG', retryable: true },
    )
  }
}
