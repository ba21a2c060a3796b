import { fileTypeFromBuffer } from 'file-type'
import { servedType } from '../serving/served-type.ts'
import type { MediaStore } from '../store/media-store.ts'

/** Where signatures are; some archives name their kind only after a first file. */
const HEAD_BYTES = 64 * 1_024

const seenIn = async (head: Buffer): Promise<string | undefined> => {
  try {
    return (await fileTypeFromBuffer(head))?.mime
  } catch {
    return undefined // what its reader stumbles over has no signature we know
  }
}

/**
 * Looks at the first bytes of a stored file to tell what it is served as.
 *
 * @returns `mismatched`: what was claimed, where the content shows something else
 */
export const contentType = async (
  store: Pick<MediaStore, 'get'>,
  key: string,
  sizeBytes: number,
  claimed: string | undefined,
): Promise<{ mimeType: string; mismatched: string | undefined }> => {
  const pieces: Uint8Array[] = []
  if (sizeBytes > 0)
    for await (const piece of (await store.get(key, { start: 0, end: Math.min(HEAD_BYTES, sizeBytes) - 1 })) ?? [])
      pieces.push(piece)
  const { mimeType, isMismatch } = servedType(claimed, await seenIn(Buffer.concat(pieces)))
  return { mimeType, mismatched: isMismatch ? claimed : undefined }
}
