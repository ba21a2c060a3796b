import { createHmac, timingSafeEqual } from 'node:crypto'

const FORM = /^sha256=[0-9a-f]{64}$/

/**
 * Tells whether Meta signed a webhook body with one of the app secrets.
 *
 * @param rawBody    the bytes as received; JSON parsed and printed again will not match
 * @param header     `X-Hub-Signature-256`: `sha256=` and 64 lower-case hex digits, or undefined
 * @param appSecrets the secrets of the Meta app (not the verify token), two while one is being replaced; an empty one
 *                   never matches, for anybody could sign with it
 * @returns false for an absent, malformed or wrong signature; it never throws
 * @see https://developers.facebook.com/docs/graph-api/webhooks/getting-started ("Validating payloads")
 */
export const isSigned = (rawBody: Buffer, header: string | undefined, appSecrets: readonly string[]): boolean => {
  // Not only `undefined`: Node gives a header sent twice as one text joined by commas, other servers as a list.
  if (typeof header !== 'string' || !FORM.test(header)) return false
  const given = Buffer.from(header.slice('sha256='.length), 'hex')
  for (const secret of appSecrets)
    if (secret !== '' && timingSafeEqual(createHmac('sha256', secret).update(rawBody).digest(), given)) return true
  return false
}

/** The `X-Hub-Signature-256` that Meta would send with these bytes: for simulators and tests. */
export const sign = (rawBody: Buffer | string, appSecret: string): string =>
  `sha256=${createHmac('sha256', appSecret).update(rawBody).digest('hex')}`
