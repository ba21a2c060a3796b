import type { StreamReport } from '@cloudapi2/nats'
import { type Column, record, table } from '../output/table.ts'

/** How a service answers. */
export interface ServiceState {
  name: string
  url: string
  /** It answers at all. */
  alive: boolean
  /** It does its work. */
  ready: boolean
  /** Why it is not, as it says itself. */
  reasons: string[]
  /** Of its answer, milliseconds; null when there was none. */
  latency_ms: number | null
}

/** A store: it answers, or why not. */
export interface StoreState {
  reachable: boolean
  reason?: string
}

export interface StatusReport {
  ready: boolean
  services: ServiceState[]
  nats: StoreState | null
  database: StoreState | null
  streams: StreamReport[]
  /** Messages that were given up and are kept. */
  dead_letters: number | null
  /** Of the table `external_messages`: events that are not in it yet, and how far it is. */
  projection: { behind: number | null; position: number | null; version: number | null } | null
  /** Of EventStoreDB: the last event's position, and how many positions it is behind the log. */
  archive: (StoreState & { position: number | null; behind: number | null }) | null
  companies: number | null
}

export type StatusParts = Omit<StatusReport, 'ready' | 'dead_letters'>

/** The durable reader of EVENTS that folds them into rows. */
export const PROJECTOR = 'projector'

/** Puts together what was asked. Ready: everything that is configured answers, and every service does its work. */
export const statusReport = (parts: StatusParts): StatusReport => ({
  ready:
    parts.services.every(({ ready }) => ready) &&
    [parts.nats, parts.database, parts.archive].every((store) => store === null || store.reachable),
  ...parts,
  dead_letters: parts.streams.find(({ name }) => name === 'DEADLETTERS')?.messages ?? null,
})

/** Events that the projector has not folded: not given to it yet, or given and not confirmed. */
export const projectionBehind = (streams: readonly StreamReport[]): number | null => {
  const projector = streams.flatMap(({ consumers }) => consumers).find(({ name }) => name === PROJECTOR)
  return projector === undefined ? null : projector.pending + projector.unacknowledged
}

const SERVICE_COLUMNS: readonly Column<ServiceState>[] = [
  { title: 'SERVICE', of: ({ name }) => name },
  { title: 'STATE', of: ({ alive, ready }) => (ready ? 'ready' : alive ? 'NOT READY' : 'DOWN') },
  { title: 'MS', of: ({ latency_ms }) => latency_ms },
  { title: 'URL', of: ({ url }) => url },
  { title: 'WHY', of: ({ reasons }) => reasons.join('; ') },
]

const time = (text: string | undefined): string | undefined => text?.slice(0, 19).replace('T', ' ')

const STREAM_COLUMNS: readonly Column<StreamReport>[] = [
  { title: 'STREAM', of: ({ name }) => name },
  { title: 'MESSAGES', of: ({ messages }) => messages },
  { title: 'SIZE', of: ({ bytes }) => size(bytes) },
  { title: 'FIRST', of: ({ firstSequence }) => firstSequence },
  { title: 'LAST', of: ({ lastSequence }) => lastSequence },
  { title: 'OLDEST', of: ({ firstAt }) => time(firstAt) },
  { title: 'NEWEST', of: ({ lastAt }) => time(lastAt) },
]

interface ConsumerRow {
  stream: string
  name: string
  pending: number
  unacknowledged: number
  redelivered: number
}

const CONSUMER_COLUMNS: readonly Column<ConsumerRow>[] = [
  { title: 'CONSUMER', of: ({ name }) => name },
  { title: 'STREAM', of: ({ stream }) => stream },
  { title: 'PENDING', of: ({ pending }) => pending },
  { title: 'UNACKNOWLEDGED', of: ({ unacknowledged }) => unacknowledged },
  { title: 'REDELIVERED', of: ({ redelivered }) => redelivered },
]

/** A number that has work has a consumer: a line for all of them. */
const LANE = /^lane-/

/** The consumers one by one, the sender's lanes together. */
export const consumerRows = (streams: readonly StreamReport[]): ConsumerRow[] =>
  streams.flatMap(({ name: stream, consumers }) => {
    const lanes = consumers.filter(({ name }) => LANE.test(name))
    const sum = (key: 'pending' | 'unacknowledged' | 'redelivered') => lanes.reduce((all, lane) => all + lane[key], 0)
    return [
      ...consumers.filter(({ name }) => !LANE.test(name)).map((consumer) => ({ stream, ...consumer })),
      ...(lanes.length === 0
        ? []
        : [
            {
              stream,
              name: lanes.length === 1 ? 'lane-… (1 lane)' : `lane-… (${lanes.length} lanes)`,
              pending: sum('pending'),
              unacknowledged: sum('unacknowledged'),
              redelivered: sum('redelivered'),
            },
          ]),
    ]
  })

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes for the eye. */
export const size = (bytes: number): string => {
  let value = bytes
  let unit = 0
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
}

const storeText = (store: StoreState | null): string =>
  store === null
    ? 'not configured'
    : store.reachable
      ? 'answers'
      : `DOES NOT ANSWER: ${store.reason ?? 'no reason given'}`

/** The whole report for the eye. */
export const statusText = (
  report: StatusReport,
  style: { width: number | undefined; emphasis: (text: string) => string },
) => {
  const { projection, archive } = report
  const parts = [
    report.services.length === 0 ? undefined : table(SERVICE_COLUMNS, report.services, style),
    report.streams.length === 0 ? undefined : table(STREAM_COLUMNS, report.streams, style),
    report.streams.every(({ consumers }) => consumers.length === 0)
      ? undefined
      : table(CONSUMER_COLUMNS, consumerRows(report.streams), style),
    record({
      nats: storeText(report.nats),
      database: storeText(report.database),
      projection:
        projection === null
          ? undefined
          : `${projection.behind ?? '?'} events behind, at position ${projection.position ?? '?'}`,
      archive:
        archive === null || !archive.reachable
          ? storeText(archive)
          : `${archive.behind ?? '?'} positions behind, at ${archive.position ?? '?'}`,
      companies: report.companies,
      'dead letters': report.dead_letters,
    }),
  ]
  return parts.filter((part) => part !== undefined).join('\n\n')
}
