import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { GatewayError } from '@cloudapi2/contracts'

/** Where the public key of an export lies. */
export const keyBeside = (file: string): string => `${file}.pub.pem`

/** `audit-key.pem` → `audit-key.pub.pem`. */
export const publicHalfOf = (privateFile: string): string => `${privateFile.replace(/\.pem$/, '')}.pub.pem`

const reasonOf = (cause: unknown): string => {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'it is not there'
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not'
  if (code === 'EISDIR') return 'it is a folder'
  if (code === 'ENOSPC') return 'the disk is full'
  if (code === 'EEXIST') return 'it is there already'
  return code ?? 'for a reason unknown'
}

const unreadable = (file: string, cause: unknown) =>
  new GatewayError(`${file} cannot be read: ${reasonOf(cause)}`, {
    code: 'AUDIT_FILE_UNREADABLE',
    retryable: false,
    cause,
  })
const notWritten = (file: string, cause: unknown) =>
  new GatewayError(`${file} was not written: ${reasonOf(cause)}`, {
    code: 'AUDIT_NOT_WRITTEN',
    retryable: false,
    cause,
  })
const isThere = (file: string, advice: string) =>
  new GatewayError(`${file} is there already: ${advice}`, { code: 'AUDIT_FILE_EXISTS', retryable: false })

export const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  )

/** @throws GatewayError AUDIT_FILE_UNREADABLE */
export const readText = (file: string): Promise<string> =>
  readFile(file, 'utf8').catch((cause) => {
    throw unreadable(file, cause)
  })

/** @throws GatewayError AUDIT_FILE_UNREADABLE */
export const checkIsReadable = async (file: string): Promise<void> => {
  const handle = await open(file, 'r').catch((cause) => {
    throw unreadable(file, cause)
  })
  await handle.close()
}

/** True when others than its owner can read it. */
export const isOpenToOthers = async (file: string): Promise<boolean> => ((await stat(file)).mode & 0o077) !== 0

/** A file that is read from its beginning each time. @throws GatewayError AUDIT_FILE_UNREADABLE */
export const fileSource = (file: string) =>
  async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) yield chunk as Uint8Array
    } catch (cause) {
      throw unreadable(file, cause)
    }
  }

/**
 * Writes both halves of a pair, neither over a file that is there.
 *
 * @throws GatewayError AUDIT_FILE_EXISTS or AUDIT_NOT_WRITTEN
 */
export const writeKeyPair = async (
  privateFile: string,
  { privatePem, publicPem }: { privatePem: string; publicPem: string },
): Promise<string> => {
  const publicFile = publicHalfOf(privateFile)
  for (const file of [privateFile, publicFile])
    if (await exists(file)) throw isThere(file, 'a key is never written over; give another --out')
  // `wx` for what comes between the question and the writing.
  await writeFile(privateFile, privatePem, { mode: 0o600, flag: 'wx' }).catch((cause) => {
    throw notWritten(privateFile, cause)
  })
  await writeFile(publicFile, publicPem, { mode: 0o644, flag: 'wx' }).catch((cause) => {
    throw notWritten(publicFile, cause)
  })
  return publicFile
}

const BUFFERED = 1 << 20

/** @throws GatewayError AUDIT_FILE_EXISTS */
export const checkIsNew = async (file: string, force: boolean): Promise<void> => {
  for (const one of [file, keyBeside(file)])
    if (!force && (await exists(one))) throw isThere(one, 'give another name, or --force to replace it')
}

/**
 * Writes an export and the public key beside it. Until it is complete it has another name, which ends in `.partial`: what
 * bears the name of the file is always whole.
 *
 * @returns what the lines return
 * @throws GatewayError AUDIT_FILE_EXISTS or AUDIT_NOT_WRITTEN; what the lines throw
 */
export const writeExport = async <T>(
  file: string,
  force: boolean,
  lines: AsyncGenerator<string, T>,
  publicPem: string,
): Promise<T> => {
  const partial = `${file}.${randomBytes(4).toString('hex')}.partial`
  const partialKey = `${keyBeside(file)}.${randomBytes(4).toString('hex')}.partial`
  const writing = <R>(step: Promise<R>): Promise<R> =>
    step.catch((cause) => {
      throw notWritten(file, cause)
    })
  try {
    // It holds what people wrote to each other.
    const handle = await writing(open(partial, 'wx', 0o600))
    let result: T
    try {
      let buffered: string[] = []
      let size = 0
      const flush = async () => {
        await writing(handle.writeFile(buffered.join('')))
        buffered = []
        size = 0
      }
      let next = await lines.next()
      for (; next.done !== true; next = await lines.next()) {
        buffered.push(next.value)
        size += next.value.length
        if (size >= BUFFERED) await flush()
      }
      await flush()
      await writing(handle.sync())
      result = next.value
    } finally {
      await handle.close()
    }
    await writing(writeFile(partialKey, publicPem, { mode: 0o644, flag: 'wx' }))
    await checkIsNew(file, force)
    await writing(rename(partialKey, keyBeside(file)))
    await writing(rename(partial, file))
    return result
  } finally {
    await lines.return(undefined as never)
    await rm(partial, { force: true })
    await rm(partialKey, { force: true })
  }
}
