import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export interface Metrics {
  registry: Registry
  counter: <L extends string>(name: string, help: string, labels?: readonly L[]) => Counter<L>
  /** `ask`: gives the value whenever the metrics are read. */
  gauge: <L extends string>(name: string, help: string, labels?: readonly L[], ask?: () => number) => Gauge<L>
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
    gauge: (name, help, labelNames = [], ask) =>
      new Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers,
        ...(ask === undefined
          ? {}
          : {
              collect() {
                this.set(ask())
              },
            }),
      }),
    histogram: (name, help, buckets, labelNames = []) =>
      new Histogram({ name, help, buckets, labelNames: [...labelNames], registers }),
  }
}
