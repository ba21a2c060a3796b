/** The first of its items at hand. An item is in it at most once. */
export interface Heap<T> {
  first: () => T | undefined
  has: (item: T) => boolean
  /** Puts an item in, or to its new place when what orders it has changed. */
  put: (item: T) => void
  remove: (item: T) => void
  size: () => number
}

/** A binary heap from which any item can be taken: each change costs O(log n). */
export const createHeap = <T extends object>(isBefore: (a: T, b: T) => boolean): Heap<T> => {
  const items: T[] = []
  const places = new Map<T, number>()

  const set = (place: number, item: T) => {
    items[place] = item
    places.set(item, place)
  }
  const rise = (item: T, from: number): number => {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      const above = items[parent] as T
      if (!isBefore(item, above)) break
      set(place, above)
      place = parent
    }
    return place
  }
  const sink = (item: T, from: number): number => {
    let place = from
    for (;;) {
      let child = 2 * place + 1
      if (child >= items.length) break
      if (child + 1 < items.length && isBefore(items[child + 1] as T, items[child] as T)) child++
      const below = items[child] as T
      if (!isBefore(below, item)) break
      set(place, below)
      place = child
    }
    return place
  }
  const settle = (item: T, place: number) => set(sink(item, rise(item, place)), item)

  return {
    first: () => items[0],
    has: (item) => places.has(item),
    put: (item) => settle(item, places.get(item) ?? items.push(item) - 1),
    remove: (item) => {
      const place = places.get(item)
      if (place === undefined) return
      places.delete(item)
      const last = items.pop() as T
      if (last !== item) settle(last, place)
    },
    size: () => items.length,
  }
}
