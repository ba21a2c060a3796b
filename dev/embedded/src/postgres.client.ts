import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, readlink, realpath, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { GatewayError } from '@cloudapi2/contracts'
import pg from 'pg'
import { type PostgresBinaries, resolvePostgres } from './postgres-binaries.client.ts'
import {
  type Account,
  choosePlace,
  emptyFolderFor,
  libraryPath,
  putInPlace,
  reachableBinaries,
  secretFileFor,
} from './postgres-place.store.ts'
import { databaseUrl, initdbArgs, serverArgs } from './postgres-settings.ts'
import type { SupervisedSpec } from './supervisor.client.ts'

const run = promisify(execFile)

export interface PreparePostgresOptions {
  /** The product's data folder; the cluster lies in `postgres/` inside, or elsewhere (see `clusterDir`). Must exist. */
  dataDir: string
  port: number
  /** The superuser's. Used when the cluster is made; later starts need the same. */
  password: string
  /** Default `cloudapi`. */
  superuser?: string
  /** Made when it is not there. Default `cloudapi`. */
  database?: string
  /** False: no fsync, for tests. Default true. */
  durable?: boolean
  env?: Readonly<Record<string, string | undefined>>
}

export interface PreparedPostgres {
  /** For `createSupervisor().start`. */
  spec: SupervisedSpec
  /** With the password. */
  databaseUrl: string
  /** Where the data is. */
  clusterDir: string
  /** True when the data is not inside `dataDir`, because the account that runs the server cannot get there. */
  relocated: boolean
  /** The account that runs the server, when we are root; else undefined. */
  runsAs: string | undefined
  version: string
  /** True when this call made the cluster. */
  created: boolean
}

/** Only what the server needs: the PG… variables of the caller are for other servers. */
const environment = (libraryPath: string | undefined): Record<string, string | undefined> => ({
  PATH: process.env.PATH,
  LC_ALL: 'C',
  TZ: 'UTC',
  ...(libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath, DYLD_LIBRARY_PATH: libraryPath }),
})

/** The last lines a program wrote, for an error message. */
const lastWords = (error: unknown): string => {
  const { stderr, message } = error as { stderr?: string; message: string }
  const lines = (stderr ?? '').trim().split('\n').slice(-3).join('; ')
  return lines === '' ? message : lines
}

/**
 * Makes a cluster under another name and puts it in place when it is whole: one that was interrupted is never taken for
 * a cluster, and is thrown away by the next attempt.
 */
const createCluster = async ({
  binaries,
  clusterDir,
  account,
  superuser,
  password,
  sync,
  env,
}: {
  binaries: PostgresBinaries
  clusterDir: string
  account: Account | undefined
  superuser: string
  password: string
  sync: boolean
  env: Record<string, string | undefined>
}): Promise<void> => {
  const draft = `${clusterDir}.unfinished`
  const passwordFile = `${clusterDir}.password-${randomUUID()}`
  await emptyFolderFor(draft, account)
  await secretFileFor(passwordFile, `${password}\n`, account)
  try {
    await run(
      join(binaries.nativeDir, 'bin', 'initdb'),
      initdbArgs({ clusterDir: draft, superuser, passwordFile, sync }),
      {
        cwd: draft,
        env: env as NodeJS.ProcessEnv,
        ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
      },
    )
    await putInPlace(draft, clusterDir)
  } catch (cause) {
    await rm(draft, { recursive: true, force: true })
    throw new GatewayError(`initdb could not make a database in ${clusterDir}: ${lastWords(cause)}`, {
      code: 'POSTGRES_INIT_FAILED',
      retryable: false,
      cause,
    })
  } finally {
    await rm(passwordFile, { force: true })
  }
}

/** @throws GatewayError when there is something else than a cluster of this version and user */
const checkCluster = async (clusterDir: string, binaries: PostgresBinaries): Promise<void> => {
  const version = (await readFile(join(clusterDir, 'PG_VERSION'), 'utf8')).trim()
  if (version !== String(binaries.major))
    throw new GatewayError(
      `${clusterDir} was made by PostgreSQL ${version}, and this is ${binaries.version}: ` +
        'start it with the version that made it (POSTGRES_HOME) and move the data with pg_dump, or choose another DATA_DIR',
      { code: 'POSTGRES_VERSION_MISMATCH', retryable: false },
    )
  const owner = (await stat(clusterDir)).uid
  const user = process.getuid?.()
  if (user !== undefined && user !== 0 && owner !== user)
    throw new GatewayError(`${clusterDir} belongs to the user ${owner}, and we are ${user}: PostgreSQL refuses that`, {
      code: 'POSTGRES_DATA_UNREACHABLE',
      retryable: false,
    })
}

/**
 * PostgreSQL itself passes over the pid file of a server that is gone, but not when the number now belongs to another
 * process, as it often does in a container. Where /proc can tell, such a file is removed. A server that really runs on
 * this cluster is left to PostgreSQL's own check.
 */
const removeStalePidFile = async (clusterDir: string): Promise<void> => {
  const path = join(clusterDir, 'postmaster.pid')
  if (process.platform !== 'linux' || !existsSync(path)) return
  const pid = Number.parseInt(await readFile(path, 'utf8'), 10)
  if (!existsSync(`/proc/${pid}`)) return
  try {
    // The postmaster's working directory is its cluster.
    if ((await readlink(`/proc/${pid}/cwd`)) !== (await realpath(clusterDir))) await rm(path)
  } catch (error) {
    // Another user's process: not a server of ours, but not ours to judge; or gone by now.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'ENOENT') throw error
  }
}

/** SQLSTATE 28P01 invalid_password and 28000 invalid_authorization_specification. */
const isRefused = (error: unknown): boolean => ['28P01', '28000'].includes((error as { code?: string }).code ?? '')

/**
 * Resolves when the server of this cluster answers and its database is there.
 *
 * @throws GatewayError POSTGRES_PASSWORD_REFUSED at once; other failures are tried again until the signal is aborted
 */
const postgresReady = async (
  {
    superuser,
    password,
    port,
    database,
    clusterDir,
  }: { superuser: string; password: string; port: number; database: string; clusterDir: string },
  signal: AbortSignal,
): Promise<void> => {
  // Every attempt before its time is a line in the server's log.
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 1.5, 250)) {
    signal.throwIfAborted()
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: superuser,
      password,
      database: 'postgres',
      connectionTimeoutMillis: 5_000,
      query_timeout: 30_000,
    })
    // A connection that breaks while idle must not end the process; the query in hand rejects as well.
    client.on('error', () => {})
    try {
      await client.connect()
      const { rows } = await client.query<{ folder: string; present: boolean }>(
        `select current_setting('data_directory') as folder,
                exists (select from pg_database where datname = $1) as present`,
        [database],
      )
      if (rows[0]?.folder === clusterDir) {
        if (!rows[0].present) await client.query(`create database ${client.escapeIdentifier(database)}`)
        return
      }
    } catch (cause) {
      if (isRefused(cause))
        throw new GatewayError(
          `the database in ${clusterDir} was made with another password than the one in use now: ` +
            'bring back the file that held it, or start with an empty DATA_DIR',
          { code: 'POSTGRES_PASSWORD_REFUSED', retryable: false, cause },
        )
      // Not listening yet, or recovering: asked again.
    } finally {
      await client.end().catch(() => {}) // it never connected, or is broken: either way it is closed
    }
    await pause(waitMs, undefined, { signal })
  }
}

/**
 * Gets a cluster ready to be started: makes it when it is not there, and gives what the supervisor needs to run it.
 * The server listens on 127.0.0.1 only, UTF8, time zone UTC, byte order, scram-sha-256. As root it runs as another
 * user; see `choosePlace` for where the data then is.
 *
 * @throws GatewayError POSTGRES_NOT_FOUND, POSTGRES_INIT_FAILED, POSTGRES_VERSION_MISMATCH, POSTGRES_DATA_UNREACHABLE
 */
export const preparePostgres = async ({
  dataDir,
  port,
  password,
  superuser = 'cloudapi',
  database = 'cloudapi',
  durable = true,
  env: outer = process.env,
}: PreparePostgresOptions): Promise<PreparedPostgres> => {
  const found = await resolvePostgres(outer)
  const { home, relocated, account } = await choosePlace(resolve(dataDir))
  const binaries = await reachableBinaries(found, account)
  const env = environment(await libraryPath(binaries, join(home, 'postgres-libraries')))
  const clusterDir = join(home, 'postgres')

  const isThere = existsSync(join(clusterDir, 'PG_VERSION'))
  if (isThere) {
    await checkCluster(clusterDir, binaries)
    await removeStalePidFile(clusterDir)
  } else {
    if (existsSync(clusterDir) && (await readdir(clusterDir)).length > 0)
      throw new GatewayError(`${clusterDir} is not empty and holds no database of PostgreSQL: move it away`, {
        code: 'POSTGRES_INIT_FAILED',
        retryable: false,
      })
    await createCluster({ binaries, clusterDir, account, superuser, password, sync: durable, env })
  }

  return {
    clusterDir,
    relocated,
    runsAs: account?.name,
    version: binaries.version,
    created: !isThere,
    databaseUrl: databaseUrl({ superuser, password, port, database }),
    spec: {
      name: 'postgres',
      command: join(binaries.nativeDir, 'bin', 'postgres'),
      args: serverArgs({ clusterDir, port, durable, platform: process.platform }),
      env,
      cwd: clusterDir,
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
      stopSignal: 'SIGINT', // fast shutdown: connections are closed, then a checkpoint
      stopTimeoutMs: 20_000,
      readyTimeoutMs: 120_000, // recovery after a crash may have a lot to read
      ready: (signal) => postgresReady({ superuser, password, port, database, clusterDir }, signal),
    },
  }
}
