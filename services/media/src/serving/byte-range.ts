import type { ByteRange } from '../store/media-store.ts'

/**
 * The part that a `Range` header asks for (RFC 9110 §14). Only one range of bytes is served: several, another unit, or what
 * cannot be read is no range, and the answer is the whole, as the RFC allows.
 *
 * @returns `unsatisfiable` for a range that begins behind the end: the answer is 416
 */
export const byteRange = (header: string | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined => {
  const match = /^bytes *= *(\d*) *- *(\d*)$/i.exec(header?.trim() ?? '')
  if (match === null) return undefined
  const [, first = '', last = ''] = match
  if (first === '') {
    if (last === '') return undefined
    const length = Number(last)
    return length === 0 || sizeBytes === 0
      ? 'unsatisfiable'
      : { start: Math.max(0, sizeBytes - length), end: sizeBytes - 1 }
  }
  const start = Number(first)
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= sizeBytes ? 'unsatisfiable' : { start, end }
}

/** True when one of the entity tags of `If-None-Match` is this one (RFC 9110 §13.1.2: weak ones count). */
export const namesTag = (header: string | undefined, tag: string): boolean =>
  header !== undefined &&
  (header.trim() === '*' || header.split(',').some((one) => one.trim().replace(/^W\//, '') === tag))
