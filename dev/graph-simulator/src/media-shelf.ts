import { createHash, createHmac, randomBytes } from 'node:crypto'

export interface StoredMedia {
  id: string
  wabaId: string
  mimeType: string
  bytes: Buffer
  /** Hexadecimal. */
  sha256: string
}

const TOTAL_MAX_BYTES = 256 * 1024 * 1024

const MEGABYTE = 1024 * 1024
/** The largest file of each kind, by its MIME type; undefined: Meta takes no such file. */
export const maxBytesOf = (mimeType: string): number | undefined => {
  const type = mimeType.split(';')[0]?.trim().toLowerCase() ?? ''
  if (/^audio\/(aac|amr|mpeg|mp4|ogg)$/.test(type)) return 16 * MEGABYTE
  if (/^image\/(jpeg|png)$/.test(type)) return 5 * MEGABYTE
  if (type === 'image/webp') return 500 * 1024
  if (/^video\/(mp4|3gpp)$/.test(type)) return 16 * MEGABYTE
  if (type === 'text/plain' || /^application\/(pdf|msword|vnd\.)/.test(type)) return 100 * MEGABYTE
  return undefined
}

/** Uploaded files in memory; the oldest make room. Links are signed, so that none has to be remembered. */
export const createMediaShelf = (totalMaxBytes = TOTAL_MAX_BYTES) => {
  const shelf = new Map<string, StoredMedia>()
  const linkKey = randomBytes(32)
  let total = 0
  let lastId = 1_460_927_783_319_000 + Math.floor(Math.random() * 1_000_000)

  const linkHash = (id: string, expires: string) =>
    createHmac('sha256', linkKey).update(`${id}:${expires}`).digest('base64url').slice(0, 24)
  const remove = (id: string): boolean => {
    total -= shelf.get(id)?.bytes.length ?? 0
    return shelf.delete(id)
  }

  return {
    put: (wabaId: string, mimeType: string, bytes: Buffer): StoredMedia => {
      lastId += 1
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const media = { id: String(lastId), wabaId, mimeType, bytes, sha256 }
      shelf.set(media.id, media)
      total += bytes.length
      while (total > totalMaxBytes && shelf.size > 1) remove(shelf.keys().next().value as string)
      return media
    },
    get: (id: string): StoredMedia | undefined => shelf.get(id),
    remove,
    /** The query of a download link. `expires` in milliseconds since 1970. */
    linkQuery: (id: string, expires: number): string => `ext=${expires}&hash=${linkHash(id, String(expires))}`,
    isLinkValid: (id: string, expires: string, hash: string, now: number): boolean =>
      hash === linkHash(id, expires) && Number(expires) > now,
  }
}
export type MediaShelf = ReturnType<typeof createMediaShelf>
