export interface RememberedId {
  stream: string
  revision: number
}

/** The ids of the events written last, as many as the limit allows: older ones are forgotten, and may be written again. */
export const createRecentIds = (limit: number) => {
  const places = new Map<string, RememberedId & { slot: number }>()
  // A ring: taking the oldest out of a Map costs more with every one that was taken out before.
  const ring: string[] = []
  let slot = 0
  return {
    find: (id: string): RememberedId | undefined => places.get(id),
    remember: (id: string, place: RememberedId): void => {
      const oldest = ring[slot]
      if (oldest !== undefined && places.get(oldest)?.slot === slot) places.delete(oldest)
      ring[slot] = id
      places.set(id, { ...place, slot })
      slot = (slot + 1) % limit
    },
  }
}
