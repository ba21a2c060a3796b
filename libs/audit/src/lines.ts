/** Longer than any line that was ever exported: a message of 64 MiB, the most NATS can be told to take, fits in any form. */
const LONGEST = 256 * 1024 * 1024

/**
 * The lines of a file, without their line feeds, and whether each had one. Holds no more than a line.
 *
 * @param chunks the file from its beginning
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<{ bytes: Buffer; isEnded: boolean }> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of chunks) {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let at = rest.indexOf(0x0a); at !== -1; at = rest.indexOf(0x0a)) {
      parts.push(rest.subarray(0, at))
      yield { bytes: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts), isEnded: true }
      parts = []
      size = 0
      rest = rest.subarray(at + 1)
    }
    if (rest.length === 0) continue
    size += rest.length
    // What is too long to be a line is none; it is passed on in pieces, which are none either.
    if (size > LONGEST) {
      yield { bytes: Buffer.concat(parts), isEnded: true }
      parts = []
      size = rest.length
    }
    parts.push(rest)
  }
  if (parts.length > 0) yield { bytes: Buffer.concat(parts), isEnded: false }
}
