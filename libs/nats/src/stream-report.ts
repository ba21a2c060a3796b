import type { ConsumerInfo, StreamConfig, StreamInfo } from 'nats'
import { isNotFound, type Nats, reasonOf } from './connection.ts'
import { logAgeOf } from './log-age.ts'
import { buckets, differs, streams, TopologyError, type TopologyOptions } from './topology.ts'

/** How a durable reader of a stream stands. */
export interface ConsumerReport {
  name: string
  /** Messages that it has not been given yet. */
  pending: number
  /** Given, and not acknowledged yet. */
  unacknowledged: number
  /** Of those, given more than once. */
  redelivered: number
}

/** How a stream stands. Times are RFC 3339, UTC; absent when it is empty. */
export interface StreamReport {
  name: string
  messages: number
  bytes: number
  firstSequence: number
  lastSequence: number
  firstAt?: string
  lastAt?: string
  consumers: ConsumerReport[]
}

/** Tells how the streams of this system stand, those that are there. @throws TopologyError when they cannot be asked */
export const reportStreams = async (nats: Nats): Promise<StreamReport[]> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  const reports: StreamReport[] = []
  for (const { name } of streams({ replicas: 1, eventsMaxAgeMs: 0 })) {
    try {
      const { state } = await manager.streams.info(name)
      const consumers: ConsumerReport[] = []
      for await (const info of manager.consumers.list(name)) consumers.push(consumerReport(info))
      reports.push({
        name,
        messages: state.messages,
        bytes: state.bytes,
        firstSequence: state.messages === 0 ? 0 : state.first_seq,
        lastSequence: state.last_seq,
        ...(state.messages === 0 ? {} : { firstAt: state.first_ts, lastAt: state.last_ts }),
        consumers: consumers.sort((a, b) => (a.name < b.name ? -1 : 1)),
      })
    } catch (cause) {
      if (!isNotFound(cause)) throw new TopologyError(`stream ${name} (${reasonOf(cause)})`, cause)
    }
  }
  return reports
}

const consumerReport = ({ name, num_pending, num_ack_pending, num_redelivered }: ConsumerInfo): ConsumerReport => ({
  name,
  pending: num_pending,
  unacknowledged: num_ack_pending,
  redelivered: num_redelivered,
})

/** Where a stream or bucket is not as this version wants it. */
export interface TopologyDifference {
  /** `stream EVENTS`, `bucket tenants`. */
  what: string
  /** `undefined`: all of it is missing. */
  field?: string
  wanted?: unknown
  found?: unknown
}

const NANOS_PER_MS = 1_000_000

/**
 * Compares the streams and buckets with what `applyTopology` would make of them, field by field, and changes nothing.
 *
 * @throws TopologyError when they cannot be asked
 */
export const compareTopology = async (nats: Nats, options: TopologyOptions): Promise<TopologyDifference[]> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  const wanted = [
    ...streams(options).map((stream) => ({
      what: `stream ${stream.name}`,
      stream: stream.name,
      config: { ...stream },
    })),
    ...buckets(options).map(({ name, options: bucket }) => ({
      what: `bucket ${name}`,
      // A bucket is a stream by convention.
      stream: `KV_${name}`,
      config: {
        max_msgs_per_subject: bucket.history ?? 1,
        max_age: (bucket.ttl ?? 0) * NANOS_PER_MS,
        num_replicas: bucket.replicas ?? 1,
      },
    })),
  ]
  const differences: TopologyDifference[] = []
  for (const { what, stream, config } of wanted) {
    let info: StreamInfo
    try {
      info = await manager.streams.info(stream)
    } catch (cause) {
      if (!isNotFound(cause)) throw new TopologyError(`${what} (${reasonOf(cause)})`, cause)
      differences.push({ what })
      continue
    }
    for (const [field, wanted] of Object.entries(config))
      if (differs(info.config, { [field]: wanted }))
        differences.push({ what, field, ...shown(field, { wanted, found: info.config[field as keyof StreamConfig] }) })
  }
  return differences
}

/** The metadata holds what is said of the age of events; what the server notes there by itself is none of ours. */
const shown = (field: string, { wanted, found }: { wanted: unknown; found: unknown }) =>
  field === 'metadata' ? { wanted: ageIn(wanted), found: ageIn(found) } : { wanted, found }

const ageIn = (metadata: unknown) => logAgeOf({ metadata: metadata as Record<string, string> })

/**
 * How far this machine's clock is ahead of the server's, milliseconds; negative: behind. True to half the time that the
 * answer took.
 *
 * @throws TopologyError when the server does not answer
 */
export const clockAheadMs = async (nats: Nats, stream: string, now: () => number): Promise<number> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  const before = now()
  try {
    // Since nats-server 2.10 each answer tells when it was made; the client's types do not.
    const { ts } = (await manager.streams.info(stream)) as StreamInfo & { ts: string }
    return (before + now()) / 2 - Date.parse(ts)
  } catch (cause) {
    throw new TopologyError(`stream ${stream} (${reasonOf(cause)})`, cause)
  }
}
