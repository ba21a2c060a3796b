/** Long enough for any name a person gives, short enough for every file system. */
const MAX_CHARACTERS = 150

/**
 * A name that is one: no folders, no control characters, nothing that turns the direction of writing (which makes
 * `exe.pdf` out of `fdp.exe`), no dots at its start.
 */
const safeName = (filename: string): string =>
  Array.from(filename.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, ''))
    .map((character) => (/[/\\:*?"<>|]/.test(character) ? '_' : character))
    .slice(-MAX_CHARACTERS)
    .join('')
    .replace(/^[.\s]+|\s+$/g, '')

/** RFC 8187: what is neither letter nor digit of ASCII, nor one of a few signs, as bytes of UTF-8. */
const extended = (name: string): string =>
  encodeURIComponent(name).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)

/**
 * The header of RFC 6266, with a plain name for those who read only that.
 *
 * @param filename as the person who sent it named it; anything at all
 * @param fallback a name for a file without one, in letters that need no care
 */
export const contentDisposition = (
  disposition: 'inline' | 'attachment',
  filename: string | undefined,
  fallback: string,
): string => {
  const name = safeName(filename ?? '') || fallback
  const ascii = name.replace(/[^\x20-\x7e]|%/gu, '_')
  const plain = `${disposition}; filename="${ascii}"`
  return ascii === name ? plain : `${plain}; filename*=UTF-8''${extended(name)}`
}
