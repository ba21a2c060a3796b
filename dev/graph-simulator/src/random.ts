import { randomBytes } from 'node:crypto'

/** Where every id and every throw of the dice comes from. */
export interface Random {
  /** A number in [0, 1). */
  next(): number
  /** `length` upper-case hexadecimal digits. */
  hex(length: number): string
}

/** Unseeded, so that two runs of the process never make the same message id. */
const fromSystem: Random = {
  next: () => randomBytes(4).readUInt32BE() / 2 ** 32,
  hex: (length) =>
    randomBytes(Math.ceil(length / 2))
      .toString('hex')
      .slice(0, length)
      .toUpperCase(),
}

/** mulberry32 (public domain, Tommy Ettinger): 32 bits of state are plenty for a test that wants the same run twice. */
const fromSeed = (seed: number): Random => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    hex: (length) =>
      Array.from({ length }, () => Math.floor(next() * 16).toString(16))
        .join('')
        .toUpperCase(),
  }
}

/** @param seed the same seed gives the same ids and the same faults in the same order; none: the system's randomness */
export const createRandom = (seed?: number): Random => (seed === undefined ? fromSystem : fromSeed(seed))
