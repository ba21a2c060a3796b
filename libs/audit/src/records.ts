import { GatewayError } from '@cloudapi2/contracts'
import { z } from 'zod'
import { ChainPoint, ExportHeader } from './export-format.ts'
import { linesOf } from './lines.ts'
import type { Source } from './survey.ts'
import type { Fault } from './verdict.ts'

/** A head that was recorded, by whomever: at this position the chain had it. */
export interface RecordedHead {
  position: number
  head: string
  /** Its line in the file. */
  line: number
}

/** What is to be compared with is no record of heads. */
export class AuditRecordUnreadable extends GatewayError {
  constructor(what: string, cause?: unknown) {
    super(`${what}: expected an earlier export, or what "cloudapi audit anchors -o ndjson" prints`, {
      code: 'AUDIT_RECORD_UNREADABLE',
      retryable: false,
      cause,
    })
  }
}

const LINE = /^\{"line":(\d+),"position":(\d+),"prev":"[0-9a-f]{64}","hash":"([0-9a-f]{64})"/

/** The heads of an export that was found whole: that before its first line, and one per line. */
export async function* headsOfExport(source: Source): AsyncGenerator<RecordedHead> {
  let line = 0
  for await (const { bytes } of linesOf(source())) {
    line++
    if (line === 1) {
      const { before } = ExportHeader.parse(JSON.parse(bytes.toString()))
      yield { position: before.position, head: before.head, line }
      continue
    }
    const match = LINE.exec(bytes.toString('latin1', 0, 256))
    if (match === null) return
    yield { position: Number(match[2]), head: match[3] as string, line }
  }
}

const Anchor = ChainPoint.extend({ company_id: z.string() }).loose()

/**
 * The heads of a file of anchors, a JSON array or one object a line, in the order of their positions.
 *
 * @throws AuditRecordUnreadable when it is something else, or another company's
 */
export const headsOfAnchors = (text: string, companyId: string): RecordedHead[] => {
  let values: unknown[]
  try {
    values = text.trimStart().startsWith('[')
      ? z.array(z.unknown()).parse(JSON.parse(text))
      : text
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => JSON.parse(line) as unknown)
  } catch (cause) {
    throw new AuditRecordUnreadable('what to compare with is not JSON', cause)
  }
  return values
    .map((value, index) => {
      const anchor = Anchor.safeParse(value)
      if (!anchor.success) throw new AuditRecordUnreadable(`record ${index + 1} of what to compare with is no anchor`)
      if (anchor.data.company_id !== companyId)
        throw new AuditRecordUnreadable(`record ${index + 1} of what to compare with is another company's`)
      return { position: anchor.data.position, head: anchor.data.head, line: index + 1 }
    })
    .sort((a, b) => a.position - b.position)
}

/**
 * Holds an export against an earlier record of the same company.
 *
 * @param isDense the record has every event between its first and its last, as an export has
 */
export const compareHeads = async (
  later: AsyncIterable<RecordedHead>,
  earlier: AsyncIterable<RecordedHead> | Iterable<RecordedHead>,
  isDense: boolean,
): Promise<{ agreed: number; fault?: Fault }> => {
  const ours = later[Symbol.asyncIterator]()
  const theirs = (async function* () {
    yield* earlier
  })()
  const nextOf = async (of: AsyncIterator<RecordedHead>) => {
    const { done, value } = await of.next()
    return done === true ? undefined : value
  }
  let agreed = 0
  let lastAgreed: number | undefined
  let here = await nextOf(ours)
  let there = await nextOf(theirs)
  const laterFrom = here?.position ?? 0
  const earlierFrom = there?.position ?? 0
  try {
    while (here !== undefined && there !== undefined) {
      if (here.position === there.position) {
        if (here.head !== there.head) return { agreed, fault: rewritten(here, there.position, lastAgreed, isDense) }
        // Before its first event every chain of a company is the same.
        if (here.position > 0) agreed++
        lastAgreed = here.line
        here = await nextOf(ours)
        there = await nextOf(theirs)
      } else if (here.position < there.position) {
        if (isDense && here.position > earlierFrom)
          return { agreed, fault: rewritten(here, here.position, lastAgreed, isDense) }
        here = await nextOf(ours)
      } else {
        if (there.position > laterFrom) return { agreed, fault: rewritten(here, there.position, lastAgreed, isDense) }
        there = await nextOf(theirs)
      }
    }
  } finally {
    await ours.return?.()
    await theirs.return(undefined)
  }
  if (agreed > 0) return { agreed }
  const message = 'it has no position in common with the earlier record: nothing could be compared'
  return { agreed, fault: { kind: 'not_comparable', line: 1, message } }
}

const rewritten = (here: RecordedHead, position: number, lastAgreed: number | undefined, isDense: boolean): Fault => {
  const recorded = `the earlier record has another head at position ${position}`
  if (here.line === 1)
    return { kind: 'rewritten', line: 1, message: `${recorded}: events before the first line were rewritten since` }
  const first = isDense ? here.line : Math.min((lastAgreed ?? 1) + 1, here.line)
  return first === here.line
    ? { kind: 'rewritten', line: first, message: `${recorded}: line ${first} was rewritten since` }
    : {
        kind: 'rewritten',
        line: first,
        to_line: here.line,
        message: `${recorded}: one or more of the lines ${first} to ${here.line} were rewritten since`,
      }
}
