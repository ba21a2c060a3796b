import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { GatewayError } from '@cloudapi2/contracts'
import { stopLeftovers } from './children-file.store.ts'
import { processIdentity } from './process-identity.client.ts'

/** A data folder that is ours until `release`. */
export interface DataDirLock {
  /** Absolute. */
  dir: string
  /** For `createSupervisor`: where the running children are written down. */
  childrenFile: string
  /** Names of children of an earlier run that were still running and have been stopped. */
  stoppedLeftovers: string[]
  release: () => Promise<void>
}

interface Holder {
  pid: number
  identity: string | null
  /** Tells this taking of the lock from every other. */
  token: string
}

/** mkdir({ recursive: true }) never returns where the parent is there and still nothing can be made in it, as in /proc. */
const makeFolder = async (dir: string): Promise<void> => {
  try {
    await mkdir(dir, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(dir)).isDirectory()) return
    if (code !== 'ENOENT') throw error
    await makeFolder(dirname(dir))
    await mkdir(dir, { mode: 0o700 })
  }
}

/** A fresh PostgreSQL cluster takes 40 MB and its log as much again; below this the servers fail in obscure ways. */
const MIN_FREE_BYTES = 128 * 1024 ** 2

const inWords: Record<string, string> = {
  EACCES: 'this user has no right to write there',
  EPERM: 'this user has no right to write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: "this user's disk quota is used up",
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'it is a file, not a folder',
  ENAMETOOLONG: 'the path is too long',
  ELOOP: 'its symbolic links go in a circle',
  ENOENT: 'a part of the path leads nowhere',
}

const notWritable = (dir: string, cause: unknown): GatewayError => {
  const { code, message } = cause as NodeJS.ErrnoException
  return new GatewayError(`the data folder ${dir} cannot be used: ${inWords[code ?? ''] ?? message} (DATA_DIR)`, {
    code: 'DATA_DIR_NOT_WRITABLE',
    retryable: false,
    cause,
  })
}

const isAlive = ({ pid, identity }: Holder): boolean => {
  const now = processIdentity(pid)
  return now !== undefined && (identity === null || now === identity)
}

const readHolder = async (path: string): Promise<Holder | undefined> => {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    // Locks appear whole; one that cannot be read was cut short by a power cut, and its owner with it.
    if (error instanceof SyntaxError) return { pid: 0, identity: 'unreadable', token: 'unreadable' }
    throw error
  }
}

/** Puts the draft under the name, unless something is there. A hard link appears whole or not at all. */
const claim = async (draft: string, path: string): Promise<boolean> => {
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/**
 * Takes the lock file, over a dead holder if need be. Who wants to take over first claims the right to, under a name made
 * of the dead holder's token; so only one can, and only while that holder is still the one in the file.
 *
 * @returns undefined when it is ours, else the living holder
 */
const take = async (path: string, draft: string): Promise<Holder | undefined> => {
  for (;;) {
    if (await claim(draft, path)) return undefined
    const holder = await readHolder(path)
    if (holder === undefined) continue // released in between
    if (isAlive(holder)) return holder

    const takeover = `${path}.${holder.token}`
    const rival = await take(takeover, draft)
    if (rival !== undefined) return rival
    try {
      if ((await readHolder(path))?.token === holder.token) {
        const second = `${draft}.lock`
        await link(draft, second) // rename() does nothing when both names are the same file, as after `link`
        await rename(second, path)
        return undefined
      }
    } finally {
      await unlink(takeover)
    }
  }
}

/**
 * Makes the data folder (0700) and takes it for this process, so that a second run on the same folder ends with words
 * instead of corrupting it. The lock of a process that is gone is taken over, also when another process has its id by
 * now, and children it left behind are stopped first.
 *
 * @throws GatewayError DATA_DIR_NOT_WRITABLE with the cause in words; DATA_DIR_IN_USE with the pid of who has it
 */
export const lockDataDir = async (wanted: string): Promise<DataDirLock> => {
  const dir = resolve(wanted)
  const path = join(dir, 'lock')
  const me: Holder = { pid: process.pid, identity: processIdentity(process.pid) ?? null, token: randomUUID() }
  const draft = `${path}-${me.token}`

  let holder: Holder | undefined
  try {
    await makeFolder(dir)
    const { bavail, bsize } = await statfs(dir)
    if (bavail * bsize < MIN_FREE_BYTES) throw Object.assign(new Error('too little space'), { code: 'ENOSPC' })
    await writeFile(draft, JSON.stringify(me), { mode: 0o600, flag: 'wx' })
    holder = await take(path, draft)
  } catch (cause) {
    throw notWritable(dir, cause)
  } finally {
    await rm(draft, { force: true }).catch(() => {}) // the folder itself may be the problem, and is reported above
  }
  if (holder !== undefined)
    throw new GatewayError(
      `the data folder ${dir} is in use by the process ${holder.pid}: stop that one, or set another DATA_DIR`,
      { code: 'DATA_DIR_IN_USE', retryable: false },
    )

  const childrenFile = join(dir, 'children.json')
  return {
    dir,
    childrenFile,
    stoppedLeftovers: await stopLeftovers(childrenFile),
    release: async () => {
      if ((await readHolder(path))?.token === me.token) await unlink(path)
    },
  }
}
