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
  INVALID_OPTION: EXIT.usage,
  CONFIRMATION_NEEDED: EXIT.usage,
  DEAD_LETTER_NOT_FOUND: EXIT.notFound,
  NO_INSTALLATION: EXIT.unreachable,
  NATS_UNREACHABLE: EXIT.unreachable,
  NATS_DISCONNECTED: EXIT.unreachable,
  NATS_REQUEST_FAILED: EXIT.unreachable,
  PUBLISH_TIMED_OUT: EXIT.unreachable,
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
