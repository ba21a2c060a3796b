import { type GatewayError, InvalidCommand } from '@cloudapi2/contracts'

/** What a script learns from how a command ended; docs/operating.md has the table. */
export const EXIT = {
  ok: 0,
  /** It was tried, and did not go through, or not all of it. */
  failed: 1,
  /** Called in a way that means nothing, or without the consent it needs. */
  usage: 2,
  /** What was asked for is not there. */
  notFound: 3,
  /** Neither done nor refused: nobody answered. Worth another try. */
  unreachable: 4,
  /** The environment is not usable (EX_CONFIG of sysexits.h). */
  config: 78,
} as const

const BY_CODE: Readonly<Record<string, number>> = {
  BAD_CONFIGURATION: EXIT.config,
  SETTING_MISSING: EXIT.config,
  RUNTIME_UNREADABLE: EXIT.config,
  UNAUTHENTICATED: EXIT.config,
  SERVICE_UNRECOGNISED: EXIT.config,
  NO_SIMULATOR: EXIT.config,
  INVALID_REQUEST: EXIT.usage,
  INVALID_SETTINGS: EXIT.usage,
  SIMULATION_REFUSED: EXIT.usage,
  COMPANY_NOT_FOUND: EXIT.notFound,
  API_KEY_NOT_FOUND: EXIT.notFound,
  COMPANY_NOT_SIMULATED: EXIT.notFound,
  COMPANY_NOT_IN_LOG: EXIT.notFound,
  MESSAGE_NOT_IN_LOG: EXIT.notFound,
  POSITION_BEYOND_END: EXIT.notFound,
  SERVICE_UNREACHABLE: EXIT.unreachable,
  DATABASE_UNAVAILABLE: EXIT.unreachable,
  BROADCAST_FAILED: EXIT.unreachable,
  STREAM_UNREADABLE: EXIT.unreachable,
  EVENTSTORE_UNREACHABLE: EXIT.unreachable,
  EVENTSTORE_URL_INVALID: EXIT.config,
  RECEIVER_ABSENT: EXIT.unreachable,
  INVALID_OPTION: EXIT.usage,
  CONFIRMATION_NEEDED: EXIT.usage,
  AUDIT_FILE_EXISTS: EXIT.usage,
  AUDIT_FILE_UNREADABLE: EXIT.usage,
  AUDIT_KEY_INVALID: EXIT.usage,
  AUDIT_RECORD_UNREADABLE: EXIT.usage,
  AUDIT_NOTHING_IN_RANGE: EXIT.notFound,
  DEAD_LETTER_NOT_FOUND: EXIT.notFound,
  NO_INSTALLATION: EXIT.unreachable,
  NATS_UNREACHABLE: EXIT.unreachable,
  NATS_DISCONNECTED: EXIT.unreachable,
  NATS_REQUEST_FAILED: EXIT.unreachable,
  PUBLISH_TIMED_OUT: EXIT.unreachable,
  REBUILD_RUNNING: EXIT.unreachable,
  CONSUMER_MISSING: EXIT.unreachable,
  CONSUMER_NOT_DRAINED: EXIT.unreachable,
  CONSUMER_UNPAUSABLE: EXIT.unreachable,
  PROJECTION_BEHIND: EXIT.unreachable,
  SHADOW_TAKEN: EXIT.config,
  LOG_INCOMPLETE: EXIT.config,
  READ_MODEL_MISSING: EXIT.config,
  DATABASE_FULL: EXIT.config,
  DATABASE_REFUSED: EXIT.config,
  UNKNOWN_EVENT_VERSION: EXIT.config,
  ROW_REFUSED: EXIT.config,
  DEAD_LETTERS_UNAVAILABLE: EXIT.unreachable,
}

/** The exit code of an error that was thrown on purpose. */
export const exitCodeOf = (error: GatewayError): number =>
  error instanceof InvalidCommand ? EXIT.usage : (BY_CODE[error.code] ?? EXIT.failed)

/** Not an error but an end: everything there is to say has been said. */
export class Ended extends Error {
  readonly exitCode: number
  constructor(exitCode: number) {
    super('the command has ended')
    this.exitCode = exitCode
  }
}
