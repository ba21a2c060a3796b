/** What was stored, or is to be. `sha256`: 64 hexadecimal digits, lower case. */
export interface Content {
  sizeBytes: number
  sha256: string
}

/** Part of a file: the first byte and the last one, both from 0. */
export interface ByteRange {
  start: number
  end: number
}

/**
 * Where files are kept. Every adapter passes media-store.contract.ts. Keys are those of `contentKey`; the store knows
 * nothing of messages, and what was put under a key is never changed, only removed.
 */
export interface MediaStore {
  /**
   * Stores what the source yields, in constant memory. It is there for readers only once all of it is stored; when the
   * source or `check` throws, nothing of it is.
   *
   * @param check sees the whole before it becomes visible, and throws to refuse it
   * @throws GatewayError, retryable, when the store does not work; whatever source and `check` throw
   */
  put: (key: string, source: AsyncIterable<Uint8Array>, check?: (content: Content) => void) => Promise<Content>
  /** Undefined when there is none. */
  head: (key: string) => Promise<{ sizeBytes: number } | undefined>
  /** The bytes, fetched as they are taken; undefined when there is none. */
  get: (key: string, range?: ByteRange) => Promise<AsyncIterable<Uint8Array> | undefined>
  /** Removes it; nothing happens when there is none. */
  delete: (key: string) => Promise<void>
  /** Removes what killed processes left half-written longer ago than this, and tells how many there were. */
  sweep: (olderThanMs: number) => Promise<number>
  close: () => Promise<void>
}

/**
 * A content is stored once per company, not once for all (docs/adr/0014-media-by-company-and-content.md): what one
 * company removes is then surely its own, and nobody learns from a fast answer that another company has the same file.
 */
export const contentKey = (companyId: string, sha256: string): string => `${companyId}/${sha256}`

/** Where a file lies while nobody knows its hash yet; one place per file, so that a later attempt takes it over. */
export const provisionalKey = (companyId: string, mediaKey: string): string => `${companyId}/provisional-${mediaKey}`
