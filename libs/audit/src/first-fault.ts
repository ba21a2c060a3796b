import type { ChainState } from './chain.ts'
import type { ExportLine } from './export-format.ts'
import type { Fault } from './verdict.ts'

/** A line where another one was due, and what there is to judge it by. */
export interface Suspicion {
  line: number
  found: ExportLine
  /** The chain up to the line before, and before that one; the latter absent at the first event. */
  chain: ChainState
  chainBefore?: ChainState
  /** The line after it. */
  next?: ExportLine
  /** Where the line that is due here stands, further down. */
  due?: number
  /** Whether what stands here stands again further down. */
  isRepeated: boolean
  /** Event lines of the file, and of the export as it was signed; the latter absent where no head can be trusted. */
  events: number
  signedEvents?: number
  /** The last hash of the export as it was signed. */
  signedHead?: string
}

const fault = (kind: Fault['kind'], line: number, message: string): Fault => ({ kind, line, message })

/** What happened to the first line that is not as it was, as far as it can be told. */
export const faultOf = (suspicion: Suspicion): Fault => {
  const { line, found, due } = suspicion
  if (found.kind === 'event') return faultOfEvent(suspicion, found.event)
  if (due !== undefined) {
    if (found.kind === 'head' && !isLonger(suspicion))
      return fault('moved', line, `line ${line} was moved: it is the signed head, which belongs at the end`)
    return fault('added', line, `line ${line} was added: the line that belongs there is line ${due}`)
  }
  if (found.kind === 'header') return fault('added', line, `line ${line} was added: it is a header`)
  if (found.kind === 'head') return fault('dropped', line, `from line ${line} on, lines were dropped or moved`)
  return fault('changed', line, `line ${line} was changed: it is not what its hash was made of`)
}

const isLonger = ({ events, signedEvents }: Suspicion): boolean => signedEvents !== undefined && events > signedEvents
const isShorter = ({ events, signedEvents }: Suspicion): boolean => signedEvents !== undefined && events < signedEvents

type Event = Extract<ExportLine, { kind: 'event' }>['event']

/** Of a line that is right in itself, and not the one that is due. */
const faultOfEvent = (suspicion: Suspicion, event: Event): Fault => {
  const { line, chain, chainBefore, due, isRepeated } = suspicion
  const isEarlier = event.position <= chain.position
  if (event.prev === chain.head && !isEarlier)
    return fault('changed', line, `line ${line} was changed: it says of itself that it is line ${event.line}`)

  if (due !== undefined) {
    if (!isEarlier && !isRepeated && !isLonger(suspicion))
      return fault('moved', line, `line ${line} was moved: the line that belongs there is line ${due}`)
    return fault('added', line, `line ${line} was added: the line that belongs there is line ${due}`)
  }

  // Two lines that follow the same one: this one goes on with what comes after it, so the other was put before it.
  if (event.prev === chainBefore?.head && goesOn(suspicion, event))
    return fault('added', line - 1, `line ${line - 1} was added: the line after it follows the line before it`)

  if (isEarlier)
    return isLonger(suspicion) || suspicion.signedEvents === undefined
      ? fault('added', line, `line ${line} was added: its event comes earlier in the log than that of the line before`)
      : fault('changed', line, `line ${line} was changed: another line stands in its place`)

  if (isShorter(suspicion) || event.line > line) {
    const missing = event.line - line
    const what = missing > 1 ? `${missing} lines were` : missing === 1 ? 'a line was' : 'one or more lines were'
    return fault('dropped', line, `${what} dropped before line ${line}: it does not follow the line before it`)
  }

  // As many lines as there were, and this one names another predecessor. If what comes after it goes on with it, it is as it
  // was; then the line before got another content and a hash to match.
  return chainBefore !== undefined && goesOn(suspicion, event)
    ? fault('changed', line - 1, `line ${line - 1} was changed and given a new hash: the line after it has the old one`)
    : fault('changed', line, `line ${line} was changed and given a new hash: it does not follow the line before it`)
}

const goesOn = ({ next, signedHead }: Suspicion, event: Event): boolean =>
  next?.kind === 'event' ? next.event.prev === event.hash : next?.kind === 'head' && signedHead === event.hash
