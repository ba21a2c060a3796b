import { isNotFound, type Nats, reasonOf } from './connection.ts'
import { type LogAge, logAgeOf } from './log-age.ts'
import { lookUpMessage } from './stream-lookup.ts'
import { TopologyError } from './topology.ts'

/** A stream as its trimming sees it. */
export interface TrimmableLog {
  /** Sequence of the first message that is there, and of the last that was ever stored. */
  first: number
  last: number
  age: LogAge
}

/** @throws TopologyError when the stream cannot be had */
export const trimmableLog = async (nats: Nats, stream: string): Promise<TrimmableLog> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    const { config, state } = await manager.streams.info(stream)
    return { first: state.first_seq, last: state.last_seq, age: logAgeOf(config) }
  } catch (cause) {
    throw new TopologyError(`stream ${stream}`, cause)
  }
}

/**
 * The sequence of the first message that was stored at `time` or later; `last + 1` when there is none. Some twenty
 * questions for a stream of a million.
 */
export const firstStoredSince = async (
  nats: Nats,
  stream: string,
  time: Date,
  { first, last }: Pick<TrimmableLog, 'first' | 'last'>,
): Promise<number> => {
  let [low, high] = [Math.max(1, first), last + 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const found = await lookUpMessage(nats, stream, { firstOn: '>', from: middle })
    if (found === undefined || found.storedAt >= time) high = middle
    else low = found.sequence + 1
  }
  return low
}

/**
 * Up to where a durable consumer has handled everything it wants; undefined when it wants nothing more, or is not there.
 *
 * @throws TopologyError when it cannot be asked
 */
export const handledUpTo = async (nats: Nats, stream: string, durable: string): Promise<number | undefined> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    const { num_pending, num_ack_pending, ack_floor } = await manager.consumers.info(stream, durable)
    // Its floor stays at the last message that was for it, however many came since that were not.
    return num_pending === 0 && num_ack_pending === 0 ? undefined : ack_floor.stream_seq
  } catch (cause) {
    if (isNotFound(cause)) return undefined
    throw new TopologyError(`consumer ${durable} of ${stream} (${reasonOf(cause)})`, cause)
  }
}

/**
 * Drops every message before `sequence`, which stays. Returns how many they were.
 *
 * @throws TopologyError when the server refuses
 */
export const dropBefore = async (nats: Nats, stream: string, sequence: number): Promise<number> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    return (await manager.streams.purge(stream, { seq: sequence })).purged
  } catch (cause) {
    throw new TopologyError(`trimming ${stream} (${reasonOf(cause)})`, cause)
  }
}
