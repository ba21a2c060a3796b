import { createHmac } from 'node:crypto'

/**
 * JSON in the form Meta puts on the wire: everything outside ASCII as `\uXXXX` in lower case, and `/` as `\/`.
 * Whoever parses it and prints it again gets other bytes, hence another signature: that is the point.
 */
export const metaJson = (value: unknown): string =>
  (JSON.stringify(value) ?? 'null')
    .replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replaceAll('/', '\\/')

/** The value of `X-Hub-Signature-256`: HMAC-SHA256 of the bytes sent, under the app secret. */
export const signatureOf = (bytes: string | Buffer, appSecret: string): string =>
  `sha256=${createHmac('sha256', appSecret).update(bytes).digest('hex')}`
