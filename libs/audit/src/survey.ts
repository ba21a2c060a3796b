import { AuditAnchoredData } from '@cloudapi2/contracts'
import type { ChainState } from './chain.ts'
import { type ExportHead, type ExportLine, readLine } from './export-format.ts'
import { linesOf } from './lines.ts'

/** What can be read of a file from its beginning, more than once. */
export type Source = () => AsyncIterable<Uint8Array>

/** What somebody recorded of the chain, and on which line of the file it stands. */
export interface Claim extends ChainState {
  line: number
}

/** What has to be known of a file before its lines can be judged one by one. */
export interface Survey {
  lines: number
  /** False: the last line has no line feed. */
  isEnded: boolean
  /** The last signed head in it, wherever it stands. */
  signed?: { line: number; head: ExportHead; signature: string }
  headerLine?: number
  /** The anchors in it, by the position they are about. */
  anchors: Claim[]
}

const ANCHOR = Buffer.from('"type":"audit.anchored"')
const HEAD = Buffer.from('{"head":')
const HEADER = Buffer.from('{"before":')

export const surveyOf = async (source: Source): Promise<Survey> => {
  const survey: Survey = { lines: 0, isEnded: true, anchors: [] }
  for await (const { bytes, isEnded } of linesOf(source())) {
    const line = ++survey.lines
    survey.isEnded = isEnded
    // Only these few are read; the rest is passed over, a gigabyte in a second.
    if (startsWith(bytes, HEADER)) {
      if (readLine(bytes).kind === 'header') survey.headerLine ??= line
    } else if (startsWith(bytes, HEAD)) {
      const read = readLine(bytes)
      if (read.kind === 'head') survey.signed = { line, head: read.head, signature: read.signature }
    } else if (bytes.includes(ANCHOR)) {
      const anchor = anchorOf(readLine(bytes))
      if (anchor !== undefined) survey.anchors.push({ ...anchor, line })
    }
  }
  survey.anchors.sort((a, b) => a.position - b.position || a.line - b.line)
  return survey
}

const startsWith = (bytes: Buffer, start: Buffer): boolean => bytes.subarray(0, start.length).equals(start)

const anchorOf = (read: ExportLine): ChainState | undefined => {
  if (read.kind !== 'event') return undefined
  const event = read.data as { type?: unknown; data?: unknown } | null
  if (event?.type !== 'audit.anchored') return undefined
  const anchor = AuditAnchoredData.safeParse(event.data)
  if (!anchor.success) return undefined
  const { position, events, head } = anchor.data
  return { position, events, head }
}
