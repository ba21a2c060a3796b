import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { GatewayError } from '@cloudapi2/contracts'

/** A file that was given as a key is none that can be used here. Names the file, and nothing of what is in it. */
export class AuditKeyInvalid extends GatewayError {
  constructor(what: string, cause?: unknown) {
    super(`${what}: "cloudapi audit keygen" makes a pair`, { code: 'AUDIT_KEY_INVALID', retryable: false, cause })
  }
}

/** A new pair: private PKCS#8, public SPKI, both PEM. */
export const newKeyPair = (): { privatePem: string; publicPem: string; fingerprint: string } => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicPemOf(publicKey),
    fingerprint: fingerprintOf(publicKey),
  }
}

/** @param name what the error calls it; @throws AuditKeyInvalid when it is no private Ed25519 key in PEM */
export const readPrivateKey = (pem: string, name: string): KeyObject =>
  ed25519(() => createPrivateKey(pem), name, 'private')

/** @param name what the error calls it; @throws AuditKeyInvalid when it is no public Ed25519 key in PEM */
export const readPublicKey = (pem: string, name: string): KeyObject => {
  // OpenSSL would take the public half out of it, and a private key would be passed around as if it were none.
  if (pem.includes('PRIVATE KEY'))
    throw new AuditKeyInvalid(`${name} is a private key, where the public one is expected`)
  return ed25519(() => createPublicKey(pem), name, 'public')
}

const ed25519 = (read: () => KeyObject, name: string, half: 'private' | 'public'): KeyObject => {
  const expected = `${name} is no ${half} Ed25519 key in PEM`
  let key: KeyObject
  try {
    key = read()
  } catch (cause) {
    throw new AuditKeyInvalid(expected, cause)
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new AuditKeyInvalid(expected)
  return key
}

export const publicKeyOf = (privateKey: KeyObject): KeyObject => createPublicKey(privateKey)
export const publicPemOf = (publicKey: KeyObject): string =>
  publicKey.export({ type: 'spki', format: 'pem' }).toString()

/** SHA-256 of the key in DER, hex: `openssl pkey -pubin -in FILE -outform DER | sha256sum` prints the same. */
export const fingerprintOf = (publicKey: KeyObject): string =>
  createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')

/** Ed25519 (RFC 8032) over the text in UTF-8; base64. */
export const signText = (privateKey: KeyObject, text: string): string =>
  sign(null, Buffer.from(text), privateKey).toString('base64')

export const isSignedBy = (publicKey: KeyObject, text: string, signature: string): boolean =>
  verify(null, Buffer.from(text), publicKey, Buffer.from(signature, 'base64'))
