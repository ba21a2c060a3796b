import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { GatewayError } from '@cloudapi2/contracts'

/** The keys secrets are sealed with. Printing it, or writing it as JSON, shows no key. */
export interface SecretsKeys {
  /** The key that seals; all of them open. */
  readonly firstId: string
  readonly byId: ReadonlyMap<string, KeyObject>
}

/** SECRETS_KEYS is not usable. Names the entry by its place in the list and what is wrong with it; no part of a key. */
export class InvalidSecretsKeys extends GatewayError {
  constructor(fault: string) {
    super(`expected <key id>:<32 bytes in base64>, several separated by commas; ${fault}`, {
      code: 'INVALID_SECRETS_KEYS',
      retryable: false,
    })
  }
}

/** Shorter than any 32 bytes in base64 or hex, so that a key written in the wrong place is not taken for an id and named. */
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/
const BASE64_OF_32_BYTES = /^[A-Za-z0-9+/_-]{43}=?$/

/**
 * Reads `<key id>:<base64 of 32 bytes>`, several separated by commas. Base64 of either alphabet, padded or not.
 *
 * @throws InvalidSecretsKeys
 */
export const parseSecretsKeys = (text: string): SecretsKeys => {
  const byId = new Map<string, KeyObject>()
  for (const [index, entry] of text.split(',').entries()) {
    const at = `entry ${index + 1}`
    const [id, key, ...rest] = entry.trim().split(':')
    if (id === undefined || key === undefined || rest.length > 0)
      throw new InvalidSecretsKeys(`${at} is not two parts with a colon between them`)
    if (!KEY_ID.test(id))
      throw new InvalidSecretsKeys(`${at} has an id that is not 1 to 32 characters of [A-Za-z0-9_-]`)
    if (!BASE64_OF_32_BYTES.test(key)) throw new InvalidSecretsKeys(`${at} has a key that is not 32 bytes in base64`)
    if (byId.has(id)) throw new InvalidSecretsKeys(`${at} has the id of an earlier one`)
    byId.set(id, createSecretKey(Buffer.from(key, 'base64')))
  }
  const [firstId] = byId.keys()
  return { firstId: firstId as string, byId }
}

/** A sealed value that cannot be opened: which key it names, or that it is not what was sealed here. */
export class SecretUnreadable extends GatewayError {
  constructor(reason: string, code: 'SECRET_KEY_UNKNOWN' | 'SECRET_NOT_AUTHENTIC', cause?: unknown) {
    super(reason, { code, retryable: false, cause })
  }
}

/** Where a secret lives. A sealed value opens in its own place only: moved to another company or property, it is worthless. */
export interface SecretPlace {
  companyId: string
  property: string
}

const CIPHER = 'aes-256-gcm'
/** 96 bits, the length GCM is made for (NIST SP 800-38D §8.2); random, which is safe for 2^32 values under one key. */
const IV_BYTES = 12
const TAG_BYTES = 16

const SEALED = /^sealed:v1:([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]{38,})$/

const associatedData = ({ companyId, property }: SecretPlace): Buffer =>
  Buffer.from(JSON.stringify(['cloudapi2', 'v1', companyId, property]))

/** Seals a secret under the first key: `sealed:v1:<key id>:<base64url of iv, tag and ciphertext>`. Never twice the same text. */
export const sealSecret = (keys: SecretsKeys, place: SecretPlace, secret: string): string => {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, keys.byId.get(keys.firstId) as KeyObject, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(associatedData(place))
  const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  return `sealed:v1:${keys.firstId}:${Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url')}`
}

/** True for a text that has the form of a sealed secret. */
export const isSealed = (value: unknown): value is string => typeof value === 'string' && SEALED.test(value)

/** False for one that an older key sealed: to be sealed again, so that the older key can be retired. */
export const isSealedWithFirstKey = (keys: SecretsKeys, sealed: string): boolean =>
  SEALED.exec(sealed)?.[1] === keys.firstId

/** @throws SecretUnreadable SECRET_KEY_UNKNOWN naming the key id, or SECRET_NOT_AUTHENTIC when it was altered or moved here */
export const openSecret = (keys: SecretsKeys, place: SecretPlace, sealed: string): string => {
  const [, keyId, base64] = SEALED.exec(sealed) ?? []
  if (keyId === undefined || base64 === undefined)
    throw new SecretUnreadable('not a sealed secret', 'SECRET_NOT_AUTHENTIC')
  const key = keys.byId.get(keyId)
  if (key === undefined)
    throw new SecretUnreadable(`sealed under the key ${keyId}, which is not in SECRETS_KEYS`, 'SECRET_KEY_UNKNOWN')
  const bytes = Buffer.from(base64, 'base64url')
  try {
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
    decipher.setAAD(associatedData(place))
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
    const opened = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES))
    return Buffer.concat([opened, decipher.final()]).toString('utf8')
  } catch (cause) {
    throw new SecretUnreadable(
      `sealed under the key ${keyId}, but altered, or for another company or property`,
      'SECRET_NOT_AUTHENTIC',
      cause,
    )
  }
}
