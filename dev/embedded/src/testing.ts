import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { lstat, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { GatewayError } from '@cloudapi2/contracts'
import { type ChildSpec, type Ready, type RunningChild, readyOrExit, startChild } from './child-process.client.ts'
import { theGuard } from './guard.client.ts'
import { prepareNatsServer, resolveNatsServer } from './nats-server.client.ts'
import type { NatsUser } from './nats-server-config.ts'
import { choosePort } from './ports.client.ts'
import { preparePostgres } from './postgres.client.ts'
import { resolvePostgres } from './postgres-binaries.client.ts'
import { choosePlace } from './postgres-place.store.ts'

const run = promisify(execFile)

/** A server for the length of a test. It ends with the process that started it, even when that is killed. */
export interface TestServer {
  /** Without credentials for NATS, with them for PostgreSQL. Stays the same over `kill` and `restart`. */
  url: string
  port: number
  /** Of the running server; undefined while it is down. */
  pid: () => number | undefined
  /** SIGKILL; resolves when the process is gone. The data stays. */
  kill: () => Promise<void>
  /** Starts it again on the same port and data, stopping it in an orderly way first if it runs; resolves when ready. */
  restart: () => Promise<void>
  /** Stops it and removes its folder, unless the folder was given. */
  stop: () => Promise<void>
}

/** A server that is still releasing what its killed predecessor held ends at once; it is tried again this long. */
const START_TIMEOUT_MS = 30_000

const serve = async (
  spec: ChildSpec & { ready: Ready },
): Promise<Pick<TestServer, 'pid' | 'kill' | 'restart'> & { end: () => Promise<void> }> => {
  let child: RunningChild | undefined
  const launch = async (): Promise<void> => {
    const deadline = AbortSignal.timeout(START_TIMEOUT_MS)
    for (;;) {
      const output: string[] = []
      child = startChild({ ...spec, onOutput: (line) => void output.splice(0, Math.max(0, output.push(line) - 10)) })
      const exit = await readyOrExit(child, spec.ready, deadline).catch(async (cause: unknown) => {
        await child?.stop()
        throw new GatewayError(`${spec.name} did not become ready: ${output.join(' | ')}`, {
          code: 'CHILD_NOT_READY',
          retryable: false,
          cause,
        })
      })
      if (exit === undefined) return
      if (deadline.aborted || exit.error !== undefined)
        throw new GatewayError(`${spec.name} ended before it was ready: ${output.join(' | ')}`, {
          code: 'CHILD_NOT_READY',
          retryable: false,
          cause: exit.error,
        })
    }
  }
  const end = async (): Promise<void> => {
    await child?.stop()
  }
  await launch()
  return {
    pid: () => (child?.isRunning() ? child.pid : undefined),
    kill: async () => {
      child?.kill('SIGKILL')
      await child?.exited
    },
    restart: async () => {
      await end()
      await launch()
    },
    end,
  }
}

/** A folder of its own, removed by `remove`, or by the guard when this process does not get that far. */
const workFolder = async (given: string | undefined, prefix: string) => {
  const dir = given ?? (await mkdtemp(join(tmpdir(), prefix)))
  await mkdir(dir, { recursive: true, mode: 0o700 })
  if (given === undefined) theGuard().removeAtEnd(dir)
  const remove = async (): Promise<void> => {
    if (given !== undefined) return
    await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
    theGuard().keep(dir)
  }
  return { dir, remove }
}

/**
 * Starts a nats-server with JetStream on a free port, for tests.
 *
 * @param options.dir        keeps its data there, and leaves it there; left out: a temporary folder
 * @param options.users      left out: everybody may do everything
 * @param options.noAuthUser who a connection without credentials is
 * @param options.syncAlways fsync before every acknowledgement; default false
 */
export const startNats = async (
  options: { dir?: string; users?: readonly NatsUser[]; noAuthUser?: string; syncAlways?: boolean } = {},
): Promise<TestServer & { monitorUrl: string }> => {
  const binary = await resolveNatsServer()
  const { dir, remove } = await workFolder(options.dir, 'cloudapi2-nats-')
  const { port } = await choosePort({ name: 'port', wanted: 0, explicit: false })
  const { port: monitorPort } = await choosePort({ name: 'monitorPort', wanted: 0, explicit: false })
  const { spec, url } = await prepareNatsServer({
    binary,
    configFile: join(dir, 'nats-server.conf'),
    host: '127.0.0.1',
    port,
    monitorPort,
    storeDir: join(dir, 'jetstream'),
    serverName: `test-${port}`,
    users: options.users ?? [],
    ...(options.noAuthUser === undefined ? {} : { noAuthUser: options.noAuthUser }),
    syncAlways: options.syncAlways ?? false,
    maxMemoryBytes: 256 * 1024 ** 2,
    maxFileBytes: 2 * 1024 ** 3,
  })
  const { end, ...server } = await serve(spec)
  return {
    ...server,
    url,
    port,
    monitorUrl: `http://127.0.0.1:${monitorPort}`,
    stop: async () => {
      await end()
      await remove()
    },
  }
}

/** For servers on loopback that live as long as a test. */
const TEST_PASSWORD = 'cloudapi'

/**
 * A cluster fresh from initdb, made once per machine, user and version, and copied for every test: a copy takes a tenth
 * of the time. Undefined where the database cannot lie in the temporary folder.
 */
const clusterTemplate = async (): Promise<string | undefined> => {
  const { version } = await resolvePostgres()
  const uid = process.getuid?.() ?? 0
  const template = join(tmpdir(), `cloudapi2-postgres-template-${version}-${uid}`)
  if (!existsSync(template)) {
    const draft = await mkdtemp(`${template}.`)
    theGuard().removeAtEnd(draft)
    const { relocated, clusterDir } = await preparePostgres({
      dataDir: draft,
      port: 1, // not started
      password: TEST_PASSWORD,
      durable: false,
    })
    if (relocated) {
      await rm(draft, { recursive: true })
      await rm(dirname(clusterDir), { recursive: true })
      return undefined
    }
    // Whoever arrives second finds the first one's template and drops its own.
    await rename(draft, template).catch(async (error: NodeJS.ErrnoException) => {
      await rm(draft, { recursive: true })
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
    theGuard().keep(draft)
  }
  const found = await lstat(template)
  // In a folder everybody can write to: one made by somebody else is not trusted.
  return found.isDirectory() && found.uid === uid ? join(template, 'postgres') : undefined
}

/**
 * Starts PostgreSQL with an empty database `cloudapi` on a free port, for tests.
 *
 * @param options.dir     keeps its data there, and leaves it there; left out: a temporary folder
 * @param options.durable fsync on; default false. A killed server loses nothing either way; a machine without power does
 */
export const startPostgres = async (options: { dir?: string; durable?: boolean } = {}): Promise<TestServer> => {
  const { dir, remove } = await workFolder(options.dir, 'cloudapi2-postgres-')
  const { home, relocated } = await choosePlace(dir)
  if (relocated && options.dir === undefined) theGuard().removeAtEnd(home)
  const template = relocated ? undefined : await clusterTemplate()
  if (template !== undefined && !existsSync(join(home, 'postgres')))
    await run('cp', ['-Rp', template, join(home, 'postgres')])

  const { port } = await choosePort({ name: 'port', wanted: 0, explicit: false })
  const { spec, databaseUrl } = await preparePostgres({
    dataDir: dir,
    port,
    password: TEST_PASSWORD,
    durable: options.durable ?? false,
  })
  const { end, ...server } = await serve(spec)
  return {
    ...server,
    url: databaseUrl,
    port,
    stop: async () => {
      await end()
      await remove()
      if (relocated && options.dir === undefined) {
        await rm(home, { recursive: true, force: true })
        theGuard().keep(home)
      }
    },
  }
}
