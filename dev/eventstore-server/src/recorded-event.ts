/** An event as a client proposes it. */
export interface ProposedEvent {
  /** A UUID. */
  id: string
  type: string
  contentType: 'application/json' | 'application/octet-stream'
  data: Uint8Array
  metadata: Uint8Array
}

/** An event as it is stored. */
export interface RecordedEvent extends ProposedEvent {
  stream: string
  /** Its place in its stream, from 0; of a tombstone `DELETED_REVISION`. */
  revision: number
  /** Its place in `$all`: grows, with gaps. Commit and prepare position are the same, as of events written in one go. */
  position: number
  /** Milliseconds since 1970. */
  created: number
}

/** What is stored in one go: all of it, or nothing. */
export interface Commit {
  stream: string
  created: number
  events: ProposedEvent[]
}

/** What a writer believes of the stream; a number is the revision of its last event. */
export type ExpectedRevision = 'any' | 'no_stream' | 'stream_exists' | number

export const METADATA_TYPE = '$metadata'
export const TOMBSTONE_TYPE = '$streamDeleted'
/** On the wire a tombstone has the largest 64-bit number, which a JavaScript number cannot hold; nothing else comes near. */
export const DELETED_REVISION = Number.MAX_SAFE_INTEGER
export const DELETED_REVISION_TEXT = '9223372036854775807'

export const metastreamOf = (stream: string): string => `$$${stream}`
export const isMetastream = (stream: string): boolean => stream.startsWith('$$')
export const originalOf = (metastream: string): string => metastream.slice(2)
