import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export interface Metrics {
  registry: Registry
  counter: <L extends string>(name: string, help: string, labels?: readonly L[]) => Counter<L>
  gauge: <L extends string>(name: string, help: string, labels?: readonly L[]) => Gauge<L>
  histogram: <L extends string>(name: string, help: string, buckets: number[], labels?: readonly L[]) => Histogram<L>
}

/** Prometheus metrics of one process: its own registry, with the process's memory, CPU and event loop already in it. */
export const createMetrics = (service: string): Metrics => {
  const registry = new Registry()
  registry.setDefaultLabels({ service })
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  return {
    registry,
    counter: (name, help, labelNames = []) => new Counter({ name, help, labelNames: [...labelNames], registers }),
    gauge: (name, help, labelNames = []) => new Gauge({ name, help, labelNames: [...labelNames], registers }),
    histogram: (name, help, buckets, labelNames = []) =>
      new Histogram({ name, help, buckets, labelNames: [...labelNames], registers }),
  }
}
