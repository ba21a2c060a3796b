import { type Nats, reasonOf } from './connection.ts'
import { TopologyError } from './topology.ts'

/** How many messages of a stream lie under each subject that matches; subjects without any are left out. */
export const storedUnder = async (nats: Nats, stream: string, filter: string): Promise<Map<string, number>> => {
  const manager = await nats.raw.jetstreamManager({ checkAPI: false })
  try {
    const { state } = await manager.streams.info(stream, { subjects_filter: filter })
    return new Map(Object.entries(state.subjects ?? {}))
  } catch (cause) {
    throw new TopologyError(`stream ${stream} (${reasonOf(cause)})`, cause)
  }
}
