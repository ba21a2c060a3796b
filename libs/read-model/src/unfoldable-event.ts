import { GatewayError } from '@cloudapi2/contracts'

/** A readable event that cannot become rows. The reason names the field, never its value. */
export class UnfoldableEvent extends GatewayError {
  constructor(reason: string) {
    super(`cannot be folded: ${reason}`, { code: 'UNFOLDABLE_EVENT', retryable: false })
  }
}
