import type { KeyObject } from 'node:crypto'
import { checkAnchors } from './anchors.ts'
import { type ChainState, startChain } from './chain.ts'
import { EXPORT_VERSION, type ExportHead, type ExportLine, headText, readLine } from './export-format.ts'
import { faultOf, type Suspicion } from './first-fault.ts'
import { linesOf } from './lines.ts'
import { fingerprintOf, isSignedBy } from './signature.ts'
import { type Source, type Survey, surveyOf } from './survey.ts'
import { type Fault, type Verdict, verdictOf } from './verdict.ts'

export interface VerifyOptions {
  /** The key that is trusted to have signed it. */
  publicKey: KeyObject
  /** What its fingerprint must be (`fingerprintOf`), for who got the key together with the export. */
  fingerprint?: string
}

/**
 * Judges an export. Reads the file twice, and holds a line at a time, whatever its size.
 *
 * @returns the first line that was changed, dropped, added or moved, and who signed it; no content of a file makes it throw
 */
export const verifyExport = async (source: Source, { publicKey, fingerprint }: VerifyOptions): Promise<Verdict> => {
  const survey = await surveyOf(source)
  const signature = signatureFault(survey, publicKey, fingerprint)
  // What another key signed is no proof, and still the best hint at how it was. A head that was changed is not even that.
  const signed = signature?.kind === 'changed' ? undefined : survey.signed?.head
  const judged = await judge(source, survey, signed)
  return verdictOf({ ...judged, faults: [...judged.faults, ...(signature === undefined ? [] : [signature])] })
}

const signatureFault = ({ signed }: Survey, publicKey: KeyObject, expected?: string): Fault | undefined => {
  const given = fingerprintOf(publicKey)
  const line = signed?.line ?? 1
  const wrongKey = (message: string): Fault => ({ kind: 'wrong_key', line, message })
  if (expected !== undefined && expected !== given)
    return wrongKey(`the public key has the fingerprint ${given}, not ${expected}`)
  if (signed === undefined) return undefined
  const { head } = signed
  if (head.key !== given) return wrongKey(`it was signed with the key ${head.key}; the one given is ${given}`)
  if (isSignedBy(publicKey, headText(head), signed.signature)) return undefined
  const message = `line ${line}, the signed head, was changed: the signature is not that of what it says`
  return { kind: 'changed', line, message }
}

type Read = { line: number; found: ExportLine; isEnded: boolean }

async function* readsOf(source: Source): AsyncGenerator<Read> {
  let line = 0
  for await (const { bytes, isEnded } of linesOf(source())) yield { line: ++line, found: readLine(bytes), isEnded }
}

/** @param signed the head that tells how the export was; undefined: none does */
const judge = async (
  source: Source,
  survey: Survey,
  signed: ExportHead | undefined,
): Promise<Omit<Verdict, 'whole'>> => {
  const reads = readsOf(source)
  const anchors = checkAnchors(survey.anchors)
  const known = survey.signed === undefined ? {} : { head: survey.signed.head }
  try {
    const first = await next(reads)
    if (first?.found.kind !== 'header') {
      const fault = headerFault(first, await next(reads), survey, signed)
      return { ...known, faults: [fault], anchors: { agreed: 0, not_covered: survey.anchors.length } }
    }
    const { header, hash } = first.found
    const end = (faults: readonly Fault[]): Omit<Verdict, 'whole'> => {
      const { fault, ...counts } = anchors.result()
      return { ...known, header, faults: fault === undefined ? [...faults] : [fault, ...faults], anchors: counts }
    }
    if (signed !== undefined && signed.header !== hash)
      return end([{ kind: 'changed', line: 1, message: 'line 1, the header, was changed: it is not the signed one' }])
    if (header.before.events === 0 && header.before.head !== startChain(header.company_id).head)
      return end([{ kind: 'changed', line: 1, message: 'line 1, the header, was changed: no chain begins like that' }])

    let chain: ChainState = header.before
    let chainBefore: ChainState | undefined
    let firstPosition = 0
    anchors.begin(chain)
    let read = await next(reads)
    for (; read !== undefined; read = await next(reads)) {
      const { found, line } = read
      if (found.kind !== 'event' || !isDue(found.event, chain, line)) break
      const { position, hash: head } = found.event
      chainBefore = chain
      chain = { position, events: chain.events + 1, head }
      if (firstPosition === 0) firstPosition = position
      anchors.reach(chain, line)
    }
    if (read === undefined)
      return end([
        survey.isEnded
          ? cutOff(survey.lines + 1, `it ends after line ${survey.lines} without its signed head`)
          : cutOff(survey.lines, `it is cut off at the end of line ${survey.lines}`),
      ])

    const { found, line } = read
    const isLast = line === survey.lines
    if (isLast && !survey.isEnded) {
      const what =
        found.kind === 'head' ? `at the end of line ${line}: its line feed is missing` : `in the middle of line ${line}`
      return end([cutOff(line, `it is cut off ${what}`)])
    }
    if (found.kind === 'head') {
      const isSame =
        found.head.events === chain.events - header.before.events &&
        found.head.chain_events === chain.events &&
        found.head.head === chain.head &&
        found.head.first_position === firstPosition &&
        found.head.last_position === chain.position
      if (isSame && !isLast)
        return end([fault('added', line + 1, `line ${line + 1} was added: it comes after the signed head`)])
      if (isSame) return end([])
      if (isLast) return end(signed === undefined ? [] : [endFault(signed, line, anchors.lastAgreed())])
    }
    return end([faultOf(await suspicionOf({ read, chain, chainBefore, reads, survey, signed }))])
  } finally {
    await reads.return(undefined)
  }
}

const next = async (reads: AsyncGenerator<Read>): Promise<Read | undefined> => {
  const { done, value } = await reads.next()
  return done === true ? undefined : value
}

const fault = (kind: Fault['kind'], line: number, message: string): Fault => ({ kind, line, message })
const cutOff = (line: number, message: string): Fault => fault('cut_off', line, message)

const isDue = (event: { line: number; position: number; prev: string }, chain: ChainState, line: number): boolean =>
  event.line === line && event.prev === chain.head && event.position > chain.position

/** The first line is no header. */
const headerFault = (
  first: Read | undefined,
  second: Read | undefined,
  survey: Survey,
  signed: ExportHead | undefined,
): Fault => {
  if (first === undefined) return fault('unknown_format', 1, 'the file is empty')
  const { found } = first
  if (found.kind === 'other_version')
    return fault(
      'unknown_format',
      1,
      `it says that it is an export of version ${JSON.stringify(found.version)}; this software reads version ${EXPORT_VERSION}`,
    )
  if (survey.headerLine !== undefined) {
    const isMoved = signed === undefined ? second?.found.kind !== 'header' : survey.lines === signed.events + 2
    return isMoved
      ? fault('moved', 1, `line 1 was moved: the header, which belongs there, is line ${survey.headerLine}`)
      : fault('added', 1, `line 1 was added: the header, which belongs there, is line ${survey.headerLine}`)
  }
  if (found.kind === 'event' || found.kind === 'head') return fault('dropped', 1, 'line 1, the header, was dropped')
  if (signed !== undefined || survey.signed !== undefined || second?.found.kind === 'event')
    return fault('changed', 1, 'line 1, the header, was changed: it is no header any more')
  return fault('unknown_format', 1, 'it is no export of this software: line 1 is not the header of one')
}

/** All lines follow one another, and do not lead to the head that was signed. `line`: that of the head. */
const endFault = (signed: ExportHead, line: number, lastAgreed: number): Fault => {
  const events = line - 2
  if (events < signed.events) {
    const missing = signed.events - events
    const what = missing === 1 ? 'a line was' : `${missing} lines were`
    return fault('dropped', line, `${what} dropped before line ${line}, the signed head`)
  }
  if (events > signed.events) {
    const added = signed.events + 2
    return fault('added', added, `line ${added} was added: the export was signed with ${signed.events} events`)
  }
  const first = Math.min(lastAgreed + 1, line - 1)
  const last = line - 1
  if (first === last) return fault('changed', last, `line ${last} was changed and given a new hash`)
  const message = `one or more of the lines ${first} to ${last} were changed, and every line from there on was given a new hash`
  return { kind: 'changed', line: first, to_line: last, message }
}

/** Reads on to the end of the file, to see what became of the line that is due. */
const suspicionOf = async ({
  read,
  chain,
  chainBefore,
  reads,
  survey,
  signed,
}: {
  read: Read
  chain: ChainState
  chainBefore: ChainState | undefined
  reads: AsyncGenerator<Read>
  survey: Survey
  signed: ExportHead | undefined
}): Promise<Suspicion> => {
  let after: ExportLine | undefined
  let due: number | undefined
  let isRepeated = false
  for await (const { line, found } of reads) {
    after ??= found
    if (found.kind === 'head' && found.head.head === chain.head) due ??= line
    if (found.kind !== 'event') continue
    if (due === undefined && found.event.prev === chain.head && found.event.position > chain.position) due = line
    if (read.found.kind === 'event' && found.event.hash === read.found.event.hash) isRepeated = true
  }
  return {
    line: read.line,
    found: read.found,
    chain,
    isRepeated,
    events: survey.lines - 1 - (survey.signed === undefined ? 0 : 1),
    ...(chainBefore === undefined ? {} : { chainBefore }),
    ...(after === undefined ? {} : { next: after }),
    ...(due === undefined ? {} : { due }),
    ...(signed === undefined ? {} : { signedEvents: signed.events, signedHead: signed.head }),
  }
}
