import { z } from 'zod'

/** Meta's limits on sending; see "Throughput" and "Pair rate limits" of the Cloud API overview. */
export const LimitsSchema = z.strictObject({
  enforce: z.boolean().default(true),
  /** Per number, in plus out: 80, or 1,000 after Meta's upgrade, or 20 for a number shared with the phone app. */
  messages_per_second: z.number().positive().default(80),
  /** Messages of one number to one person in 6 seconds, in the long run. */
  pair_per_6s: z.number().positive().default(1),
  /** How many of those may come at once, borrowed from later. */
  pair_burst: z.number().int().positive().default(45),
  management_calls_per_hour: z.number().int().positive().default(5_000),
})
export type Limits = z.output<typeof LimitsSchema>

type Bucket = { tokens: number; at: number }

/** Forgotten when this many are known: a bucket not touched for long is full again anyway. */
const PAIRS_MAX = 100_000

/** A token refilled in twelve steps is 0.9999…: it counts as whole. */
const WHOLE = 1 - 1e-6

/** Buckets of tokens, refilled with time. A bucket that is not there is full. */
const createBuckets = () => {
  const buckets = new Map<string, Bucket>()
  const levelOf = (key: string, capacity: number, perMs: number, now: number): number => {
    const bucket = buckets.get(key)
    return bucket ? Math.min(capacity, bucket.tokens + (now - bucket.at) * perMs) : capacity
  }
  return {
    levelOf,
    /** `floor`: it is never emptier than that. */
    take: (key: string, capacity: number, perMs: number, now: number, floor = Number.NEGATIVE_INFINITY) => {
      const tokens = Math.max(floor, levelOf(key, capacity, perMs, now) - 1)
      // Taken out first, so that the order of the map is the order of use and the oldest goes first.
      buckets.delete(key)
      buckets.set(key, { tokens, at: now })
      if (buckets.size > PAIRS_MAX) buckets.delete(buckets.keys().next().value as string)
    },
    clear: () => buckets.clear(),
  }
}

/**
 * Counts messages against the limits. How Meta measures a second is not documented: here a number may send one second's
 * worth at once and is refilled steadily.
 */
export const createMessageLimits = (initial: Limits) => {
  let limits = initial
  const throughput = createBuckets()
  const pairs = createBuckets()
  const management = new Map<string, { hour: number; calls: number }>()
  const capacity = () => Math.max(1, limits.messages_per_second)

  return {
    get: (): Limits => limits,
    /** New limits start with full buckets. */
    set: (next: Limits) => {
      limits = next
      throughput.clear()
      pairs.clear()
      management.clear()
    },
    /** Which limit the next message would break, if any. Takes nothing. */
    brokenBy: (phoneNumberId: string, contact: string, now: number): 'throughput' | 'pair' | undefined => {
      if (!limits.enforce) return undefined
      if (throughput.levelOf(phoneNumberId, capacity(), limits.messages_per_second / 1_000, now) < WHOLE)
        return 'throughput'
      const pair = pairs.levelOf(`${phoneNumberId}:${contact}`, limits.pair_burst, limits.pair_per_6s / 6_000, now)
      return pair < WHOLE ? 'pair' : undefined
    },
    countSent: (phoneNumberId: string, contact: string, now: number) => {
      throughput.take(phoneNumberId, capacity(), limits.messages_per_second / 1_000, now)
      pairs.take(`${phoneNumberId}:${contact}`, limits.pair_burst, limits.pair_per_6s / 6_000, now)
    },
    /**
     * A message received counts for the number's throughput, and is never refused. However many came in: a second later
     * something may be sent again, as throughput is what happens in a second.
     */
    countReceived: (phoneNumberId: string, now: number) =>
      throughput.take(phoneNumberId, capacity(), limits.messages_per_second / 1_000, now, 1 - capacity()),
    /** @returns the share of the hour's calls used, in percent; above 100 the call is over the limit */
    countManagementCall: (wabaId: string, now: number): number => {
      const hour = Math.floor(now / 3_600_000)
      const counted = management.get(wabaId)
      const calls = counted?.hour === hour ? counted.calls + 1 : 1
      management.set(wabaId, { hour, calls })
      return (100 * calls) / limits.management_calls_per_hour
    },
  }
}
export type MessageLimits = ReturnType<typeof createMessageLimits>
