import type { ChainState } from './chain.ts'
import type { Claim } from './survey.ts'
import type { Fault } from './verdict.ts'

/** The anchors of an export, held against the chain as it is read. */
export interface AnchorCheck {
  /** The chain before the first line. */
  begin: (before: ChainState) => void
  /** The chain after the event on this line. */
  reach: (chain: ChainState, line: number) => void
  /** The last line up to which an anchor agreed; 1 (the header): none did. */
  lastAgreed: () => number
  result: () => { agreed: number; not_covered: number; fault?: Fault }
}

/** @param claims in the order of the positions that they are about */
export const checkAnchors = (claims: readonly Claim[]): AnchorCheck => {
  let next = 0
  let agreed = 0
  let notCovered = 0
  let lastAgreed = 1
  let fault: Fault | undefined

  const reach = (chain: ChainState, line: number): void => {
    for (let claim = claims[next]; claim !== undefined && claim.position <= chain.position; claim = claims[++next]) {
      if (fault !== undefined) continue
      if (claim.position === chain.position && claim.head === chain.head && claim.events === chain.events) {
        agreed++
        lastAgreed = line
      } else fault = faultOf(claim, lastAgreed, line)
    }
  }

  return {
    begin: (before) => {
      for (let claim = claims[next]; claim !== undefined && claim.position < before.position; claim = claims[++next])
        notCovered++
      reach(before, 1)
    },
    reach,
    lastAgreed: () => lastAgreed,
    result: () => ({
      agreed,
      not_covered: notCovered + claims.length - next,
      ...(fault === undefined ? {} : { fault }),
    }),
  }
}

const faultOf = (claim: Claim, lastAgreed: number, line: number): Fault => {
  const recorded = `line ${claim.line} records another head for position ${claim.position} than that of this chain`
  if (line === 1)
    return { kind: 'rewritten', line: claim.line, message: `${recorded}: events before the first line were rewritten` }
  const first = Math.min(lastAgreed + 1, line)
  const where = first === line ? `line ${line} was` : `one or more of the lines ${first} to ${line} were`
  const message = `${recorded}: ${where} rewritten before the export was made`
  return { kind: 'rewritten', line: first, ...(first === line ? {} : { to_line: line }), message }
}
