import { GatewayError } from '@cloudapi2/contracts'

/** What a caller has written does not fit together; the message says what was expected. */
export class InvalidOption extends GatewayError {
  constructor(option: string, expected: string) {
    super(`${option}: expected ${expected}`, { code: 'INVALID_OPTION', retryable: false })
  }
}

/**
 * The stream did not confirm the command in time. It may have been stored all the same: send it again under the same id,
 * which makes it the same command.
 */
export class CommandNotAccepted extends GatewayError {
  /** The id it went under: the caller's, or the one that was made for it. */
  readonly commandId: string

  constructor(commandId: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`the command was not confirmed (${reason}): send it again under the same id`, {
      code: 'COMMAND_NOT_ACCEPTED',
      retryable: true,
      cause,
    })
    this.commandId = commandId
  }
}

/** The caller gave up waiting (`signal`), which takes nothing back. */
export class SendAborted extends GatewayError {
  readonly commandId: string
  /** True: the command is stored and will be worked on. False: nobody knows whether it is stored. */
  readonly isStored: boolean

  constructor(commandId: string, isStored: boolean, cause: unknown) {
    super(
      isStored
        ? 'the caller stopped waiting for the outcome; the command is stored and will be worked on'
        : 'the caller stopped waiting before the command was confirmed: send it again under the same id',
      { code: 'SEND_ABORTED', retryable: true, cause },
    )
    this.commandId = commandId
    this.isStored = isStored
  }
}

/** The gateway was stopped (`stop()`), by this process itself. */
export class GatewayStopped extends GatewayError {
  constructor() {
    super('the connection to the gateway was stopped', { code: 'GATEWAY_STOPPED', retryable: false })
  }
}
