import { readdir, statfs } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GatewayError } from '@cloudapi2/contracts'
import { resolveNatsServer, resolvePostgres } from '@cloudapi2/embedded'
import type { Context } from '../context.store.ts'
import { PORTS } from '../up/config.ts'
import { type Check, fail, ok, skipped, spaceCheck, warn } from './check.ts'

/** The programs that `up` runs. One that is not needed, because a URL is given, is not missed. */
export const binaryChecks = async (env: NodeJS.ProcessEnv): Promise<Check[]> => {
  const found = async (
    check: string,
    variable: 'NATS_URL' | 'DATABASE_URL',
    find: () => Promise<string>,
  ): Promise<Check> => {
    if (env[variable]) return skipped(check, `not needed: ${variable} is set`)
    try {
      return ok(check, await find())
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      return fail(check, error.message, `"npm start" cannot run without it; a server elsewhere is named by ${variable}`)
    }
  }
  return Promise.all([
    found('nats-server', 'NATS_URL', async () => {
      const { version, path } = await resolveNatsServer(env)
      return `${version} (${path})`
    }),
    found('postgres', 'DATABASE_URL', async () => {
      const { version, nativeDir } = await resolvePostgres(env)
      return `${version} (${nativeDir})`
    }),
  ])
}

const CONNECT_MS = 1_000

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port, timeout: CONNECT_MS })
    const done = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => done(true))
    socket.once('error', () => done(false))
    socket.once('timeout', () => done(false))
  })

/** The port of a URL that names one; a URL of several hosts is not of `up`. */
const portOf = (url: string): number[] => {
  const port = URL.canParse(url) ? Number(new URL(url).port) : 0
  return port === 0 ? [] : [port]
}

/** The ports that `up` would take: free, or of the installation that runs. */
export const portChecks = async (context: Context, env: NodeJS.ProcessEnv): Promise<Check[]> => {
  if (env.NATS_URL && !context.hasRuntimeFile) return [skipped('ports', 'nothing of "npm start" runs here')]
  const ours = new Set(
    [...Object.values(context.urls), context.natsUrl, context.databaseUrl].flatMap((url) =>
      url === undefined ? [] : portOf(url),
    ),
  )
  const checks = await Promise.all(
    Object.values(PORTS).map(async ({ variable, standard }): Promise<Check | undefined> => {
      const port = Number(env[variable] || standard)
      if (!Number.isInteger(port) || port < 0 || port > 65_535)
        return fail('ports', `${variable} is no port`, 'Set it to 1 to 65535, or to 0 for any free one')
      if (port === 0 || ours.has(port) || !(await isListening(port))) return undefined
      const detail = `${port} (${variable}) is taken by another program`
      return env[variable]
        ? fail('ports', detail, `Free it, or set ${variable} to another: a port that was set must be free`)
        : warn('ports', detail, `Nothing: "npm start" takes a free one and says so. ${variable} sets one`)
    }),
  )
  const taken = checks.filter((check) => check !== undefined)
  return taken.length > 0 ? taken : [ok('ports', context.hasRuntimeFile ? 'free or our own' : 'free')]
}

/** Space for what DATA_DIR will hold, whether it is there yet or not. */
export const diskCheck = async ({ dataDir }: Pick<Context, 'dataDir'>): Promise<Check> => {
  for (let path = dataDir; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path)
      return spaceCheck(path, bavail * bsize)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' || path === dirname(path))
        return fail('disk', `${path} cannot be looked at (${code})`, 'Check its rights, or set another DATA_DIR')
    }
  }
}

/** A migration's file; beside it lie its map and declaration in a build. */
const MIGRATION = /^(\d[\w-]*)\.(ts|js)$/

/** The names of the migrations in a folder; undefined when there is none, as where a service is not installed. */
export const migrationsIn = async (folder: string): Promise<string[] | undefined> => {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  const found = names?.flatMap((name) => (name.endsWith('.d.ts') ? [] : (MIGRATION.exec(name)?.[1] ?? [])))
  return found === undefined || found.length === 0 ? undefined : found.sort()
}

/** Where the migrations of each owner lie, built. */
export const MIGRATION_FOLDERS = {
  'read model': fileURLToPath(new URL('migrations', import.meta.resolve('@cloudapi2/read-model'))),
  'tenant-config': fileURLToPath(new URL('../../../services/tenant-config/dist/database/migrations', import.meta.url)),
} as const
