import { createHmac, timingSafeEqual } from 'node:crypto'

/** A file of a company at the channel. */
export interface LinkedFile {
  companyId: string
  mediaId: string
  /** Where the channel has it; opens with the company's token only. */
  target: string
}

/** As long as Meta's own link lives. */
export const LINK_LIFETIME_MS = 5 * 60_000

/**
 * Signed with the company's access token: every sender has it and nobody else, so that a link made by one process opens
 * at another, only for this company's file, and not after the token was changed.
 */
const signatureOf = ({ companyId, mediaId, target }: LinkedFile, expires: string, token: string): Buffer =>
  createHmac('sha256', token)
    .update(JSON.stringify(['media link', companyId, mediaId, expires, target]))
    .digest()

/** The query of a link of ours that stands for a link of the channel's. */
export const linkQuery = (file: LinkedFile, token: string, now: number): URLSearchParams => {
  const expires = String(now + LINK_LIFETIME_MS)
  return new URLSearchParams({
    company_id: file.companyId,
    expires,
    target: Buffer.from(file.target).toString('base64url'),
    signature: signatureOf(file, expires, token).toString('base64url'),
  })
}

/** What a link stands for; undefined for one that is not ours, was altered, or has expired. */
export const readLink = (
  mediaId: string,
  { company_id: companyId, expires, target, signature }: Readonly<Record<string, unknown>>,
  token: string,
  now: number,
): string | undefined => {
  if (typeof companyId !== 'string' || typeof expires !== 'string') return undefined
  if (typeof target !== 'string' || typeof signature !== 'string') return undefined
  const file = { companyId, mediaId, target: Buffer.from(target, 'base64url').toString() }
  const given = Buffer.from(signature, 'base64url')
  const expected = signatureOf(file, expires, token)
  const isOurs = given.length === expected.length && timingSafeEqual(given, expected)
  return isOurs && Number(expires) > now ? file.target : undefined
}
