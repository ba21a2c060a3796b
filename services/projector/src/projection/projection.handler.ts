import { decodeEvent, GatewayError } from '@cloudapi2/contracts'
import { ack, type Delivery, dead, type Outcome } from '@cloudapi2/nats'
import {
  fold,
  foldInto,
  noRows,
  type ProjectionStore,
  RowRefused,
  type Rows,
  searchRefused,
} from '@cloudapi2/read-model'
import type { ProjectionMetrics } from './projection-metrics.ts'

/** What is kept of an event while its rows are stored. The event itself is read again should they be refused. */
interface Readable {
  index: number
  type: string
  recordedAt: number
}

/**
 * Folds a batch of the log into rows and says what becomes of each delivery. An event that cannot be read, folded, or
 * stored is a dead letter, and the others are as if it had not been there. Throws when PostgreSQL is away, for the whole
 * batch to be tried again. Safe to redeliver in any order and any batch.
 */
export const projectionHandler =
  ({ store, metrics, now }: { store: ProjectionStore; metrics: ProjectionMetrics; now: () => number }) =>
  async (deliveries: readonly Delivery[]): Promise<Outcome[]> => {
    const startedAt = performance.now()
    const outcomes: Outcome[] = new Array(deliveries.length).fill(ack)
    const rows = noRows()
    const readable: Readable[] = []
    for (const [index, { data, sequence }] of deliveries.entries()) {
      try {
        const event = decodeEvent(data)
        foldInto(rows, { event, sequence })
        readable.push({ index, type: event.type, recordedAt: Date.parse(event.recordedtime) })
      } catch (error) {
        outcomes[index] = deadLetter(error)
      }
    }

    const foldAgain = (events: readonly Readable[]): Rows =>
      fold(
        events.map(({ index }) => {
          const { data, sequence } = deliveries[index] as Delivery
          return { event: decodeEvent(data), sequence }
        }),
      )

    if (readable.length > 0)
      await store.apply(rows).catch(async (error: unknown) => {
        if (!(error instanceof RowRefused)) throw error
        for (const { item, refusal } of await searchRefused(readable, error, (some) => store.apply(foldAgain(some))))
          outcomes[item.index] = deadLetter(refusal)
      })

    metrics.batch(deliveries.length, (performance.now() - startedAt) / 1_000)
    const stored = readable.filter(({ index }) => outcomes[index] === ack)
    metrics.folded(stored, now())
    for (const outcome of outcomes) if (outcome.kind === 'dead') metrics.deadLetter(outcome.code)
    return outcomes
  }

/** Reading and folding touch nothing outside the event, so what they throw once they throw always. */
const deadLetter = (error: unknown): Outcome =>
  error instanceof GatewayError
    ? dead({ code: error.code, reason: error.message })
    : // Its message may quote the event.
      dead({ code: 'UNFORESEEN', reason: error instanceof Error ? error.name : 'not an error' })
