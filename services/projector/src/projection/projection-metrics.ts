import type { Metrics } from '@cloudapi2/service-kit'

export interface ProjectionMetrics {
  batch: (size: number, seconds: number) => void
  /** Milliseconds since 1970: `recordedAt` when the event was recorded, `storedAt` when its rows were. */
  folded: (events: readonly { type: string; recordedAt: number }[], storedAt: number) => void
  deadLetter: (code: string) => void
}

export const projectionMetrics = (metrics: Metrics): ProjectionMetrics => {
  const events = metrics.counter('projector_events_total', 'Events folded into rows, by type', ['type'])
  const sizes = metrics.histogram(
    'projector_batch_events',
    'Events per batch',
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000],
  )
  const durations = metrics.histogram(
    'projector_batch_seconds',
    'Reading, folding and storing a batch',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  )
  const lag = metrics.histogram(
    'projector_lag_seconds',
    'From when an event was recorded until its rows were stored',
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600],
  )
  const letters = metrics.counter('projector_dead_letters_total', 'Events given up, by reason', ['code'])
  return {
    batch: (size, seconds) => {
      sizes.observe(size)
      durations.observe(seconds)
    },
    folded: (stored, storedAt) => {
      const counts = new Map<string, number>()
      for (const { type, recordedAt } of stored) {
        counts.set(type, (counts.get(type) ?? 0) + 1)
        // Clocks of two machines may differ.
        lag.observe(Math.max(0, storedAt - recordedAt) / 1_000)
      }
      for (const [type, count] of counts) events.inc({ type }, count)
    },
    deadLetter: (code) => letters.inc({ code }),
  }
}
