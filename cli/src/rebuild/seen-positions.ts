/** Which positions of a range have been read: a bit for each, so that a hundred million are 12 MB. */
export const seenPositions = ({ after, upTo }: { after: number; upTo: number }) => {
  const bits = new Uint8Array(Math.ceil((upTo - after) / 8) + 1)
  const has = (position: number): boolean => {
    const i = position - after - 1
    return ((bits[i >> 3] ?? 0) & (1 << (i & 7))) !== 0
  }
  return {
    add: (position: number): void => {
      const i = position - after - 1
      bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7))
    },
    has,
    /** The first that was not; undefined when all were. */
    firstMissing: (): number | undefined => {
      for (let position = after + 1; position <= upTo; position++) if (!has(position)) return position
      return undefined
    },
  }
}
