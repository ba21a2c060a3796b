import { createHash, randomBytes } from 'node:crypto'

/** `send`: commands; `read`: what is stored. */
export const API_KEY_SCOPES = ['send', 'read'] as const
export type ApiKeyScope = (typeof API_KEY_SCOPES)[number]

const PREFIX = 'ck_'
const KEY_BYTES = 24
const KEY = /^ck_[A-Za-z0-9_-]{22,128}$/

/** A new key, 192 bits at random: `ck_` and 32 characters. `hash` is what may be stored; `key` is shown once. */
export const newApiKey = (): { key: string; hash: string } => {
  const key = `${PREFIX}${randomBytes(KEY_BYTES).toString('base64url')}`
  return { key, hash: hashApiKey(key) }
}

/** True for a text of the form of a key; it saves hashing what cannot be one. */
export const isApiKey = (text: string): boolean => KEY.test(text)

/**
 * SHA-256, 64 hex digits. A slow hash protects passwords, which can be guessed; nobody guesses 192 random bits, and a key
 * is checked with every request. Looking a hash up in a map leaks no more than the hash's first digits, from which a key
 * cannot be built.
 */
export const hashApiKey = (key: string): string => createHash('sha256').update(key).digest('hex')
