import { createHash } from 'node:crypto'
import { canonicalJson, GatewayError } from '@cloudapi2/contracts'

/** How this version makes the chain. A change of anything in this file that changes a hash is another number. */
export const CHAIN_VERSION = 1

/** One event of the log, as `LogEntry` of the log is. */
export interface ChainEntry {
  /** Its place in the log, greater than that of the company's event before. */
  position: number
  /** The stored JSON. */
  body: Uint8Array
}

/** A company's events up to one of them, in one hash. All there is to keep in order to go on. */
export interface ChainState {
  /** Of the last event in it; 0 before the first. */
  position: number
  /** How many there are. */
  events: number
  /** 64 hexadecimal digits. */
  head: string
}

/** Events came in another order than that of the log: the chain cannot be made of them. */
export class ChainOrderBroken extends GatewayError {
  constructor(position: number, last: number) {
    super(`position ${position} came after ${last}: the events of a company are chained in the order of the log`, {
      code: 'AUDIT_ORDER_BROKEN',
      retryable: false,
    })
  }
}

/**
 * The chain before a company's first event. Its head is SHA-256 of `cloudapi2 audit chain 1`, a line feed, and the company
 * id: equal events of two companies have different heads.
 */
export const startChain = (companyId: string): ChainState => ({
  position: 0,
  events: 0,
  head: sha256(`cloudapi2 audit chain ${CHAIN_VERSION}\n${companyId}`),
})

/**
 * The chain with one more event. Its head is SHA-256 of three lines with a line feed between them: the head before (hex),
 * the position (decimal), the canonical text of the event.
 *
 * @throws ChainOrderBroken
 */
export const extendChain = (state: ChainState, { position, body }: ChainEntry): ChainState =>
  extendChainBy(state, position, chainText(body))

/** `extendChain` for who has the canonical text already. @throws ChainOrderBroken */
export const extendChainBy = (state: ChainState, position: number, text: string): ChainState => {
  if (!(position > state.position)) throw new ChainOrderBroken(position, state.position)
  return { position, events: state.events + 1, head: linkHash(state.head, position, text) }
}

/** The hash of one link: what follows from the head before, the position and the canonical text of an event. */
export const linkHash = (prev: string, position: number, text: string): string =>
  sha256(`${prev}\n${position}\n${text}`)

const decoder = new TextDecoder()

/**
 * What is hashed of a stored body: its canonical JSON (RFC 8785), as every reader of this system reads it. Numbers are read as
 * doubles, of a key that comes twice the last one counts, what is no UTF-8 is U+FFFD. Two bodies with the same text say the
 * same: the chain proves what an event says, and not with which bytes, which differ from one log to the other.
 *
 * A body that is no JSON is in the chain all the same, as `{"not_json_base64":"…"}`.
 */
export const chainText = (body: Uint8Array): string => {
  try {
    return canonicalJson(JSON.parse(decoder.decode(body)))
  } catch (error) {
    // RangeError: nested deeper than the stack; no event of this system is.
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error
    return canonicalJson({ not_json_base64: Buffer.from(body).toString('base64') })
  }
}

/** Of a text in UTF-8; 64 hexadecimal digits. */
export const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex')
