import { type EventType, encodeEvent, eventId, type StoredEvent, subjects } from '@cloudapi2/contracts'
import type { ArchiveWriter } from '@cloudapi2/event-log'
import { BUCKETS, EVENTS, type Nats, openKv, type Publisher, readStream } from '@cloudapi2/nats'
import { createLog, createMetrics, createReadiness, type Metrics, type Readiness } from '@cloudapi2/service-kit'
import { type LogEvent, logEventOf } from './log-event.ts'
import { type Service, startService } from './service.app.ts'

export const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
export const OTHER = 'b0000000-0000-4000-8000-000000000002'
export const silent = createLog({ service: 'test', level: 'silent' })

/** Waits for a fact and returns it. The test's own time-out ends it. */
export const until = async <T>(fact: () => T | Promise<T>, pauseMs = 10): Promise<NonNullable<T>> => {
  for (;;) {
    const value = await fact()
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/** An event as the gateway writes it; `n` makes it distinct. */
export const messageEvent = (
  companyId: string,
  n: number | string,
  more: Record<string, unknown> = {},
): StoredEvent => ({
  specversion: '1.0',
  id: eventId(companyId, 'message.created', `wamid.${n}`),
  source: '/webhook-gateway',
  type: 'message.created',
  subject: `wamid.${n}`,
  time: '2026-11-24T08:15:30.000Z',
  companyid: companyId,
  channel: 'whatsapp',
  recordedtime: '2026-11-24T08:15:31.000Z',
  dataschema: 'message.created/1',
  data: { message_id: `wamid.${n}`, direction: 'inbound', kind: 'text', status: 'received', raw: {}, ...more },
})

export const store = (publisher: Publisher, event: StoredEvent, headers: Record<string, string> = {}): Promise<void> =>
  publisher.publish({
    subject: subjects.event(event.companyid, event.channel, event.type as EventType),
    msgId: event.id,
    data: encodeEvent(event),
    headers,
  })

/** Everything in EVENTS, in order. */
export const wholeLog = async (nats: Nats): Promise<LogEvent[]> => {
  const events: LogEvent[] = []
  for await (const messages of readStream(nats, EVENTS)) events.push(...messages.map(logEventOf))
  return events
}

export interface RunningArchiver extends Service {
  metrics: Metrics
  readiness: Readiness
}

export const startArchiver = async ({
  nats,
  publisher,
  archive,
  anchorIntervalMs = 3_600_000,
}: {
  nats: Nats
  publisher: Publisher
  archive?: ArchiveWriter
  anchorIntervalMs?: number
}): Promise<RunningArchiver> => {
  const metrics = createMetrics('archiver')
  const readiness = createReadiness()
  const service = startService({
    config: { anchorIntervalMs },
    log: silent,
    metrics,
    readiness,
    nats,
    publisher,
    leasesBucket: await openKv(nats, BUCKETS.leases, silent),
    checkpoints: await openKv(nats, BUCKETS.checkpoints, silent),
    archive,
  })
  return { ...service, metrics, readiness }
}
