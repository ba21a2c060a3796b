import { decodeEvent, GatewayError } from '@cloudapi2/contracts'
import { ack, type Delivery, later, type Outcome, type Publisher } from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import type { TenantDirectory } from '@cloudapi2/tenants'
import { hexOfMediaHash } from '@cloudapi2/whatsapp'
import { type CarriedFile, carriedFile, KEPT_FOR_MS } from '../carried-file.ts'
import type { MediaIndex } from '../index/media-index.store.ts'
import { type Content, contentKey, type MediaStore } from '../store/media-store.ts'
import { type Attempt, type FailureReason, MANY, retryDelayMs } from './attempt.ts'
import type { Turns } from './company-turns.ts'
import { contentType } from './content-type.client.ts'
import { mediaFailed, mediaStored } from './facts.ts'
import type { FetchAttempt } from './fetch-attempt.client.ts'

export interface FetchMediaDeps {
  tenants: Pick<TenantDirectory, 'get'>
  turns: Turns
  fetch: FetchAttempt
  store: Pick<MediaStore, 'get' | 'head'>
  index: Pick<MediaIndex, 'get' | 'isBeingRemoved' | 'learn' | 'note'>
  publisher: Pick<Publisher, 'publish'>
  retries: { baseMs: number; capMs: number }
  pauseMs: number
  log: Logger
  /** Called at the end of each attempt. */
  observe: (result: { outcome: MediaOutcome; seconds: number; sizeBytes: number }) => void
  now: () => number
  random: () => number
  stopping: AbortSignal
}

/** `known`: stored under this hash before; `again`: tried again later; `paused`: the company's token is refused. */
export type MediaOutcome = 'stored' | 'known' | 'failed' | 'again' | 'paused' | 'store_unavailable'

/** A company without a token, and one that was removed, may get one. */
const NO_TOKEN = 'no_access_token'

/** Until a content that is just being removed, for messages that are too old, is asked for again. */
const REMOVAL_MS = 2_000

const DAY_MS = 24 * 3_600_000

/**
 * Brings the file of one message into the store and tells the log, or says when to try again. It waits for nothing itself:
 * what cannot be done now goes back to the stream, so that the files of others are never behind it. Safe to redeliver:
 * what is stored is found by its hash, and the same fact has the same id.
 */
export const fetchMedia = (deps: FetchMediaDeps) => {
  const { tenants, turns, index, store, publisher, log, now } = deps

  /** The message is older than its company keeps it: what was removed must not be fetched again. */
  const isTooOld = ({ companyId, sentAt }: CarriedFile): boolean => {
    const days = tenants.get(companyId)?.retentionDays
    return days !== undefined && sentAt < now() - days * DAY_MS
  }

  const conclude = async (file: CarriedFile): Promise<Outcome> => {
    if (isTooOld(file)) return ack
    const entry = await index.get(file.companyId, file.mediaId)
    if (entry !== undefined && entry.state !== 'waiting' && entry.message_id === file.messageId) return ack

    const startedAt = performance.now()
    const attempts = entry?.state === 'waiting' ? entry.attempts : 0
    const line = (outcome: MediaOutcome, more: Record<string, unknown> & { size_bytes?: number }) => {
      const durationMs = performance.now() - startedAt
      deps.observe({ outcome, seconds: durationMs / 1_000, sizeBytes: more.size_bytes ?? 0 })
      log[outcome === 'stored' || outcome === 'known' ? 'info' : 'warn']({
        event: 'media.fetched',
        outcome,
        company_id: file.companyId,
        phone_number_id: file.phoneNumberId,
        message_id: file.messageId,
        media_id: file.mediaId,
        kind: file.kind,
        ...more,
        duration_ms: Math.round(durationMs),
      })
    }
    const stored = async (
      content: Content,
      claimed: string | undefined,
      outcome: 'stored' | 'known',
      tries: number,
    ) => {
      const key = contentKey(file.companyId, content.sha256)
      const type = await contentType(store, key, content.sizeBytes, claimed ?? file.claimedMimeType)
      await publisher.publish(mediaStored(file, { ...content, ...type }, now()))
      line(outcome, {
        mime_type: type.mimeType,
        claimed_mime_type: type.mismatched,
        size_bytes: content.sizeBytes,
        attempts: tries,
      })
      return ack
    }
    const failed = async (failure: { reason: FailureReason; code?: number; details?: string }, tries: number) => {
      await publisher.publish(mediaFailed(file, failure, now()))
      line('failed', { reason: failure.reason, code: failure.code, attempts: tries })
      return ack
    }

    const hash = hexOfMediaHash(file.claimedSha256 ?? '')
    const wait = (reason: string, tries = attempts) =>
      index.note(file.companyId, file.mediaId, {
        state: 'waiting',
        message_id: file.messageId,
        kind: file.kind,
        message_at: new Date(file.sentAt).toISOString(),
        attempts: tries,
        reason,
        ...(hash === undefined ? {} : { sha256: hash }),
        ...(file.filename === undefined ? {} : { filename: file.filename }),
      })
    if (hash !== undefined) {
      // In this order: either whoever removes this content sees that it is wanted, or we see that it goes.
      if (entry === undefined || (entry.state === 'waiting' && entry.sha256 !== hash)) await wait('fetching')
      // Another message brought the same file: it is as young as this one from now on.
      if (entry?.state === 'stored') {
        const message_at = new Date(file.sentAt).toISOString()
        await index.learn(file.companyId, file.mediaId, { ...entry, message_at })
      }
      if (await index.isBeingRemoved(file.companyId, hash, now())) return later(REMOVAL_MS, 'being_removed')
    }
    const known = hash === undefined ? undefined : await store.head(contentKey(file.companyId, hash))
    if (known !== undefined && hash !== undefined)
      return stored({ sizeBytes: known.sizeBytes, sha256: hash }, undefined, 'known', attempts)
    const endsAt = file.sentAt + KEPT_FOR_MS
    if (now() >= endsAt) return failed({ reason: 'expired' }, attempts)

    /** Never beyond the deadline: then it is known to be over. */
    const atLatest = (delayMs: number) => Math.max(1, Math.min(delayMs, endsAt - now()))

    const token = tenants.get(file.companyId)?.accessToken
    if (token === undefined) {
      await wait(NO_TOKEN)
      return later(atLatest(deps.pauseMs), NO_TOKEN)
    }
    const turn = turns.enter(file.companyId, token, now())
    if (turn.kind === 'wait') {
      if (entry === undefined) await wait(turn.reason)
      return later(atLatest(turn.delayMs), turn.reason)
    }
    let attempt: Attempt | undefined
    try {
      if (entry === undefined) await wait('fetching')
      attempt = await deps.fetch(file, token)
    } finally {
      turns.leave(file.companyId, token, now(), {
        isRefused: attempt?.kind === 'unauthorised',
        tookMs: performance.now() - startedAt,
      })
    }

    const tries = attempts + 1
    switch (attempt.kind) {
      case 'stored':
        return stored(attempt.content, attempt.claimedMimeType, 'stored', tries)
      case 'refused':
        return failed(attempt, tries)
      case 'unauthorised':
        line('paused', { code: attempt.code, attempts })
        await wait('unauthorised')
        return later(atLatest(deps.pauseMs), 'unauthorised')
      case 'again': {
        // Stopped halfway, not failed: it goes on at once, here or elsewhere.
        if (deps.stopping.aborted) return later(1, 'stopping')
        const { reason, code, givesUpAs } = attempt
        if (givesUpAs !== undefined && tries >= MANY)
          return failed({ reason: givesUpAs, ...(code === undefined ? {} : { code }) }, tries)
        line('again', { reason, code, attempts: tries })
        await wait(reason, tries)
        const delayMs = Math.max(retryDelayMs(tries, deps.retries, deps.random), attempt.retryAfterMs ?? 0)
        return later(atLatest(delayMs), reason)
      }
    }
  }

  return async (delivery: Delivery): Promise<Outcome> => {
    const file = carriedFile(decodeEvent(delivery.data))
    if (file === undefined) return ack
    try {
      return await conclude(file)
    } catch (error) {
      // Store, index or log are away. A file must not be lost for that, however often it is tried.
      if (!(error instanceof GatewayError && error.retryable)) throw error
      log.error({
        event: 'media.fetched',
        outcome: 'store_unavailable' satisfies MediaOutcome,
        company_id: file.companyId,
        message_id: file.messageId,
        media_id: file.mediaId,
        code: error.code,
        reason: error.message,
      })
      deps.observe({ outcome: 'store_unavailable', seconds: 0, sizeBytes: 0 })
      return later(retryDelayMs(Math.min(delivery.deliveryCount, 7), deps.retries, deps.random), error.code)
    }
  }
}
