import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { appendFile, chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { readyOrExit, startChild } from './child-process.client.ts'
import { choosePort } from './ports.client.ts'
import { type PreparedPostgres, preparePostgres } from './postgres.client.ts'
import { type PostgresBinaries, resolvePostgres } from './postgres-binaries.client.ts'
import { libraryPath, reachableBinaries } from './postgres-place.store.ts'
import { databaseUrl } from './postgres-settings.ts'

// An initdb takes a second, and five on a machine that is busy with other tests.
vi.setConfig({ testTimeout: 60_000 })

const run = promisify(execFile)
const isRoot = process.getuid?.() === 0

let dataDir: string
let port: number
beforeEach(async () => {
  // As root in a place that every account can get to, whatever TMPDIR is.
  dataDir = await mkdtemp(join(isRoot ? '/var/tmp' : tmpdir(), 'cloudapi2-test-'))
  port = (await choosePort({ name: 'port', wanted: 0, explicit: false })).port
})
afterEach(() => rm(dataDir, { recursive: true }))

const prepare = (more: Partial<Parameters<typeof preparePostgres>[0]> = {}) =>
  preparePostgres({ dataDir, port, password: 'first', durable: false, ...more })

/** Runs the server while `use` is at work. */
const whileRunning = async <T>(prepared: PreparedPostgres, use: () => Promise<T>): Promise<T> => {
  const output: string[] = []
  const child = startChild({ ...prepared.spec, onOutput: (line) => void output.push(line) })
  try {
    expect(await readyOrExit(child, prepared.spec.ready), output.join('\n')).toBeUndefined()
    return await use()
  } finally {
    await child.stop()
  }
}
const query = async (url: string, text: string) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

test('the second start finds what the first one wrote', async () => {
  const first = await prepare()
  expect(first).toMatchObject({ created: true, relocated: false, clusterDir: join(dataDir, 'postgres') })
  await whileRunning(first, () => query(first.databaseUrl, 'create table kept as select 7 as n'))
  const second = await prepare()
  expect(second).toMatchObject({ created: false, clusterDir: first.clusterDir, databaseUrl: first.databaseUrl })
  expect(await whileRunning(second, () => query(second.databaseUrl, 'select n from kept'))).toEqual([{ n: 7 }])
})

test('the cluster is its account’s only, and no password is left beside it', async () => {
  const { clusterDir } = await prepare()
  expect((await stat(clusterDir)).mode & 0o777).toBe(0o700)
  expect((await readdir(dataDir)).filter((name) => name.includes('password'))).toEqual([])
})

test('an initdb that was interrupted is done again', async () => {
  await mkdir(join(dataDir, 'postgres.unfinished', 'base'), { recursive: true })
  await writeFile(join(dataDir, 'postgres.unfinished', 'PG_VERSION'), '18\n')
  const prepared = await prepare()
  expect(prepared.created).toBe(true)
  expect(await whileRunning(prepared, () => query(prepared.databaseUrl, 'select 1 as n'))).toEqual([{ n: 1 }])
})

test('a folder with something else in it is left alone', async () => {
  await mkdir(join(dataDir, 'postgres'))
  await writeFile(join(dataDir, 'postgres', 'precious'), '')
  await expect(prepare()).rejects.toMatchObject({ code: 'POSTGRES_INIT_FAILED', retryable: false })
  expect(await readdir(join(dataDir, 'postgres'))).toEqual(['precious'])
})

test('data of another major version is refused, saying which', async () => {
  const { clusterDir } = await prepare()
  await writeFile(join(clusterDir, 'PG_VERSION'), '16\n')
  await expect(prepare()).rejects.toMatchObject({
    code: 'POSTGRES_VERSION_MISMATCH',
    message: expect.stringMatching(/PostgreSQL 16.*18\./),
  })
})

test('another password than the cluster was made with is said at once', async () => {
  await prepare()
  const { spec } = await prepare({ password: 'second' })
  const child = startChild(spec)
  await expect(readyOrExit(child, spec.ready)).rejects.toMatchObject({
    code: 'POSTGRES_PASSWORD_REFUSED',
    message: expect.not.stringContaining('second'),
  })
  await child.stop()
})

test.skipIf(process.platform !== 'linux')(
  'a pid file whose number belongs to another program is no obstacle',
  async () => {
    const first = await prepare()
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
      stdio: 'ignore',
      ...(isRoot ? { uid: first.spec.uid, gid: first.spec.gid, cwd: '/' } : {}),
    })
    onTestFinished(() => void other.kill('SIGKILL'))
    await writeFile(
      join(first.clusterDir, 'postmaster.pid'),
      `${other.pid}\n${first.clusterDir}\n1700000000\n${port}\n\n127.0.0.1\n`,
    )
    const second = await prepare()
    expect(await whileRunning(second, () => query(second.databaseUrl, 'select 1 as n'))).toEqual([{ n: 1 }])
  },
)

test('a data folder deeper than a socket’s path may be long works', async () => {
  const deep = join(dataDir, 'd'.repeat(100), 'e'.repeat(100))
  await mkdir(deep, { recursive: true })
  // As root: or the data would lie elsewhere, at a short path.
  for (const folder of [dataDir, dirname(deep)]) await chmod(folder, 0o755)
  const prepared = await prepare({ dataDir: deep })
  expect(prepared.clusterDir).toBe(join(deep, 'postgres'))
  expect(await whileRunning(prepared, () => query(prepared.databaseUrl, 'select 1 as n'))).toEqual([{ n: 1 }])
})

test('what is special in a URL is escaped', () =>
  expect(databaseUrl({ superuser: 'a', password: 'p@s:/?#%', port: 1, database: 'b' })).toBe(
    'postgres://a:p%40s%3A%2F%3F%23%25@127.0.0.1:1/b',
  ))

test('a POSTGRES_HOME without PostgreSQL is an error that names it', () =>
  expect(resolvePostgres({ POSTGRES_HOME: dataDir })).rejects.toMatchObject({
    code: 'POSTGRES_NOT_FOUND',
    message: expect.stringContaining(dataDir),
  }))

describe('the package', () => {
  let copy: PostgresBinaries
  beforeEach(async () => {
    const binaries = await resolvePostgres({})
    copy = { ...binaries, nativeDir: join(dataDir, 'native') }
    for (const folder of ['bin', 'lib', 'share'])
      await cp(join(binaries.nativeDir, folder), join(copy.nativeDir, folder), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (source) => !source.endsWith('.a'),
      })
    await cp(join(binaries.nativeDir, 'pg-symlinks.json'), join(copy.nativeDir, 'pg-symlinks.json'))
  })
  const versions = (env: Record<string, string>) =>
    Promise.all(
      ['postgres', 'initdb'].map(async (name) => {
        const { stdout } = await run(join(copy.nativeDir, 'bin', name), ['--version'], { env })
        return stdout.trim()
      }),
    )

  test.skipIf(process.platform !== 'linux')('without its libraries’ links is mended by a folder of links', async () => {
    const links: { target: string }[] = JSON.parse(await readFile(join(copy.nativeDir, 'pg-symlinks.json'), 'utf8'))
    for (const { target } of links) if (existsSync(join(dataDir, target))) await unlink(join(dataDir, target))
    await expect(versions({})).rejects.toThrow('error while loading shared libraries')
    const path = await libraryPath(copy, join(dataDir, 'links'))
    expect(await versions({ LD_LIBRARY_PATH: path ?? '' })).toEqual([
      `postgres (PostgreSQL) ${copy.version}`,
      `initdb (PostgreSQL) ${copy.version}`,
    ])
    // Again, as at every start.
    expect(await libraryPath(copy, join(dataDir, 'links'))).toBe(path)
  })

  test.skipIf(!isRoot)('where the database’s account cannot get is copied to where it can', async () => {
    const account = { name: 'nobody', uid: 65_534, gid: 65_534 }
    await chmod(dataDir, 0o700)
    await appendFile(join(copy.nativeDir, 'bin', 'postgres'), 'x') // other binaries than those of this clone
    const reachable = await reachableBinaries(copy, account)
    onTestFinished(() => rm(reachable.nativeDir, { recursive: true }))
    expect(reachable.nativeDir).not.toBe(copy.nativeDir)
    const { stdout } = await run(join(reachable.nativeDir, 'bin', 'postgres'), ['--version'], {
      uid: account.uid,
      gid: account.gid,
      cwd: '/',
    })
    expect(stdout).toContain(copy.version)
    expect((await reachableBinaries(copy, account)).nativeDir).toBe(reachable.nativeDir)
  })
})

describe.skipIf(!isRoot)('as root', () => {
  test('the server is another user, and only that user can pass through the data folder', async () => {
    const { runsAs, clusterDir, spec } = await prepare()
    expect(runsAs).toBeDefined()
    const folder = await stat(dataDir)
    expect([folder.uid, folder.gid, folder.mode & 0o777]).toEqual([0, spec.gid, 0o710])
    expect((await stat(clusterDir)).uid).toBe(spec.uid)
  })

  describe('where that user cannot get to the data folder', () => {
    let inside: string
    beforeEach(async () => {
      inside = join(dataDir, 'closed', 'data')
      await mkdir(inside, { recursive: true })
      await chmod(join(dataDir, 'closed'), 0o700)
    })

    test('the data lies elsewhere, and the folder remembers where', async () => {
      const first = await prepare({ dataDir: inside })
      const home = dirname(first.clusterDir)
      onTestFinished(() => rm(home, { recursive: true }))
      expect(first).toMatchObject({ relocated: true, created: true })
      expect(first.clusterDir.startsWith(inside)).toBe(false)
      await whileRunning(first, () => query(first.databaseUrl, 'create table kept as select 7 as n'))

      // Even when the folder has become reachable since.
      await chmod(join(dataDir, 'closed'), 0o755)
      await chmod(dataDir, 0o755)
      const second = await prepare({ dataDir: inside })
      expect(second).toMatchObject({ relocated: true, created: false, clusterDir: first.clusterDir })
      expect(await whileRunning(second, () => query(second.databaseUrl, 'select n from kept'))).toEqual([{ n: 7 }])
    })

    test('a data folder that was deleted and made again starts empty, and the old data is kept', async () => {
      const first = await prepare({ dataDir: inside })
      const home = dirname(first.clusterDir)
      onTestFinished(() => rm(home, { recursive: true }))
      await rm(inside, { recursive: true })
      await mkdir(inside, { mode: 0o700 })
      const second = await prepare({ dataDir: inside, password: 'second' })
      expect(second).toMatchObject({ created: true, clusterDir: first.clusterDir })
      expect((await readdir(home)).filter((name) => name.startsWith('postgres-before-'))).toHaveLength(1)
    })

    test('a folder somebody else has put in that place is not trusted', async () => {
      const { clusterDir } = await prepare({ dataDir: inside })
      const home = dirname(clusterDir)
      onTestFinished(() => rm(home, { recursive: true }))
      await chmod(home, 0o777)
      await expect(prepare({ dataDir: inside })).rejects.toMatchObject({ code: 'DATA_DIR_NOT_WRITABLE' })
    })
  })
})
