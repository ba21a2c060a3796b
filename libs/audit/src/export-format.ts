import { canonicalJson } from '@cloudapi2/contracts'
import { z } from 'zod'
import { CHAIN_VERSION, linkHash, sha256 } from './chain.ts'

/**
 * An export: lines of JSON, each ended by a line feed. First a header, then one line per event, in the order of the log and
 * with none left out between the first and the last, then the signed head. There is one way to write each line, and only
 * that one is accepted: no white space; the members of header and head in canonical order (RFC 8785), those of a line in the
 * order of `eventLine`; the event in canonical JSON. Every byte of a file counts therefore.
 */
export const EXPORT_FORMAT = 'cloudapi2-audit-export'
export const EXPORT_VERSION = 1

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.number().int().nonnegative()
const moment = z.iso.datetime()

/** A point of a chain: see `ChainState`. */
export const ChainPoint = z.strictObject({ position: count, events: count, head: hash })

export const ExportHeader = z.strictObject({
  format: z.literal(EXPORT_FORMAT),
  version: z.literal(EXPORT_VERSION),
  chain: z.literal(CHAIN_VERSION),
  company_id: z.string(),
  /** What was asked for, by `recordedtime`: from (inclusive), to (exclusive); absent: no limit. */
  range: z.strictObject({ from: moment.optional(), to: moment.optional() }),
  /** Which log it was read from. */
  source: z.enum(['jetstream', 'eventstore']),
  /** The chain before the first line. */
  before: ChainPoint,
  /**
   * What `before` was made from: the company's first event, or an anchor, because the log does not go back to it any more.
   */
  start: z.enum(['first_event', 'anchor']),
  /** The version of the software that wrote it. */
  software: z.string(),
})
export type ExportHeader = z.infer<typeof ExportHeader>

export const ExportHead = z.strictObject({
  format: z.literal(EXPORT_FORMAT),
  version: z.literal(EXPORT_VERSION),
  company_id: z.string(),
  /** SHA-256 of the header's line, without its line feed; hex. */
  header: hash,
  /** Events in this export. */
  events: count,
  /** Of the first event in it, and the last. */
  first_position: count,
  last_position: count,
  /** The chain after the last line: the company's events up to there, and their hash. */
  chain_events: count,
  head: hash,
  exported_at: moment,
  /** Of the key that signed it: SHA-256 of its SPKI form in DER; hex. */
  key: hash,
})
export type ExportHead = z.infer<typeof ExportHead>

export interface EventLine {
  /** Its number in the file, the header being 1. Not part of the hash. */
  line: number
  position: number
  /** The hash of the event of the company before it. */
  prev: string
  hash: string
  /** The event's canonical JSON. */
  text: string
}

/** Without the line feed, as the other two. */
export const headerLine = (header: ExportHeader): string => canonicalJson(header)

export const eventLine = ({ line, position, prev, hash, text }: EventLine): string =>
  `{"line":${line},"position":${position},"prev":"${prev}","hash":"${hash}","event":${text}}`

/** @param signature base64, over `headText(head)` */
export const headLine = (head: ExportHead, signature: string): string =>
  `{"head":${headText(head)},"signature":"${signature}"}`

/** What is signed. */
export const headText = (head: ExportHead): string => canonicalJson(head)

/** What a line of a file turned out to be. */
export type ExportLine =
  | { kind: 'header'; header: ExportHeader; hash: string }
  | { kind: 'event'; event: EventLine; data: unknown }
  | { kind: 'head'; head: ExportHead; signature: string }
  /** An export's header, of a version that this software does not know. */
  | { kind: 'other_version'; version: unknown }
  | { kind: 'none' }

const Line = z.strictObject({ line: count, position: count, prev: hash, hash, event: z.unknown() })
const Head = z.strictObject({ head: ExportHead, signature: z.string().regex(/^[A-Za-z0-9+/]{86}==$/) })

/** Reads a line of a file (without its line feed). An event line is one only when its own hash is right. */
export const readLine = (bytes: Buffer): ExportLine => {
  const text = bytes.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    // RangeError: nested deeper than anything that was ever exported.
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error
    return { kind: 'none' }
  }
  if (value === null || typeof value !== 'object') return { kind: 'none' }
  if ('event' in value) return readEventLine(bytes, value)
  if ('head' in value) return readHeadLine(bytes, value)
  return readHeader(bytes, text, value)
}

const isWrittenAs = (bytes: Buffer, text: string): boolean => bytes.equals(Buffer.from(text, 'utf8'))

const readEventLine = (bytes: Buffer, value: object): ExportLine => {
  const parsed = Line.safeParse(value)
  if (!parsed.success) return { kind: 'none' }
  const { event: data, ...rest } = parsed.data
  const event = { ...rest, text: canonicalJson(data) }
  if (!isWrittenAs(bytes, eventLine(event))) return { kind: 'none' }
  if (linkHash(event.prev, event.position, event.text) !== event.hash) return { kind: 'none' }
  return { kind: 'event', event, data }
}

const readHeadLine = (bytes: Buffer, value: object): ExportLine => {
  const parsed = Head.safeParse(value)
  if (!parsed.success) return { kind: 'none' }
  const { head, signature } = parsed.data
  // Base64 has several texts for the same bytes; one of them is the signature's.
  if (Buffer.from(signature, 'base64').toString('base64') !== signature) return { kind: 'none' }
  return isWrittenAs(bytes, headLine(head, signature)) ? { kind: 'head', head, signature } : { kind: 'none' }
}

const readHeader = (bytes: Buffer, text: string, value: object): ExportLine => {
  const parsed = ExportHeader.safeParse(value)
  if (parsed.success && isWrittenAs(bytes, headerLine(parsed.data)))
    return { kind: 'header', header: parsed.data, hash: sha256(text) }
  const { format, version } = value as { format?: unknown; version?: unknown }
  return format === EXPORT_FORMAT && version !== EXPORT_VERSION ? { kind: 'other_version', version } : { kind: 'none' }
}
