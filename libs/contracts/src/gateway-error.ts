export interface GatewayErrorOptions {
  /** Stable, SCREAMING_SNAKE_CASE; has a row in docs/errors.md. */
  code: string
  /** True when the same request may succeed later without being changed. */
  retryable: boolean
  cause?: unknown
}

/**
 * The base of every error this system throws on purpose. The message says what was expected, what was found and where,
 * and never contains a secret, a message text or a phone number.
 */
export class GatewayError extends Error {
  readonly code: string
  readonly retryable: boolean

  constructor(message: string, { code, retryable, cause }: GatewayErrorOptions) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    this.retryable = retryable
  }
}
