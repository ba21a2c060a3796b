import { decodeEvent, GatewayError } from '@cloudapi2/contracts'
import { ack, type Delivery, later, type Outcome } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import type { MediaIndex } from '../index/media-index.store.ts'
import { contentKey, type MediaStore } from '../store/media-store.ts'
import type { IndexedFiles } from './indexed-files.client.ts'
import { contentOf, type IndexedFile, isOld } from './old-files.ts'

export interface RemoveFilesDeps {
  files: IndexedFiles
  index: Pick<MediaIndex, 'claimRemoval' | 'forget' | 'releaseRemoval'>
  store: Pick<MediaStore, 'delete'>
  log: Logger
  /** Contents and entries removed. */
  count: (removed: { contents: number; entries: number }) => void
  now: () => number
  stopping: AbortSignal
}

/** Files looked after at a time: what is held in memory, and for how long nobody may take up one of these contents. */
const AT_A_TIME = 1_000
const IN_PARALLEL = 16
/** A claim outlives its process by this at most; whoever holds one removes nothing after half of it. */
const CLAIM_MS = 120_000
const TRY_AGAIN_MS = 10_000

/**
 * When messages were removed by age, removes the files that only they carried. A content that a younger message carries as
 * well stays, and so does a file that is sent again while this goes on. The entry of the index goes last: killed anywhere,
 * the same event finds what is left to do.
 */
export const removeFiles = (deps: RemoveFilesDeps) => {
  const { files, index, store, log, count, now, stopping } = deps

  const inParallel = async <T>(things: readonly T[], work: (thing: T) => Promise<unknown>): Promise<void> => {
    for (let at = 0; at < things.length; at += IN_PARALLEL)
      await Promise.all(things.slice(at, at + IN_PARALLEL).map(work))
  }

  /** Some of what is old; fewer than `AT_A_TIME`: all of it. */
  const oldFiles = async (companyId: string, beforeMs: number): Promise<IndexedFile[]> => {
    const found: IndexedFile[] = []
    for await (const file of files(companyId)) {
      if (!isOld(file, beforeMs)) continue
      found.push(file)
      if (found.length === AT_A_TIME) break
    }
    return found
  }

  /** Of these contents, those that no younger message carries. */
  const unwanted = async (companyId: string, beforeMs: number, contents: ReadonlySet<string>): Promise<string[]> => {
    const left = new Set(contents)
    for await (const file of files(companyId)) {
      const content = contentOf(file)
      if (content !== undefined && !isOld(file, beforeMs)) left.delete(content)
    }
    return [...left]
  }

  /** Returns how many entries went, and how many were there to go. */
  const removeSome = async (companyId: string, beforeMs: number): Promise<{ found: number; entries: number }> => {
    const old = await oldFiles(companyId, beforeMs)
    const contents = new Set(old.map(contentOf).filter((content) => content !== undefined))
    const claimedAt = now()
    await inParallel([...contents], (sha256) => index.claimRemoval(companyId, sha256, claimedAt + CLAIM_MS))
    // Only after the claims: whoever wanted one of them before is seen now.
    const going = await unwanted(companyId, beforeMs, contents)
    await inParallel(going, async (sha256) => {
      if (now() > claimedAt + CLAIM_MS / 2) throw new RemovalTooSlow()
      await store.delete(contentKey(companyId, sha256))
    })
    let entries = 0
    await inParallel(old, async ({ mediaId, revision }) => {
      if (await index.forget(companyId, mediaId, revision)) entries += 1
    })
    await inParallel([...contents], (sha256) => index.releaseRemoval(companyId, sha256))
    count({ contents: going.length, entries })
    return { found: old.length, entries }
  }

  const removeAll = async (companyId: string, before: string): Promise<Outcome> => {
    const startedAt = performance.now()
    let total = 0
    for (;;) {
      const { found, entries } = await removeSome(companyId, Date.parse(before))
      total += entries
      // Nothing went: all of them have become younger meanwhile, because a message carries them again.
      if (found < AT_A_TIME || entries === 0) break
      if (stopping.aborted) return later(1, 'stopping')
    }
    if (total > 0)
      log.info({
        event: 'media.removed',
        company_id: companyId,
        before,
        files: total,
        duration_ms: Math.round(performance.now() - startedAt),
      })
    return ack
  }

  return async ({ data }: Delivery): Promise<Outcome> => {
    const event = decodeEvent(data)
    if (event.type !== 'retention.applied') return ack
    try {
      return await removeAll(event.companyid, event.data.before)
    } catch (error) {
      // Store or index are away: files that have to go are not given up, however often it is tried.
      if (!(error instanceof GatewayError && error.retryable)) throw error
      log.error({ event: 'media.not_removed', company_id: event.companyid, code: error.code, reason: error.message })
      return later(TRY_AGAIN_MS, error.code)
    }
  }
}

/** Claims are over before everything was removed. */
class RemovalTooSlow extends GatewayError {
  constructor() {
    super('files could not be removed in time: the store is slow', { code: 'MEDIA_REMOVAL_SLOW', retryable: true })
  }
}
