import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { processIdentity } from './process-identity.client.ts'
import { createSupervisor, type SupervisedSpec, type Supervisor } from './supervisor.client.ts'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

type Line = Record<string, unknown>
let lines: Line[]
let supervisor: Supervisor
let folder: string
let childrenFile: string
let pidChanges: Record<string, number>[]

beforeEach(async () => {
  lines = []
  pidChanges = []
  folder = await mkdtemp(join(tmpdir(), 'cloudapi2-test-'))
  childrenFile = join(folder, 'children.json')
  const write = (line: Line) => void lines.push(line)
  supervisor = createSupervisor({
    log: { info: write, warn: write, error: write },
    onPidChange: (pids) => void pidChanges.push(pids),
    childrenFile,
  })
})
afterEach(async () => {
  await supervisor.stopAll()
  await rm(folder, { recursive: true })
})

const events = (event: string) => lines.filter((line) => line.event === event)
const isRunning = (pid: number | undefined) => pid !== undefined && processIdentity(pid) !== undefined

/** A node program that says READY when it is, and is ready when it has said so. */
const child = (name: string, code: string, more: Partial<SupervisedSpec> = {}): SupervisedSpec => {
  let said: (() => void) | undefined
  const output: string[] = []
  return {
    name,
    command: process.execPath,
    args: ['-e', code],
    env: { PATH: process.env.PATH },
    stopTimeoutMs: 500,
    onOutput: (line) => {
      output.push(line)
      if (line === 'READY') said?.()
    },
    ready: () =>
      new Promise((resolve) => {
        said = resolve
      }),
    ...more,
  }
}
const FOREVER = 'console.log("READY"); setInterval(() => {}, 1000)'

test('a child is started, seen ready, listed, written down and stopped', async () => {
  await supervisor.start(child('one', FOREVER))
  const pid = supervisor.pids().one
  expect(isRunning(pid)).toBe(true)
  expect(events('child.ready')).toMatchObject([{ child: 'one', pid }])
  expect(JSON.parse(await readFile(childrenFile, 'utf8'))).toMatchObject([{ name: 'one', pid, signal: 'SIGTERM' }])
  await supervisor.stopAll()
  expect(isRunning(pid)).toBe(false)
  expect(supervisor.pids()).toEqual({})
  expect(pidChanges).toEqual([{ one: pid }, {}])
  expect(JSON.parse(await readFile(childrenFile, 'utf8'))).toEqual([])
})

test('a child that is killed is running again within a second, and that is reported', async () => {
  await supervisor.start(child('one', FOREVER))
  const before = supervisor.pids().one ?? 0
  const killedAt = Date.now()
  process.kill(before, 'SIGKILL')
  await waitFor(() => expect(events('child.ready')).toHaveLength(2), { timeout: 5_000 })
  expect(Date.now() - killedAt).toBeLessThan(1_000)
  expect(supervisor.pids().one).not.toBe(before)
  expect(events('child.died')).toMatchObject([{ child: 'one', pid: before, signal: 'SIGKILL', restart_in_ms: 100 }])
})

test('a child that keeps dying after it was ready is started again and again, with longer waits', async () => {
  await supervisor.start(child('one', 'console.log("READY"); setTimeout(() => process.exit(3), 20)'))
  await waitFor(() => expect(events('child.died').length).toBeGreaterThanOrEqual(4), { timeout: 10_000 })
  expect(events('child.died').slice(0, 4)).toMatchObject(
    [100, 200, 400, 800].map((restart_in_ms) => ({ code: 3, restart_in_ms })),
  )
})

test('a program that is not there fails its start at once', async () => {
  await expect(supervisor.start({ ...child('one', ''), command: '/nowhere/program' })).rejects.toMatchObject({
    code: 'CHILD_NOT_READY',
    message: expect.stringContaining('ENOENT'),
  })
  expect(supervisor.pids()).toEqual({})
})

test('a child that ends six times before it is ready fails its start, and its name is free again', async () => {
  const starts: string[] = []
  const spec = child('one', 'console.log("started"); process.exit(1)', { onOutput: (line) => void starts.push(line) })
  await expect(supervisor.start(spec)).rejects.toMatchObject({
    code: 'CHILD_NOT_READY',
    message: 'one ended with code 1 before it was ready',
  })
  expect(starts).toHaveLength(6)
  await supervisor.start(child('one', FOREVER))
})

test('a child that does not become ready in time fails its start and is not left running', async () => {
  const started = supervisor.start(child('one', 'setInterval(() => {}, 1000)', { readyTimeoutMs: 300 }))
  await expect(started).rejects.toMatchObject({ message: 'one was not ready within 300 ms' })
  expect(isRunning(pidChanges[0]?.one)).toBe(false)
  expect(pidChanges[1]).toEqual({})
})

test('children are stopped one after the other, the last one started first', async () => {
  const ends: string[] = []
  const polite = (name: string) =>
    child(name, `process.on("SIGTERM", () => setTimeout(() => process.exit(), 50)); ${FOREVER}`)
  for (const name of ['database', 'log', 'service']) await supervisor.start(polite(name))
  const order = pidChanges.length
  await supervisor.stopAll()
  for (const pids of pidChanges.slice(order)) ends.push(Object.keys(pids).join(' '))
  expect(ends).toEqual(['database log', 'database', ''])
})

test('a child that ignores the signal is killed after its time', async () => {
  await supervisor.start(child('stubborn', `process.on("SIGTERM", () => {}); ${FOREVER}`))
  const pid = supervisor.pids().stubborn
  const stoppedAt = Date.now()
  await supervisor.stopAll()
  expect(Date.now() - stoppedAt).toBeGreaterThanOrEqual(500)
  expect(isRunning(pid)).toBe(false)
})

test('output arrives line by line, of both streams', async () => {
  const output: string[] = []
  await supervisor.start(
    child(
      'one',
      'process.stdout.write("a\\nb"); process.stderr.write("c\\n"); process.stdout.write("é\\n"); setInterval(() => {}, 1000)',
      {
        onOutput: (line, stream) => void output.push(`${stream}: ${line}`),
        ready: async () => waitFor(() => expect(output).toHaveLength(3)),
      },
    ),
  )
  expect(output.sort()).toEqual(['stderr: c', 'stdout: a', 'stdout: bé'])
})

test('a Ctrl-C on the terminal does not reach a child: it has a session of its own', async () => {
  await supervisor.start(child('one', FOREVER))
  const stat = await readFile(`/proc/${supervisor.pids().one}/stat`, 'utf8')
  const [, , group, session] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  expect([group, session]).toEqual([supervisor.pids().one, supervisor.pids().one])
})

test('stopping while a child is being started ends both', async () => {
  let asked = false
  const started = supervisor.start(
    child('slow', 'setInterval(() => {}, 1000)', {
      ready: async (signal) => {
        asked = true
        await pause(60_000, undefined, { signal })
      },
    }),
  )
  const refusal = expect(started).rejects.toMatchObject({ code: 'SUPERVISOR_STOPPED' })
  await waitFor(() => expect(asked).toBe(true))
  const pid = supervisor.pids().slow
  await supervisor.stopAll()
  await refusal
  expect(isRunning(pid)).toBe(false)
  await expect(supervisor.start(child('late', FOREVER))).rejects.toMatchObject({ code: 'SUPERVISOR_STOPPED' })
})

test('two children of one name are refused', async () => {
  await supervisor.start(child('one', FOREVER))
  await expect(supervisor.start(child('one', FOREVER))).rejects.toMatchObject({ code: 'CHILD_NAME_TAKEN' })
})

test('a failing listener to pid changes is reported and does not disturb the child', async () => {
  const write = (line: Line) => void lines.push(line)
  const other = createSupervisor({
    log: { info: write, warn: write, error: write },
    onPidChange: () => {
      throw new Error('disk full')
    },
  })
  await other.start(child('one', FOREVER))
  expect(isRunning(other.pids().one)).toBe(true)
  expect(events('pids.not_reported')).toHaveLength(1)
  await other.stopAll()
})
