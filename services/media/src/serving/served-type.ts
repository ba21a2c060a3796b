/** Types that a browser may show in place: none of them can carry a script. */
const SHOWN = new Set([
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/gif',
  'audio/aac',
  'audio/amr',
  'audio/mpeg',
  'audio/mp4',
  'audio/ogg',
  'video/mp4',
  'video/3gpp',
])

const OPEN_XML = 'application/vnd.openxmlformats-officedocument.'
const BINARY_OFFICE = new Set(['application/msword', 'application/vnd.ms-excel', 'application/vnd.ms-powerpoint'])

/** Types that are named truly, and only ever handed over as a file to keep. */
const KEPT = new Set([
  'application/pdf',
  'text/plain',
  ...BINARY_OFFICE,
  `${OPEN_XML}wordprocessingml.document`,
  `${OPEN_XML}spreadsheetml.sheet`,
  `${OPEN_XML}presentationml.presentation`,
])

/** What everything else is served as: bytes, of which a browser makes nothing. */
export const BYTES = 'application/octet-stream'

/** True for a type that may be shown in place rather than kept as a file. */
export const isShown = (mimeType: string): boolean => SHOWN.has(mimeType)

const ENDINGS: Readonly<Record<string, string>> = {
  'image/jpeg': '.jpg',
  'image/png': '.png',
  'image/webp': '.webp',
  'image/gif': '.gif',
  'audio/aac': '.aac',
  'audio/amr': '.amr',
  'audio/mpeg': '.mp3',
  'audio/mp4': '.m4a',
  'audio/ogg': '.ogg',
  'video/mp4': '.mp4',
  'video/3gpp': '.3gp',
  'application/pdf': '.pdf',
  'text/plain': '.txt',
}

/** What the name of a file of this type ends with; nothing where that would be a guess. */
export const endingOf = (mimeType: string): string => ENDINGS[mimeType] ?? ''

/** Without parameters (`; codecs=opus`), in lower case, by the name that Meta uses. */
const plain = (mimeType: string): string => {
  const type = (mimeType.split(';')[0] ?? '').trim().toLowerCase()
  return ALIASES[type] ?? type
}
const ALIASES: Readonly<Record<string, string>> = {
  'audio/x-m4a': 'audio/mp4',
  'audio/mp3': 'audio/mpeg',
  'application/ogg': 'audio/ogg',
  'audio/opus': 'audio/ogg',
  'video/x-m4v': 'video/mp4',
  'image/jpg': 'image/jpeg',
}

/** True where the signature shows only the container of what was claimed. */
const isContainerOf = (seen: string, claimed: string): boolean =>
  (seen === 'video/mp4' && (claimed === 'audio/mp4' || claimed === 'video/3gpp')) ||
  (seen === 'video/3gpp' && claimed === 'video/mp4') ||
  (seen === 'application/zip' && claimed.startsWith(OPEN_XML)) ||
  (seen === 'application/x-cfb' && BINARY_OFFICE.has(claimed))

/** Text has no signature: every other type that we name has one. */
const hasSignature = (type: string): boolean => type !== 'text/plain' && (SHOWN.has(type) || KEPT.has(type))

const named = (type: string): string => (SHOWN.has(type) || KEPT.has(type) ? type : BYTES)

/**
 * The type that a file is served with. What its first bytes show counts, not what was claimed: a page that calls itself
 * a picture must not be run as one or the other.
 *
 * @param claimed what the channel said, if it did
 * @param seen    what the signature in the content shows; undefined when it has none that is known
 */
export const servedType = (
  claimed: string | undefined,
  seen: string | undefined,
): { mimeType: string; isMismatch: boolean } => {
  const said = claimed === undefined ? undefined : plain(claimed)
  const shown = seen === undefined ? undefined : plain(seen)
  if (said === undefined) return { mimeType: shown === undefined ? BYTES : named(shown), isMismatch: false }
  if (shown === undefined)
    return hasSignature(said) ? { mimeType: BYTES, isMismatch: true } : { mimeType: named(said), isMismatch: false }
  if (shown === said || isContainerOf(shown, said)) return { mimeType: named(said), isMismatch: false }
  return { mimeType: named(shown), isMismatch: true }
}
