import type { Removed } from '@cloudapi2/read-model'
import type { Metrics } from '@cloudapi2/service-kit'

export interface RetentionMetrics {
  removed: (removed: Removed) => void
  batch: (seconds: number) => void
  run: (outcome: 'done' | 'elsewhere' | 'failed') => void
}

export const retentionMetrics = (metrics: Metrics): RetentionMetrics => {
  const rows = metrics.counter('retention_removed_total', 'What was older than its company keeps it, by kind', ['kind'])
  const batches = metrics.histogram(
    'retention_batch_seconds',
    'One transaction that removes',
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  )
  const runs = metrics.counter('retention_runs_total', 'Runs over all companies, by how they ended', ['outcome'])
  return {
    removed: (removed) => {
      for (const [kind, count] of Object.entries(removed)) if (count > 0) rows.inc({ kind }, count)
    },
    batch: (seconds) => batches.observe(seconds),
    run: (outcome) => runs.inc({ outcome }),
  }
}
