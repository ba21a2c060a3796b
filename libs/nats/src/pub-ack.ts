import type { Msg } from 'nats'

/** A PubAck that tells of no error starts like this: no need to parse it. */
const STORED = Buffer.from('{"stream":')

/** Where the stream has it; of a confirmation that tells of no error. */
export const sequenceOf = ({ data }: Msg): number => (JSON.parse(new TextDecoder().decode(data)) as { seq: number }).seq

/** Why a stream did not store what was published to it, out of its reply; undefined when it did. */
export const refusalOf = ({ data, headers }: Msg): { reason: string; code?: number | undefined } | undefined => {
  if (STORED.equals(data.subarray(0, STORED.length))) return undefined
  if (data.length === 0)
    return { reason: headers?.code === 503 ? 'no stream takes this subject' : 'an empty confirmation' }
  try {
    const { error } = JSON.parse(new TextDecoder().decode(data)) as {
      error?: { description?: string; err_code?: number }
    }
    return error === undefined ? undefined : { reason: error.description ?? 'refused', code: error.err_code }
  } catch {
    return { reason: 'a confirmation that is not JSON' }
  }
}
