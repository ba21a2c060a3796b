import { readStreamPermissions } from './stream-reader.ts'
import { BUCKETS, COMMANDS, DEADLETTERS, EVENTS, MEDIA_BUCKET } from './topology.ts'

/** Which subjects a service may publish to and subscribe to: no more than it needs. */
export interface ServicePermissions {
  publish: string[]
  subscribe: string[]
}

/** The sender's consumer of statuses. */
export const SETTLEMENT_CONSUMER = 'sender-settlement'

/** What keeps the index of media up to date. */
export const MEDIA_INDEX_CONSUMER = 'media-index'

/** What removes files of messages that are gone. */
export const MEDIA_RETENTION_CONSUMER = 'media-retention'

/** The consumers of EVENTS that are ours: what they have not handled is not trimmed. */
export const LOG_READERS = ['projector', 'media', MEDIA_INDEX_CONSUMER, MEDIA_RETENTION_CONSUMER, SETTLEMENT_CONSUMER]

export const SERVICES = ['webhook-gateway', 'sender', 'projector', 'tenant-config', 'media', 'archiver'] as const
export type ServiceName = (typeof SERVICES)[number]

/** What every service needs to find out that its streams and buckets are there. */
const topologyInfo = [
  ...[EVENTS, COMMANDS, DEADLETTERS, `OBJ_${MEDIA_BUCKET}`].map((stream) => `$JS.API.STREAM.INFO.${stream}`),
  ...Object.values(BUCKETS).map((bucket) => `$JS.API.STREAM.INFO.KV_${bucket}`),
]

const readKv = (bucket: string) => [
  `$JS.API.DIRECT.GET.KV_${bucket}`,
  `$JS.API.DIRECT.GET.KV_${bucket}.>`,
  `$JS.API.STREAM.MSG.GET.KV_${bucket}`,
  `$JS.API.CONSUMER.CREATE.KV_${bucket}`,
  `$JS.API.CONSUMER.CREATE.KV_${bucket}.>`,
  `$JS.API.CONSUMER.DELETE.KV_${bucket}.>`,
  `$JS.API.CONSUMER.INFO.KV_${bucket}.>`,
  // Flow control of the push consumer behind a watch.
  `$JS.FC.KV_${bucket}.>`,
]

/** An object store: read and write objects, remove them. */
const useObjects = (bucket: string) => [
  `$O.${bucket}.>`,
  `$JS.API.DIRECT.GET.OBJ_${bucket}`,
  `$JS.API.STREAM.PURGE.OBJ_${bucket}`,
]

const writeKv = (bucket: string) => [`$KV.${bucket}.>`]

/** What a durable pull consumer needs: create it, ask about it, pull, acknowledge. */
export const consumePermissions = (stream: string, durable: string) => [
  `$JS.API.CONSUMER.CREATE.${stream}.${durable}`,
  `$JS.API.CONSUMER.CREATE.${stream}.${durable}.>`,
  `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${durable}`,
  `$JS.API.CONSUMER.INFO.${stream}.${durable}`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`,
  `$JS.ACK.${stream}.${durable}.>`,
]

/** A service's own replies, and nobody else's. */
const inbox = (service: ServiceName) => [`_INBOX.${service}.>`]

/** In the form of the server's configuration. */
export const asServerPermissions = ({ publish, subscribe }: ServicePermissions) => ({
  publish: { allow: publish },
  subscribe: { allow: subscribe },
})

/** Who may do what, as data; the table for people is in docs/operating.md. */
export const permissions: Record<ServiceName, ServicePermissions> = {
  'webhook-gateway': {
    publish: [...topologyInfo, 'evt.>', ...readKv(BUCKETS.tenants)],
    subscribe: inbox('webhook-gateway'),
  },
  sender: {
    publish: [
      ...topologyInfo,
      'evt.*.*.message.created',
      'evt.*.*.send.*',
      'evt.*.*.receipt.*',
      'evt.*.*.number.*',
      'evt.*.*.account.notified',
      'cmd.>',
      'lane.left',
      'dlq.sender.*',
      // Dead letters are looked at, given back and discarded over HTTP.
      `$JS.API.DIRECT.GET.${DEADLETTERS}`,
      `$JS.API.STREAM.MSG.DELETE.${DEADLETTERS}`,
      'qry.conversation.latest',
      // Outcomes go to whoever asked for them, on its own reply subject.
      '_INBOX.>',
      // A consumer per subject and per lane.
      ...consumePermissions(COMMANDS, '*'),
      `$JS.API.CONSUMER.DELETE.${COMMANDS}.*`,
      ...consumePermissions(EVENTS, SETTLEMENT_CONSUMER),
      ...readKv(BUCKETS.tenants),
      ...readKv(BUCKETS.templates),
      ...writeKv(BUCKETS.templates),
      ...readKv(BUCKETS.sendLedger),
      ...writeKv(BUCKETS.sendLedger),
      ...readKv(BUCKETS.leases),
      ...writeKv(BUCKETS.leases),
    ],
    // What comes in counts against a number's rate as well; a template that changed is forgotten.
    subscribe: [...inbox('sender'), 'evt.*.*.message.created', 'evt.*.*.account.notified', 'cmd.send.>', 'lane.left'],
  },
  projector: {
    publish: [
      ...topologyInfo,
      'dlq.projector.*',
      // What it removed by age, and the trimming of the log: how far the archive and the other readers are.
      'evt.*.system.retention.applied',
      'qry.archive.position',
      `$JS.API.STREAM.MSG.GET.${EVENTS}`,
      `$JS.API.STREAM.PURGE.${EVENTS}`,
      ...LOG_READERS.map((durable) => `$JS.API.CONSUMER.INFO.${EVENTS}.${durable}`),
      '_INBOX.>',
      ...consumePermissions(EVENTS, 'projector'),
      ...readKv(BUCKETS.tenants),
    ],
    subscribe: [...inbox('projector'), 'qry.>'],
  },
  'tenant-config': {
    publish: [
      ...topologyInfo,
      'evt.*.system.tenant.configured',
      'evt.*.system.tenant.removed',
      ...readKv(BUCKETS.tenants),
      ...writeKv(BUCKETS.tenants),
    ],
    subscribe: inbox('tenant-config'),
  },
  media: {
    publish: [
      ...topologyInfo,
      'evt.*.*.media.*',
      'dlq.media.*',
      ...consumePermissions(EVENTS, 'media'),
      ...consumePermissions(EVENTS, MEDIA_INDEX_CONSUMER),
      ...consumePermissions(EVENTS, MEDIA_RETENTION_CONSUMER),
      ...readKv(BUCKETS.tenants),
      ...readKv(BUCKETS.mediaIndex),
      ...writeKv(BUCKETS.mediaIndex),
      // The files of one company.
      ...readStreamPermissions(`KV_${BUCKETS.mediaIndex}`),
      ...useObjects(MEDIA_BUCKET),
    ],
    subscribe: inbox('media'),
  },
  archiver: {
    publish: [
      ...topologyInfo,
      'evt.*.system.audit.anchored',
      'dlq.archiver.*',
      // Answers to who asks how far the archive has come.
      '_INBOX.>',
      ...readStreamPermissions(EVENTS),
      `$JS.API.STREAM.MSG.GET.${EVENTS}`,
      ...readKv(BUCKETS.leases),
      ...writeKv(BUCKETS.leases),
      ...readKv(BUCKETS.checkpoints),
      ...writeKv(BUCKETS.checkpoints),
    ],
    subscribe: [...inbox('archiver'), 'qry.archive.position'],
  },
}
