import type { FastifyBaseLogger } from 'fastify'
import type { AttemptCounter } from './attempt-counter.ts'
import type { CallLog } from './call-log.ts'
import type { Faults } from './faults.ts'
import type { MediaFaultControl } from './media-faults.ts'
import type { MediaShelf } from './media-shelf.ts'
import type { MessageLimits } from './message-limits.ts'
import type { Random } from './random.ts'
import type { TenantDirectory } from './tenants.ts'
import type { Timers } from './timers.ts'
import type { Timing } from './timing.ts'
import type { WebhookDelivery } from './webhook-delivery.client.ts'

/** What can be set while the simulator runs. */
export interface Settings {
  timing: Timing
  faults: Faults
}

/** Everything one simulated Meta consists of. */
export interface Simulation {
  directory: TenantDirectory
  settings: Settings
  limits: MessageLimits
  attempts: AttemptCounter
  calls: CallLog
  media: MediaShelf
  mediaFaults: MediaFaultControl
  delivery: WebhookDelivery
  timers: Timers
  random: Random
  /** Milliseconds since 1970. */
  clock: () => number
  log: FastifyBaseLogger
}
