import { GatewayError } from '@cloudapi2/contracts'
import { type KvBucket, KvConflict } from '@cloudapi2/nats'
import { mediaKey } from '../carried-file.ts'
import { IndexEntry, isNews } from './index-entry.ts'

/** How every file stands, by company and media id. It can be made anew from the log (docs/operating.md). */
export interface MediaIndex {
  get: (companyId: string, mediaId: string) => Promise<IndexEntry | undefined>
  /** Writes the entry unless one that tells as much is there. */
  learn: (companyId: string, mediaId: string, entry: IndexEntry) => Promise<void>
  /** Writes how a file that waits has come on; nothing happens once it is stored or given up. */
  note: (companyId: string, mediaId: string, entry: IndexEntry & { state: 'waiting' }) => Promise<void>
  /** Forgets a file; its content is another matter, as others of the company may have the same. */
  delete: (companyId: string, mediaId: string) => Promise<void>
}

/** The bucket does not answer. */
export class MediaIndexUnavailable extends GatewayError {
  constructor(cause: unknown) {
    super(`the index of media: ${cause instanceof Error ? cause.message : 'does not answer'}`, {
      code: 'MEDIA_INDEX_UNAVAILABLE',
      retryable: true,
      cause,
    })
  }
}

/** Two writers of one key at once are rare, and a third time in a row does not happen by chance. */
const TRIES = 5

export const mediaIndex = (bucket: KvBucket): MediaIndex => {
  const keyOf = (companyId: string, mediaId: string) => `${companyId}.${mediaKey(mediaId)}`

  const load = async (key: string): Promise<{ entry: IndexEntry; revision: number } | undefined> => {
    const value = await bucket.get(key).catch((cause: unknown) => {
      throw new MediaIndexUnavailable(cause)
    })
    if (value === undefined) return undefined
    return { entry: IndexEntry.parse(JSON.parse(Buffer.from(value.value).toString())), revision: value.revision }
  }

  const write = async (
    key: string,
    entry: IndexEntry,
    isWanted: (known: IndexEntry | undefined) => boolean,
  ): Promise<void> => {
    for (let tries = 1; ; tries++) {
      const known = await load(key)
      if (!isWanted(known?.entry)) return
      try {
        const text = JSON.stringify(entry)
        await (known === undefined ? bucket.create(key, text) : bucket.update(key, text, known.revision))
        return
      } catch (error) {
        if (!(error instanceof KvConflict)) throw new MediaIndexUnavailable(error)
        if (tries >= TRIES) throw error
      }
    }
  }

  return {
    get: async (companyId, mediaId) => (await load(keyOf(companyId, mediaId)))?.entry,
    learn: (companyId, mediaId, entry) => write(keyOf(companyId, mediaId), entry, (known) => isNews(entry, known)),
    note: (companyId, mediaId, entry) =>
      write(keyOf(companyId, mediaId), entry, (known) => known === undefined || known.state === 'waiting'),
    delete: (companyId, mediaId) =>
      bucket.delete(keyOf(companyId, mediaId)).catch((cause: unknown) => {
        throw new MediaIndexUnavailable(cause)
      }),
  }
}
