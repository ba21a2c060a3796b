const KEYS_MAX = 100_000

/** Counts per key, and forgets the key that was used longest ago when there are too many. */
export const createAttemptCounter = (keysMax = KEYS_MAX) => {
  const counts = new Map<string, number>()
  return {
    /** @returns 1 for the first time a key is counted */
    next: (key: string): number => {
      const nth = (counts.get(key) ?? 0) + 1
      counts.delete(key)
      counts.set(key, nth)
      if (counts.size > keysMax) counts.delete(counts.keys().next().value as string)
      return nth
    },
    clear: () => counts.clear(),
  }
}
export type AttemptCounter = ReturnType<typeof createAttemptCounter>
