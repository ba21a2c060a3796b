import { GatewayError } from '@cloudapi2/contracts'
import {
  DiscardPolicy,
  type KvOptions,
  nanos,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
  type StreamInfo,
} from 'nats'
import { isNotFound, type Nats, reasonOf } from './connection.ts'
import { EventsNotArchived, logAgeMetadata, logAgeOf, requireArchived } from './log-age.ts'

const DAY_MS = 86_400_000

export interface TopologyOptions {
  /** Copies of each stream: 1 on a single node, 3 in a cluster. */
  replicas: number
  /** Age at which events are dropped from the log; 0 = never. */
  eventsMaxAgeMs: number
  /** Events go by age although nothing copies them to an archive. */
  eventsMaxAgeWithoutArchive?: boolean
}

type Stream = Partial<StreamConfig> & { name: string; subjects: string[] }

/**
 * Repeats within this time are refused by the server itself. Longer costs about 250 bytes of its memory per message;
 * what comes later than this is caught by idempotent readers.
 */
const DUPLICATE_WINDOW_MS = 120_000

/** The shortest there is (docs/adr/0009-commands-are-deduplicated-by-the-ledger.md). */
const COMMANDS_DUPLICATE_WINDOW_MS = 100

export const EVENTS = 'EVENTS'
export const COMMANDS = 'COMMANDS'
export const DEADLETTERS = 'DEADLETTERS'
/** The object store of files that messages carry. */
export const MEDIA_BUCKET = 'media'

/** The streams, as data. */
export const streams = ({ replicas, eventsMaxAgeMs, eventsMaxAgeWithoutArchive }: TopologyOptions): Stream[] => [
  {
    name: EVENTS,
    subjects: ['evt.>'],
    description: 'What happened: the log, the source of truth',
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    // Never the server's own: it would drop what is not archived yet. See log-age.ts.
    max_age: 0,
    metadata: logAgeMetadata({ maxAgeMs: eventsMaxAgeMs, withoutArchive: eventsMaxAgeWithoutArchive ?? false }),
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    deny_delete: true,
    compression: StoreCompression.S2,
    allow_direct: true,
    num_replicas: replicas,
  },
  {
    name: COMMANDS,
    subjects: ['cmd.>'],
    description: 'What was asked for and is not done yet',
    storage: StorageType.File,
    retention: RetentionPolicy.Workqueue,
    // A full queue refuses new commands; it never drops accepted ones.
    discard: DiscardPolicy.New,
    // The server looks at the id alone, whatever the company: see the ADR. The ledger knows repeats by company.
    duplicate_window: nanos(COMMANDS_DUPLICATE_WINDOW_MS),
    num_replicas: replicas,
  },
  {
    name: DEADLETTERS,
    subjects: ['dlq.>'],
    description: 'What we stopped trying, whole, with its reason',
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    max_age: nanos(90 * DAY_MS),
    duplicate_window: nanos(DUPLICATE_WINDOW_MS),
    allow_direct: true,
    num_replicas: replicas,
  },
  {
    // An object store is a stream by convention: chunks under C, one description per object under M.
    name: `OBJ_${MEDIA_BUCKET}`,
    subjects: [`$O.${MEDIA_BUCKET}.C.>`, `$O.${MEDIA_BUCKET}.M.>`],
    description: 'Files that messages carry, by company and content',
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    // A full store refuses new files; it never drops stored ones.
    discard: DiscardPolicy.New,
    allow_rollup_hdrs: true,
    allow_direct: true,
    num_replicas: replicas,
  },
]

/** A lease that is not renewed is over after this. */
export const LEASE_TTL_MS = 15_000

export const BUCKETS = {
  tenants: 'tenants',
  templates: 'templates',
  sendLedger: 'send-ledger',
  leases: 'leases',
  mediaIndex: 'media-index',
  checkpoints: 'checkpoints',
} as const

/** The key-value buckets, as data. */
export const buckets = ({ replicas }: TopologyOptions): { name: string; options: Partial<KvOptions> }[] => [
  {
    name: BUCKETS.tenants,
    options: { history: 5, replicas, description: 'Settings of every company, secrets sealed' },
  },
  { name: BUCKETS.templates, options: { history: 1, replicas, description: 'Template definitions fetched from Meta' } },
  {
    name: BUCKETS.sendLedger,
    options: { history: 1, replicas, ttl: 7 * DAY_MS, description: 'How each command stands' },
  },
  {
    name: BUCKETS.mediaIndex,
    options: { history: 1, replicas, description: 'How each file stands: waiting, stored under which content, failed' },
  },
  { name: BUCKETS.checkpoints, options: { history: 1, replicas, description: 'How far a copy of the log has come' } },
  { name: BUCKETS.leases, options: { history: 1, replicas, ttl: LEASE_TTL_MS, description: 'Who works what' } },
]

/** A stream or bucket is missing or could not be brought to what this version needs. */
export class TopologyError extends GatewayError {
  constructor(what: string, cause: unknown) {
    super(
      `${what} is not there and could not be created or updated (${reasonOf(cause)}): run "cloudapi topology" once with a user that may`,
      { code: 'TOPOLOGY_MISSING', retryable: true, cause },
    )
  }
}

/**
 * Creates what is missing and updates what differs. Safe to repeat, and to run in several processes at once.
 *
 * @throws TopologyError naming the first stream or bucket that could not be had
 * @throws EventsNotArchived when events are to go by age, and the archive does not have them
 */
export const applyTopology = async (nats: Nats, options: TopologyOptions): Promise<void> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  for (const wanted of streams(options)) {
    try {
      const existing = await manager.streams.info(wanted.name).catch((error: unknown) => {
        if (isNotFound(error)) return undefined
        throw error
      })
      if (wanted.name === EVENTS && existing !== undefined) await mayGo(nats, existing, wanted)
      if (existing === undefined) await manager.streams.add(wanted)
      else if (differs(existing.config, wanted))
        await manager.streams.update(wanted.name, { ...existing.config, ...wanted })
    } catch (cause) {
      throw cause instanceof EventsNotArchived ? cause : new TopologyError(`stream ${wanted.name}`, cause)
    }
  }
  const js = nats.raw.jetstream({ checkAPI: false })
  for (const { name, options: bucket } of buckets(options)) {
    try {
      await js.views.kv(name, bucket)
    } catch (cause) {
      throw new TopologyError(`bucket ${name}`, cause)
    }
  }
}

/** Before events are kept for less long than until now. @throws EventsNotArchived */
const mayGo = async (nats: Nats, { config, state }: StreamInfo, wanted: Stream): Promise<void> => {
  const [is, shall] = [logAgeOf(config), logAgeOf(wanted)]
  const isShorter = shall.maxAgeMs > 0 && (is.maxAgeMs === 0 || shall.maxAgeMs < is.maxAgeMs)
  const isBolder = shall.withoutArchive && !is.withoutArchive
  if ((isShorter || isBolder) && state.messages > 0) await requireArchived(nats, state.last_seq, shall.withoutArchive)
}

/** True when a setting that we care about is not as wanted. What the server added by itself does not count. */
export const differs = (existing: Partial<StreamConfig>, wanted: Partial<StreamConfig>): boolean =>
  Object.entries(wanted).some(([key, value]) =>
    key === 'metadata'
      ? JSON.stringify(logAgeOf({ metadata: existing.metadata })) !==
        JSON.stringify(logAgeOf({ metadata: wanted.metadata }))
      : JSON.stringify(existing[key as keyof StreamConfig] ?? null) !== JSON.stringify(value),
  )

/**
 * Makes sure the streams a service needs are there before it says it is ready. It creates nothing when they are, so a
 * user without the right to create needs none.
 *
 * @throws TopologyError
 */
export const requireTopology = async (nats: Nats, options: TopologyOptions): Promise<void> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    for (const { name } of streams(options)) await manager.streams.info(name)
    for (const { name } of buckets(options)) await manager.streams.info(`KV_${name}`)
  } catch {
    await applyTopology(nats, options)
  }
}
