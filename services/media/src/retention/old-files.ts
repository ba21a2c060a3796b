import type { IndexEntry } from '../index/index-entry.ts'

/** An entry of the index and when the index stored it. */
export interface IndexedFile {
  /** As in the key of the index. */
  mediaId: string
  revision: number
  entry: IndexEntry
  indexedAtMs: number
}

/** When the message that carries it was sent; of entries of an earlier version the earliest that is known to be later. */
const carriedAtMs = ({ entry, indexedAtMs }: IndexedFile): number => {
  const at = entry.message_at ?? (entry.state === 'stored' ? entry.stored_at : undefined)
  return at === undefined ? indexedAtMs : Date.parse(at)
}

/** True when only messages that are gone carry the file. */
export const isOld = (file: IndexedFile, beforeMs: number): boolean => carriedAtMs(file) < beforeMs

/** The content a file has, or will have; undefined when it has none, or nobody knows which. */
export const contentOf = ({ entry }: IndexedFile): string | undefined =>
  entry.state === 'failed' ? undefined : entry.sha256
