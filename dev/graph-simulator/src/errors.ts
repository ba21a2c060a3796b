import { GatewayError } from '@cloudapi2/contracts'

/** The environment cannot be used: the message names every bad variable and none of their values. */
export class ConfigError extends GatewayError {
  constructor(message: string) {
    super(message, { code: 'BAD_CONFIGURATION', retryable: false })
  }
}

/** A request to `/simulate/…` that cannot be carried out: the message says what was expected, and where. */
export class SimulationRefused extends GatewayError {
  readonly httpStatus: number

  constructor(message: string, httpStatus = 400) {
    super(message, { code: 'SIMULATION_REFUSED', retryable: false })
    this.httpStatus = httpStatus
  }
}
