const KILOBYTE = 1_024
const MEGABYTE = 1_024 * KILOBYTE

/** The largest file of each kind of message. */
const LARGEST: Readonly<Record<string, number>> = {
  audio: 16 * MEGABYTE,
  document: 100 * MEGABYTE,
  image: 5 * MEGABYTE,
  sticker: 500 * KILOBYTE,
  video: 16 * MEGABYTE,
}

/**
 * The largest file that a message of this kind can carry, in bytes; for a kind added later, the largest there is.
 *
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media ("Supported Media Types")
 */
export const largestMediaBytes = (kind: string): number => LARGEST[kind] ?? 100 * MEGABYTE
