import { createHash, timingSafeEqual } from 'node:crypto'

/** The token of an `Authorization: Bearer …` header; undefined when there is none. */
export const bearerToken = (header: string | undefined): string | undefined => {
  const match = /^Bearer +([\x21-\x7e]+) *$/i.exec(header ?? '')
  return match?.[1]
}

/** Compares two secrets in a time that tells nothing about either, their lengths included. */
export const secretsEqual = (a: string, b: string): boolean => timingSafeEqual(sha256(a), sha256(b))

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
