import { expect, test } from 'vitest'
import { hashApiKey, isApiKey, newApiKey } from './api-keys.ts'

test('a new key has the form of a key, is like no other, and is found by its hash', () => {
  const made = Array.from({ length: 100 }, newApiKey)
  for (const { key, hash } of made) {
    expect(isApiKey(key)).toBe(true)
    expect(key).toMatch(/^ck_[A-Za-z0-9_-]{32}$/)
    expect(hash).toBe(hashApiKey(key))
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
  }
  expect(new Set(made.map(({ hash }) => hash)).size).toBe(100)
})

test('what is no key is told apart without hashing it', () => {
  for (const text of [
    '',
    'ck_',
    'ck_short',
    'sk_0123456789012345678901',
    `ck_${'a'.repeat(1000)}`,
    'ck_ 123456789012345678901',
  ])
    expect(isApiKey(text)).toBe(false)
})
