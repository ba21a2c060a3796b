import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, lstat, mkdir, open, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { GatewayError } from '@cloudapi2/contracts'
import type { PostgresBinaries } from './postgres-binaries.client.ts'

const run = promisify(execFile)

/** A user of this machine; PostgreSQL refuses to run as root. */
export interface Account {
  name: string
  uid: number
  gid: number
}

/** Where a cluster lies and who runs it. */
export interface PostgresPlace {
  /** The folder that holds `postgres/` (the cluster) and what belongs to it. */
  home: string
  /** True when `home` is not the data folder, because the account cannot get there. */
  relocated: boolean
  /** Undefined: the user we are. */
  account: Account | undefined
}

/** Survives reboots, and is not moved by TMPDIR, so that the second start looks where the first one wrote. */
const sharedFolder = (): string => (existsSync('/var/tmp') ? '/var/tmp' : tmpdir())

const accounts = async (): Promise<Account[]> => {
  const passwd = existsSync('/etc/passwd') ? await readFile('/etc/passwd', 'utf8') : ''
  return passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : []
  })
}

/** Who runs the server when we are root: the owner of the cluster there is, else `postgres`, else `nobody`, else 65534. */
const accountForRoot = async (cluster: string): Promise<Account> => {
  const known = (await accounts()).filter(({ uid }) => uid !== 0)
  if (existsSync(cluster)) {
    const { uid, gid } = await stat(cluster)
    if (uid !== 0) return known.find((account) => account.uid === uid) ?? { name: String(uid), uid, gid }
  }
  return (
    known.find(({ name }) => name === 'postgres') ??
    known.find(({ name }) => name === 'nobody') ?? { name: '65534', uid: 65_534, gid: 65_534 }
  )
}

/** Asks the kernel by trying as that user: mode bits alone know nothing of access lists and mounts. */
const canReach = async (path: string, { uid, gid }: Account): Promise<boolean> => {
  try {
    await run('/bin/sh', ['-c', 'test -r "$1" && test -x "$1"', 'sh', path], { uid, gid, cwd: '/' })
    return true
  } catch {
    return false // test(1) ends with 1: not reachable
  }
}

/** A folder only root can have made, so that nobody else has put something there for us to trust. */
const ownFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path, { mode: 0o700 })
    await chmod(path, 0o755) // whatever the umask
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const found = await lstat(path)
  if (!found.isDirectory() || found.uid !== 0 || (found.mode & 0o022) !== 0)
    throw new GatewayError(`${path} exists and is not a folder of root that only root can write: remove it`, {
      code: 'DATA_DIR_NOT_WRITABLE',
      retryable: false,
    })
}

/**
 * Chooses where the cluster of a data folder lies. As an ordinary user: in the data folder. As root: there too, if the
 * account that will run it can get there, else in /var/tmp/cloudapi2-<hash of the data folder>; a note in the data
 * folder remembers that choice, so that it stays the same for the life of the folder.
 *
 * @param dataDir absolute; must exist and be ours
 */
export const choosePlace = async (dataDir: string): Promise<PostgresPlace> => {
  if (process.getuid?.() !== 0) return { home: dataDir, relocated: false, account: undefined }

  const inside = join(dataDir, 'postgres')
  const note = join(dataDir, 'postgres.location')
  const noted = existsSync(note) ? (await readFile(note, 'utf8')).trim() : undefined
  if (noted === undefined) {
    const account = await accountForRoot(inside)
    // A folder that only root can enter (as we make them) is opened to the account's group, for passing through only.
    const { mode, uid } = await stat(dataDir)
    if (uid === 0 && (mode & 0o077) === 0) {
      await chown(dataDir, 0, account.gid)
      await chmod(dataDir, 0o710)
    }
    const probe = join(dataDir, `.reachable-${randomUUID()}`)
    await mkdir(probe, { mode: 0o700 })
    await chown(probe, account.uid, account.gid)
    const reachable = await canReach(probe, account)
    await rm(probe, { recursive: true })
    if (reachable) return { home: dataDir, relocated: false, account }
    if (existsSync(join(inside, 'PG_VERSION')))
      throw new GatewayError(`${inside} holds a database, but the user ${account.name} cannot get there any more`, {
        code: 'POSTGRES_DATA_UNREACHABLE',
        retryable: false,
      })
  }

  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 16)
  const home = noted ?? join(sharedFolder(), `cloudapi2-${hash}`)
  await ownFolder(home)
  const cluster = join(home, 'postgres')
  if (noted === undefined) {
    // What lies there belonged to a data folder of the same name that was deleted: kept, but not taken over.
    if (existsSync(cluster)) await rename(cluster, `${cluster}-before-${new Date().toISOString().replaceAll(':', '')}`)
    await writeFile(note, `${home}\n`, { mode: 0o600 })
  }
  const account = await accountForRoot(cluster)
  if (!(await canReach(home, account)))
    throw new GatewayError(`the user ${account.name} cannot reach ${home}, where the database is to lie`, {
      code: 'POSTGRES_DATA_UNREACHABLE',
      retryable: false,
    })
  return { home, relocated: true, account }
}

interface Link {
  /** What is linked to, absolute. */
  source: string
  /** The link, absolute. */
  target: string
}

/** The libraries' symbolic links are made by the package's postinstall script, which npm may not run. */
const missingLinks = async (nativeDir: string): Promise<Link[]> => {
  const listFile = join(nativeDir, 'pg-symlinks.json')
  if (!existsSync(listFile)) return []
  const links: Link[] = JSON.parse(await readFile(listFile, 'utf8'))
  return (
    links
      // The list's paths start with the package's own `native/`.
      .map(({ source, target }) => ({
        source: join(nativeDir, relative('native', source)),
        target: join(nativeDir, relative('native', target)),
      }))
      .filter(({ target }) => !existsSync(target))
  )
}

/**
 * The binaries as the account can use them: where they are, or, when the account cannot get there, in a copy under
 * /var/tmp that belongs to root and that all clones with the same binaries share.
 */
export const reachableBinaries = async (
  binaries: PostgresBinaries,
  account: Account | undefined,
): Promise<PostgresBinaries> => {
  const program = join(binaries.nativeDir, 'bin', 'postgres')
  if (account === undefined || (await canReach(program, account))) return binaries
  const key = createHash('sha256')
    .update(await readFile(program))
    .digest('hex')
    .slice(0, 16)
  const copy = join(sharedFolder(), `cloudapi2-postgresql-${binaries.version}-${key}`)
  if (!existsSync(copy)) {
    const draft = `${copy}.${randomUUID()}`
    await ownFolder(draft)
    try {
      await cp(binaries.nativeDir, draft, {
        recursive: true,
        verbatimSymlinks: true,
        filter: (source) => !source.endsWith('.a'), // for linking programs, not for running them
      })
      for (const { source, target } of await missingLinks(draft))
        await symlink(relative(dirname(target), source), target)
      // A clone made under a strict umask has files that only root can read.
      await run('chmod', ['-R', 'a+rX,go-w', draft])
      await rename(draft, copy)
    } catch (error) {
      await rm(draft, { recursive: true })
      // Whoever arrives second finds the first one's copy, which is as good.
      if (!existsSync(copy)) throw error
    }
  }
  await ownFolder(copy)
  return { ...binaries, nativeDir: copy }
}

/**
 * Where links of libraries are missing, they are made in `folder`.
 *
 * @returns the value for LD_LIBRARY_PATH, or undefined when nothing is missing. The package's own folder is part of it,
 *   because a library found through a link looks for what it needs beside the link
 */
export const libraryPath = async ({ nativeDir }: PostgresBinaries, folder: string): Promise<string | undefined> => {
  const missing = await missingLinks(nativeDir)
  if (missing.length === 0) return undefined

  const draft = `${folder}.${randomUUID()}`
  await mkdir(draft)
  await chmod(draft, 0o755) // whatever the umask
  for (const { source, target } of missing) await symlink(source, join(draft, basename(target)))
  // Made anew at every start: the package may have moved.
  await rm(folder, { recursive: true, force: true })
  await rename(draft, folder)
  return `${folder}${delimiter}${join(nativeDir, 'lib')}`
}

/** Makes an empty folder for the account, 0700, replacing what an interrupted attempt left. */
export const emptyFolderFor = async (path: string, account: Account | undefined): Promise<void> => {
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { mode: 0o700 })
  if (account !== undefined) await chown(path, account.uid, account.gid)
}

/** Writes a file only the account can read. */
export const secretFileFor = async (path: string, text: string, account: Account | undefined): Promise<void> => {
  await writeFile(path, text, { mode: 0o600, flag: 'wx' })
  if (account !== undefined) await chown(path, account.uid, account.gid)
}

/** Makes a finished folder appear under its name at once; an empty folder of that name gives way. */
export const putInPlace = async (draft: string, path: string): Promise<void> => {
  await rename(draft, path)
  // The rename must be on disk before anything relies on it.
  const parent = await open(dirname(path), 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}
