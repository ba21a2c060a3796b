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
  /** Forgets a file unless its entry has changed since this revision. True when it is forgotten. */
  forget: (companyId: string, mediaId: string, revision: number) => Promise<boolean>
  /**
   * Says that a content is about to be removed, until `untilMs` at the latest: whoever hears of the same content waits.
   * Who has noted before that it wants the content is seen by whoever claims it after.
   */
  claimRemoval: (companyId: string, sha256: string, untilMs: number) => Promise<void>
  releaseRemoval: (companyId: string, sha256: string) => Promise<void>
  isBeingRemoved: (companyId: string, sha256: string, nowMs: number) => Promise<boolean>
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
  const removalKey = (companyId: string, sha256: string) => `removing.${companyId}.${sha256}`
  const unavailable = (cause: unknown) => {
    throw new MediaIndexUnavailable(cause)
  }

  const load = async (key: string): Promise<{ entry: IndexEntry; revision: number } | undefined> => {
    const value = await bucket.get(key).catch(unavailable)
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
    delete: (companyId, mediaId) => bucket.delete(keyOf(companyId, mediaId)).catch(unavailable),
    forget: async (companyId, mediaId, revision) => {
      try {
        await bucket.delete(keyOf(companyId, mediaId), revision)
        return true
      } catch (error) {
        if (error instanceof KvConflict) return false
        throw new MediaIndexUnavailable(error)
      }
    },
    claimRemoval: async (companyId, sha256, untilMs) => {
      await bucket.put(removalKey(companyId, sha256), String(untilMs)).catch(unavailable)
    },
    releaseRemoval: (companyId, sha256) => bucket.delete(removalKey(companyId, sha256)).catch(unavailable),
    isBeingRemoved: async (companyId, sha256, nowMs) => {
      const claim = await bucket.get(removalKey(companyId, sha256)).catch(unavailable)
      return claim !== undefined && nowMs < Number(Buffer.from(claim.value).toString())
    },
  }
}
