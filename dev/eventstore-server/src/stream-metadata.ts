import { isMetastream } from './recorded-event.ts'

/** What of a stream may still be read. */
export interface StreamMetadata {
  /** Revisions below this are gone; `deleted` means all that were there when the stream was deleted. */
  truncateBefore?: number | 'deleted'
  maxCount?: number
  maxAgeSeconds?: number
}

// What a JSON parser makes of the largest 64-bit number, 9223372036854775807.
const LARGEST = 2 ** 63

/** Reads the body of a `$metadata` event; what is no metadata restricts nothing, as with the real server. */
export const parseStreamMetadata = (body: Uint8Array): StreamMetadata => {
  const raw = parseObject(body)
  const { $tb, $maxCount, $maxAge } = raw
  return {
    ...(typeof $tb === 'number' && { truncateBefore: $tb >= LARGEST ? ('deleted' as const) : $tb }),
    ...(typeof $maxCount === 'number' && { maxCount: $maxCount }),
    ...(typeof $maxAge === 'number' && { maxAgeSeconds: $maxAge }),
  }
}

/** The body that deletes a stream softly: it can be written to again, and goes on with the revision after the last. */
export const deletedMetadata = (): Uint8Array => Buffer.from('{"$tb":9223372036854775807}')

/** The body that lets a softly deleted stream live again, from the given revision on. */
export const revivedMetadata = (body: Uint8Array, from: number): Uint8Array =>
  Buffer.from(JSON.stringify({ ...parseObject(body), $tb: from }))

/** Of metadata only the last counts. */
export const metadataOfMetastream: StreamMetadata = { maxCount: 1 }

export const defaultMetadata = (stream: string): StreamMetadata => (isMetastream(stream) ? metadataOfMetastream : {})

const parseObject = (body: Uint8Array): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {} // a client may write what it likes into a metastream
  }
}
