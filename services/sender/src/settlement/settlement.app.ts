import { randomUUID } from 'node:crypto'
import { subjects } from '@cloudapi2/contracts'
import {
  type Consumer,
  consumeEach,
  type DeadLetters,
  EVENTS,
  type Nats,
  type Publisher,
  SETTLEMENT_CONSUMER,
} from '@cloudapi2/nats'
import type { Logger, Metrics } from '@cloudapi2/service-kit'
import type { Ledger } from '../send-command/ledger.store.ts'
import { createAcceptedCommands } from './accepted-commands.ts'
import { givenUpCommands } from './given-up.client.ts'
import { settleByStatus } from './settle-by-status.handler.ts'

/** Statuses looked at together; nearly all need nothing. */
const CONCURRENCY = 64
/** About as many messages as have a status still to come; some 100 bytes each. */
const REMEMBERED = 100_000

/** Consumes every status, one consumer for all processes of the sender. */
export const startSettlement = (deps: {
  nats: Nats
  log: Logger
  metrics: Metrics
  publisher: Publisher
  ledger: Ledger
  deadLetters: DeadLetters
}): Promise<Consumer> => {
  const { nats, log, metrics, publisher, ledger, deadLetters } = deps
  const settled = metrics.counter(
    'sender_settled_by_status_total',
    'Commands of unknown outcome, or given up, that a status proved to be sent',
  )
  return consumeEach({
    nats,
    log,
    publisher,
    service: 'sender',
    stream: EVENTS,
    durable: SETTLEMENT_CONSUMER,
    filterSubjects: [subjects.eventsOfType('status.updated')],
    concurrency: CONCURRENCY,
    maxBuffered: 4 * CONCURRENCY,
    handler: settleByStatus({
      ledger,
      findGivenUp: givenUpCommands(deadLetters),
      publisher,
      accepted: createAcceptedCommands(REMEMBERED),
      log,
      count: () => settled.inc(),
      now: Date.now,
      newId: randomUUID,
    }),
  })
}
