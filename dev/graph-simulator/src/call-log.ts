import { createHash } from 'node:crypto'

/** How a request to the Graph API ended. `accepted` means that a message goes out, whether or not the caller was told. */
export type Outcome =
  | 'accepted'
  | 'refused'
  | 'throttled'
  | 'unauthorised'
  | 'server_error'
  /** The connection was broken or never answered, and nothing was done. */
  | 'lost'
  /** Everything that sends no message: reading, uploads, read receipts. */
  | 'answered'

/** One request, without its token and without the text of the message. */
export interface Call {
  at: string
  method: string
  path: string
  company_id: string | null
  phone_number_id: string | null
  to: string | null
  callback_data: string | null
  type: string
  outcome: Outcome
  /** HTTP status of the answer; null when none was given. */
  status: number | null
  code: number | null
  message_id: string | null
}

export interface CallFilter {
  phone_number_id?: string | undefined
  to?: string | undefined
  callback_data?: string | undefined
  outcome?: string | undefined
  company_id?: string | undefined
  type?: string | undefined
}

const CALLS_MAX = 100_000
/** Ids of accepted messages remembered to find double sends; the oldest go first. */
const SEEN_MAX = 1_000_000

/** 53 bits, so that a million of them stay small in memory; two of a million are the same once in 20,000 runs. */
const fingerprint = (text: string): number => {
  const hash = createHash('sha1').update(text).digest()
  return hash.readUIntBE(0, 6) * 32 + (hash.readUInt8(6) >> 3)
}

const digitsOrText = (text: string): string => (/[A-Za-z]/.test(text) ? text : text.replace(/\D/g, ''))

const matches = (call: Call, filter: CallFilter): boolean =>
  (filter.phone_number_id === undefined || call.phone_number_id === filter.phone_number_id) &&
  (filter.to === undefined || (call.to !== null && digitsOrText(call.to) === digitsOrText(filter.to))) &&
  (filter.callback_data === undefined || call.callback_data === filter.callback_data) &&
  (filter.outcome === undefined || call.outcome === filter.outcome) &&
  (filter.company_id === undefined || call.company_id === filter.company_id) &&
  (filter.type === undefined || call.type === filter.type)

/** The last calls in a ring, and counters that forget nothing until cleared. */
export const createCallLog = ({ callsMax = CALLS_MAX, seenMax = SEEN_MAX } = {}) => {
  let ring: Call[] = []
  let total = 0
  let counters: Record<Outcome, number>
  const refusals = new Map<number, number>()
  const seen = new Set<number>()
  const repeated = new Map<string, number>()

  const clear = () => {
    ring = []
    total = 0
    counters = { accepted: 0, refused: 0, throttled: 0, unauthorised: 0, server_error: 0, lost: 0, answered: 0 }
    seen.clear()
    repeated.clear()
    refusals.clear()
  }
  clear()

  const countCallbackData = (call: Call) => {
    if (call.outcome !== 'accepted' || call.callback_data === null) return
    const key = `${call.company_id}:${call.callback_data}`
    const print = fingerprint(key)
    if (seen.has(print)) {
      repeated.set(key, (repeated.get(key) ?? 1) + 1)
      return
    }
    seen.add(print)
    if (seen.size > seenMax) seen.delete(seen.values().next().value as number)
  }

  return {
    clear,
    add: (call: Call) => {
      ring[total % callsMax] = call
      total += 1
      counters[call.outcome] += 1
      if (call.code !== null) refusals.set(call.code, (refusals.get(call.code) ?? 0) + 1)
      countCallbackData(call)
    },
    /** The latest calls that match, oldest first, and how many match in all of the ring. */
    find: (filter: CallFilter, limit: number): { calls: Call[]; matched: number; forgotten: number } => {
      const start = total % callsMax
      const inOrder = total > callsMax ? [...ring.slice(start), ...ring.slice(0, start)] : ring
      const found = inOrder.filter((call) => matches(call, filter))
      return {
        calls: limit === 0 ? [] : found.slice(-limit),
        matched: found.length,
        forgotten: Math.max(0, total - callsMax),
      }
    },
    stats: () => ({
      calls: total,
      ...counters,
      /** How often each of Meta's codes was answered, such as 130429. */
      codes: Object.fromEntries(refusals),
      callback_data: {
        distinct: seen.size,
        /** How many were accepted more than once. */
        sent_more_than_once: repeated.size,
        /** Messages that went out although their callback data had been accepted before. */
        extra_sends: [...repeated.values()].reduce((sum, times) => sum + times - 1, 0),
        /** The first of them, `<company_id>:<callback data>`, with how often each was accepted. */
        repeated: Object.fromEntries([...repeated].slice(0, 20)),
      },
    }),
  }
}
export type CallLog = ReturnType<typeof createCallLog>
