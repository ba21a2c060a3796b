import type { SeqMsgRequest } from 'nats'
import { isNotFound, type Nats, reasonOf } from './connection.ts'
import { TopologyError } from './topology.ts'

/** One message of a stream. */
export interface FoundMessage {
  sequence: number
  subject: string
  data: Uint8Array
  storedAt: Date
}

export type MessageLookUp =
  /** The newest on a subject; wildcards may stand in it. */
  | { lastOn: string }
  /** The first on a subject (wildcards may stand in it) at this sequence or later. */
  | { firstOn: string; from: number }
  /** The one at this sequence. */
  | { at: number }

/** In the server's words. The client's type does not know all that it may be asked. */
const requestOf = (query: MessageLookUp): SeqMsgRequest => {
  if ('lastOn' in query) return { last_by_subj: query.lastOn } as unknown as SeqMsgRequest
  if ('firstOn' in query)
    return { seq: Math.max(1, query.from), next_by_subj: query.firstOn } as unknown as SeqMsgRequest
  return { seq: query.at }
}

/**
 * One message of a stream, undefined when there is none. Asked of the stream's leader: a replica, as a direct get may reach,
 * could not know yet of what the leader has confirmed.
 *
 * @throws TopologyError when the stream cannot be read
 */
export const lookUpMessage = async (
  nats: Nats,
  stream: string,
  query: MessageLookUp,
): Promise<FoundMessage | undefined> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    const { seq, subject, data, time } = await manager.streams.getMessage(stream, requestOf(query))
    return { sequence: seq, subject, data, storedAt: time }
  } catch (cause) {
    if (isNotFound(cause)) return undefined
    throw new TopologyError(`stream ${stream} (${reasonOf(cause)})`, cause)
  }
}
