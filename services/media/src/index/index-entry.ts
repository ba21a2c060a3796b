import type { GatewayEvent } from '@cloudapi2/contracts'
import { z } from 'zod'

const about = {
  message_id: z.string(),
  kind: z.string().optional(),
  filename: z.string().optional(),
  /** When the message was sent; of several that carry the file, the latest. Entries of an earlier version have none. */
  message_at: z.string().optional(),
}

export const IndexEntry = z.discriminatedUnion('state', [
  /** Heard of and not stored yet. `attempts`: at the channel; `reason`: why the last one did not do; `sha256`: as claimed. */
  z.object({
    state: z.literal('waiting'),
    ...about,
    attempts: z.number(),
    reason: z.string().optional(),
    sha256: z.string().optional(),
  }),
  z.object({
    state: z.literal('stored'),
    ...about,
    sha256: z.string(),
    size_bytes: z.number(),
    mime_type: z.string(),
    stored_at: z.string(),
  }),
  z.object({ state: z.literal('failed'), ...about, reason: z.string(), code: z.number().optional() }),
])
/** How one file of a company stands. */
export type IndexEntry = z.infer<typeof IndexEntry>

/** Which of two entries of one file tells more: what is stored is proven, a failure only says that nothing was found. */
const RANK = { waiting: 0, failed: 1, stored: 2 } as const

/** The index follows the log, whose events may come late, twice, or in another order: the entry that tells more stays. */
export const isNews = (entry: IndexEntry, known: IndexEntry | undefined): boolean =>
  known === undefined ||
  RANK[entry.state] > RANK[known.state] ||
  // Another message carries the same file: it is kept for as long as the later one is.
  (RANK[entry.state] === RANK[known.state] && (entry.message_at ?? '') > (known.message_at ?? ''))

/** What an event of the log says about a file; undefined for events about other things. */
export const entryOf = (event: GatewayEvent): { companyId: string; mediaId: string; entry: IndexEntry } | undefined => {
  if (event.type !== 'media.stored' && event.type !== 'media.failed') return undefined
  const { message_id, media_id, kind, filename, message_at } = event.data
  const common = {
    message_id,
    ...(kind === undefined ? {} : { kind }),
    ...(filename === undefined ? {} : { filename }),
    ...(message_at === undefined ? {} : { message_at }),
  }
  const at = { companyId: event.companyid, mediaId: media_id }
  if (event.type === 'media.stored') {
    const { sha256, size_bytes, mime_type } = event.data
    return { ...at, entry: { state: 'stored', ...common, sha256, size_bytes, mime_type, stored_at: event.time } }
  }
  const { reason, code } = event.data
  return { ...at, entry: { state: 'failed', ...common, reason, ...(code === undefined ? {} : { code }) } }
}
