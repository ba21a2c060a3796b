import type { KeyObject } from 'node:crypto'
import { type ChainEntry, type ChainState, chainText, extendChainBy, sha256 } from './chain.ts'
import {
  EXPORT_FORMAT,
  EXPORT_VERSION,
  type ExportHeader,
  eventLine,
  headerLine,
  headLine,
  headText,
} from './export-format.ts'
import { fingerprintOf, publicKeyOf, signText } from './signature.ts'

/** Makes the lines of an export, one after the other; each comes without its line feed. */
export interface ExportWriter {
  header: string
  /** @throws ChainOrderBroken */
  line: (entry: ChainEntry) => string
  /** The signed head, which ends it. @param exportedAt RFC 3339, UTC */
  end: (exportedAt: string) => string
  /** How many lines there are by now. */
  events: () => number
  /** The chain after the last line. */
  chain: () => ChainState
}

export const createExportWriter = (header: ExportHeader, privateKey: KeyObject): ExportWriter => {
  const first = headerLine(header)
  let chain: ChainState = header.before
  let events = 0
  let firstPosition = 0
  return {
    header: first,
    line: (entry) => {
      const text = chainText(entry.body)
      const prev = chain.head
      chain = extendChainBy(chain, entry.position, text)
      if (events === 0) firstPosition = entry.position
      events++
      // The header is line 1.
      return eventLine({ line: events + 1, position: entry.position, prev, hash: chain.head, text })
    },
    end: (exportedAt) => {
      const head = {
        format: EXPORT_FORMAT,
        version: EXPORT_VERSION,
        company_id: header.company_id,
        header: sha256(first),
        events,
        first_position: firstPosition,
        last_position: events === 0 ? 0 : chain.position,
        chain_events: chain.events,
        head: chain.head,
        exported_at: exportedAt,
        key: fingerprintOf(publicKeyOf(privateKey)),
      } as const
      return headLine(head, signText(privateKey, headText(head)))
    },
    events: () => events,
    chain: () => chain,
  }
}
