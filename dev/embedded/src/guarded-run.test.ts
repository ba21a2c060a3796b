import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { build } from 'vite'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { natsWire } from './nats-wire.contract.ts'
import { processIdentity } from './process-identity.client.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

/** Beside the build, so that it finds the guard and the packages where the build finds them. */
const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const program = `guarded-run-${randomUUID()}.mjs`
let dataDir: string

beforeAll(async () => {
  dataDir = join(await mkdtemp(join(tmpdir(), 'cloudapi2-test-')), 'data')
  await build({
    configFile: false,
    logLevel: 'error',
    ssr: { resolve: { conditions: ['source', 'node', 'module', 'default'] } },
    build: {
      ssr: fileURLToPath(new URL('./guarded-run.contract.ts', import.meta.url)),
      outDir: DIST,
      emptyOutDir: false,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: program } },
    },
  })
})
const relocatedHomes = new Set<string>()
afterAll(async () => {
  await rm(join(DIST, program))
  for (const folder of [dirname(dataDir), ...relocatedHomes]) await rm(folder, { recursive: true })
})

type Told = Record<string, unknown> & { event: string }
interface Running {
  natsPort: number
  databaseUrl: string
  clusterDir: string
  created: boolean
  relocated: boolean
  runsAs?: string
  pids: Record<string, number>
}

const startRun = (): {
  process: ChildProcess & { pid: number }
  told: (event: string) => Told[]
  running: () => Promise<Running>
} => {
  const run = spawn(process.execPath, [join(DIST, program), dataDir], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(async () => {
    if (run.exitCode !== null || run.signalCode !== null) return
    run.kill('SIGTERM')
    await once(run, 'exit')
  })
  const lines: Told[] = []
  const errors: string[] = []
  createInterface({ input: run.stdout }).on('line', (line) => lines.push(JSON.parse(line)))
  createInterface({ input: run.stderr }).on('line', (line) => errors.push(line))
  const told = (event: string) => lines.filter((line) => line.event === event)
  const running = async () => {
    await waitFor(() => expect(told('running'), JSON.stringify([lines, errors])).toHaveLength(1), {
      timeout: 20_000,
    })
    const state = told('running')[0] as unknown as Running
    if (state.relocated) relocatedHomes.add(dirname(state.clusterDir))
    return state
  }
  return { process: run as ChildProcess & { pid: number }, told, running }
}

const isRunning = (pid: number) => processIdentity(pid) !== undefined
const sql = async (url: string, text: string) => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
const request = async (port: number, subject: string, body: string) => {
  const wire = await natsWire(port)
  try {
    return await wire.request(subject, body)
  } finally {
    wire.close()
  }
}
const killAndWait = async ({ process: run }: { process: ChildProcess }) => {
  run.kill('SIGKILL')
  await once(run, 'exit')
}

test('whatever is killed, the data stays, and nothing is left running', async () => {
  const first = startRun()
  const { pids, natsPort, databaseUrl, clusterDir, created, runsAs } = await first.running()
  expect(created).toBe(true)
  expect(existsSync(join(clusterDir, 'PG_VERSION'))).toBe(true)
  if (process.getuid?.() === 0) {
    expect(runsAs).toBeDefined()
    const status = await readFile(`/proc/${pids.postgres}/status`, 'utf8')
    expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).not.toBe('0')
  }
  await sql(databaseUrl, 'create table kept (n int); insert into kept values (1)')
  await request(natsPort, '$JS.API.STREAM.CREATE.KEPT', JSON.stringify({ name: 'KEPT', subjects: ['kept'] }))
  expect(await request(natsPort, 'kept', 'one')).toMatchObject({ seq: 1 })

  // A second run on the same folder says who has it.
  const second = startRun()
  const [code] = await once(second.process, 'exit')
  expect(code).toBe(1)
  expect(second.told('failed')).toMatchObject([
    { code: 'DATA_DIR_IN_USE', message: expect.stringContaining(String(first.process.pid)) },
  ])

  // Each server killed: back on its port with its data, by itself.
  for (const name of ['nats-server', 'postgres']) {
    const before = first.told('child.ready').length
    process.kill(pids[name] ?? 0, 'SIGKILL')
    await waitFor(() => expect(first.told('child.ready').length).toBe(before + 1), { timeout: 10_000 })
    expect(first.told('child.died').at(-1)).toMatchObject({ child: name, signal: 'SIGKILL' })
  }
  expect(await sql(databaseUrl, 'select n from kept')).toEqual([{ n: 1 }])
  expect(await request(natsPort, 'kept', 'two')).toMatchObject({ seq: 2 })
  const now = first.told('pids').at(-1)?.pids as Record<string, number>
  expect(Object.keys(now).sort()).toEqual(['nats-server', 'postgres'])

  // A Ctrl-C reaches the run and none of its children.
  first.process.kill('SIGINT')
  await waitFor(() => expect(first.told('interrupted')).toHaveLength(1))
  expect(Object.values(now).every(isRunning)).toBe(true)

  // The run itself killed: the guard stops both.
  await killAndWait(first)
  await waitFor(() => expect(Object.values(now).filter(isRunning)).toEqual([]), { timeout: 15_000 })

  // The run and its guard killed: the next run stops what is left, and has the data.
  const third = startRun()
  const { pids: left } = await third.running()
  expect(third.told('running')[0]).toMatchObject({ created: false, clusterDir })
  const { stdout } = await promisify(execFile)('pgrep', ['-P', String(third.process.pid), '-f', 'guard.mjs'])
  third.process.kill('SIGSTOP') // or it would replace the guard
  process.kill(Number(stdout), 'SIGKILL')
  await killAndWait(third)
  expect(Object.values(left).every(isRunning)).toBe(true)
  const fourth = startRun()
  const { pids: last } = await fourth.running()
  expect(fourth.told('locked')).toMatchObject([{ stoppedLeftovers: ['postgres', 'nats-server'] }])
  expect(Object.values(left).filter(isRunning)).toEqual([])
  expect(await sql(databaseUrl, 'select n from kept')).toEqual([{ n: 1 }])
  expect(await request(natsPort, 'kept', 'three')).toMatchObject({ seq: 3 })

  // Stopped in an orderly way: PostgreSQL first, as it was started last.
  fourth.process.kill('SIGTERM')
  await once(fourth.process, 'exit')
  expect(
    fourth
      .told('pids')
      .slice(-2)
      .map(({ pids }) => Object.keys(pids as object)),
  ).toEqual([['nats-server'], []])
  expect(Object.values(last).filter(isRunning)).toEqual([])
}, 90_000)

test('a guard that is killed is replaced, and the new one knows the children', async () => {
  const run = startRun()
  const { pids } = await run.running()
  const guardOf = async () => {
    const { stdout } = await promisify(execFile)('pgrep', ['-P', String(run.process.pid), '-f', 'guard.mjs'])
    return Number(stdout)
  }
  const guard = await guardOf()
  process.kill(guard, 'SIGKILL')
  await waitFor(async () => expect(await guardOf()).not.toBe(guard), { timeout: 5_000 })
  await killAndWait(run)
  await waitFor(() => expect(Object.values(pids).filter(isRunning)).toEqual([]), { timeout: 15_000 })
})
