import {
  type GraphError,
  hexOfMediaHash,
  isCredentialError,
  isRetryable,
  largestMediaBytes,
  type MediaClient,
  type MediaLocation,
} from '@cloudapi2/whatsapp'
import { type CarriedFile, mediaKey } from '../carried-file.ts'
import { type Content, contentKey, type MediaStore, provisionalKey } from '../store/media-store.ts'
import { type Attempt, TransferEnded } from './attempt.ts'

export interface FetchDeps {
  channel: Pick<MediaClient, 'lookUp' | 'download'>
  store: MediaStore
  downloadTimeoutMs: number
  /** Ends what is under way when the service stops. */
  stopping: AbortSignal
}

/** One try at bringing a file into the store. @throws what the store throws */
export type FetchAttempt = (file: CarriedFile, token: string) => Promise<Attempt>

/** What Meta calls an object that is not there, or that the token does not open. */
const NO_SUCH_OBJECT = { code: 100, subcode: 33 }

/** A status without a description of Meta's: something in between answered, or a file server. */
const isUndescribed = (error: GraphError): boolean => error.type === 'HTTP'

const afterRefusal = (error: GraphError, retryAfterMs: number | undefined): Attempt => {
  const { code, subcode, httpStatus } = error
  if (isUndescribed(error)) {
    if (httpStatus === 401 || httpStatus === 403) return { kind: 'unauthorised', code }
    return { kind: 'again', reason: `http_${httpStatus}`, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  }
  if (isCredentialError(code)) return { kind: 'unauthorised', code }
  if (code === NO_SUCH_OBJECT.code && subcode === NO_SUCH_OBJECT.subcode)
    return { kind: 'again', reason: 'not_found', code, givesUpAs: 'not_found' }
  if (isRetryable(error))
    return { kind: 'again', reason: 'refused', code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  return { kind: 'refused', reason: 'refused', code, details: error.title }
}

/**
 * Passes the file on as it comes, and ends the transfer when it is too large, breaks off, or takes too long.
 *
 * @throws TransferEnded
 */
async function* transfer(body: AsyncIterable<Uint8Array>, largestBytes: number): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0
  const pieces = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await pieces.next().catch((cause: unknown) => {
        throw new TransferEnded({ kind: 'again', reason: 'cut_off' }, cause)
      })
      if (next.done) return
      sizeBytes += next.value.length
      if (sizeBytes > largestBytes) throw new TransferEnded({ kind: 'refused', reason: 'too_large' })
      yield next.value
    }
  } finally {
    // Abandoned halfway, the connection is of no use to anybody else.
    await pieces.return?.()
  }
}

/** Refuses what is not what Meta said it would be. */
const checkAgainst =
  (media: MediaLocation, expected: string | undefined) =>
  ({ sizeBytes, sha256 }: Content): void => {
    if (media.sizeBytes !== undefined && sizeBytes < media.sizeBytes)
      throw new TransferEnded({ kind: 'again', reason: 'cut_off' })
    if (expected !== undefined && sha256 !== expected)
      throw new TransferEnded({ kind: 'again', reason: 'sha256_mismatch', givesUpAs: 'sha256_mismatch' })
  }

export const fetchAttempt = ({ channel, store, downloadTimeoutMs, stopping }: FetchDeps): FetchAttempt => {
  /** Under its hash where that is known before, which is always so far; else by way of a place of its own. */
  const keep = async (file: CarriedFile, media: MediaLocation, body: AsyncIterable<Uint8Array>): Promise<Content> => {
    const expected = expectedHash(file, media)
    const source = transfer(body, largestMediaBytes(file.kind))
    const check = checkAgainst(media, expected)
    if (expected !== undefined) return store.put(contentKey(file.companyId, expected), source, check)

    const place = provisionalKey(file.companyId, mediaKey(file.mediaId))
    const content = await store.put(place, source, check)
    const key = contentKey(file.companyId, content.sha256)
    if ((await store.head(key)) === undefined) {
      const copy = await store.get(place)
      if (copy === undefined) throw new TransferEnded({ kind: 'again', reason: 'cut_off' })
      await store.put(key, copy, checkAgainst({ ...media, ...content }, content.sha256))
    }
    await store.delete(place)
    return content
  }

  return async (file, token) => {
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(downloadTimeoutMs)])
    try {
      for (let round = 1; ; round++) {
        const located = await channel.lookUp({ mediaId: file.mediaId, token, signal })
        if (located.kind === 'refused') return afterRefusal(located.error, located.retryAfterMs)
        if (located.kind === 'no-answer') return { kind: 'again', reason: located.cause.code }
        const { media } = located
        const claimed = media.mimeType === undefined ? {} : { claimedMimeType: media.mimeType }

        const expected = expectedHash(file, media)
        const known = expected === undefined ? undefined : await store.head(contentKey(file.companyId, expected))
        if (known !== undefined && expected !== undefined)
          return { kind: 'stored', content: { sizeBytes: known.sizeBytes, sha256: expected }, ...claimed }

        if (media.sizeBytes !== undefined && media.sizeBytes > largestMediaBytes(file.kind))
          return { kind: 'refused', reason: 'too_large', details: `${media.sizeBytes} bytes` }
        const answer = await channel.download({ url: media.url, token, signal })
        switch (answer.kind) {
          case 'streaming':
            return { kind: 'stored', content: await keep(file, media, answer.body), ...claimed }
          case 'gone':
            // An address lives five minutes: a fresh one is asked for at once, and is right or never will be.
            if (round === 1) continue
            return { kind: 'refused', reason: 'not_found', details: '404 at a fresh address' }
          case 'refused':
            return afterRefusal(answer.error, answer.retryAfterMs)
          case 'no-answer':
            return { kind: 'again', reason: answer.cause.code }
        }
      }
    } catch (error) {
      if (error instanceof TransferEnded) return error.attempt
      throw error
    }
  }
}

/** What the look-up says is newer than what the message said. */
const expectedHash = (file: CarriedFile, media: MediaLocation): string | undefined =>
  media.sha256 ?? hexOfMediaHash(file.claimedSha256 ?? '')
