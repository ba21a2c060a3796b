import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { recordChildren } from './children-file.store.ts'
import { lockDataDir } from './data-dir.store.ts'
import { processIdentity } from './process-identity.client.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cloudapi2-test-'))
})
afterEach(() => rm(folder, { recursive: true }))

const otherProcess = (): ChildProcess & { pid: number } => {
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  onTestFinished(() => void other.kill('SIGKILL'))
  if (other.pid === undefined) throw new Error('node did not start')
  return other as ChildProcess & { pid: number }
}
const holdBy = (holder: { pid: number; identity: string | null }) =>
  writeFile(join(folder, 'lock'), JSON.stringify({ ...holder, token: 'other' }))

test('the folder is made for its owner only, and nothing but the lock is in it', async () => {
  const { dir, release } = await lockDataDir(join(folder, 'deep', 'data'))
  expect((await stat(dir)).mode & 0o777).toBe(0o700)
  expect(await readdir(dir)).toEqual(['lock'])
  await release()
  expect(await readdir(dir)).toEqual([])
})

test('a folder in use is refused with the pid of who has it, until it is released', async () => {
  const { release } = await lockDataDir(folder)
  await expect(lockDataDir(folder)).rejects.toMatchObject({
    code: 'DATA_DIR_IN_USE',
    retryable: false,
    message: expect.stringContaining(`process ${process.pid}`),
  })
  await release()
  await (await lockDataDir(folder)).release()
})

test('the lock of another living process holds', async () => {
  const { pid } = otherProcess()
  await holdBy({ pid, identity: processIdentity(pid) ?? null })
  await expect(lockDataDir(folder)).rejects.toMatchObject({ code: 'DATA_DIR_IN_USE' })
})

test('the lock of a dead process is taken over', async () => {
  const other = otherProcess()
  const holder = { pid: other.pid, identity: processIdentity(other.pid) ?? null }
  other.kill('SIGKILL')
  await once(other, 'exit')
  await holdBy(holder)
  const { release } = await lockDataDir(folder)
  expect(JSON.parse(await readFile(join(folder, 'lock'), 'utf8'))).toMatchObject({ pid: process.pid })
  expect(await readdir(folder)).toEqual(['lock'])
  await release()
})

test('so is one whose process id another program has by now', async () => {
  await holdBy({ pid: otherProcess().pid, identity: 'an earlier boot:12345' })
  await (await lockDataDir(folder)).release()
})

test('so is one that was cut short', async () => {
  await writeFile(join(folder, 'lock'), '{"pid": 1')
  await (await lockDataDir(folder)).release()
})

test('so is one whose first heir died while taking over', async () => {
  await holdBy({ pid: otherProcess().pid, identity: 'gone' })
  await writeFile(join(folder, 'lock.other'), JSON.stringify({ pid: 1, identity: 'gone', token: 'heir' }))
  const { release } = await lockDataDir(folder)
  expect(await readdir(folder)).toEqual(['lock'])
  await release()
})

test('of many that want a dead process’s folder at once, one gets it', async () => {
  for (let round = 0; round < 20; round += 1) {
    await holdBy({ pid: 1, identity: 'gone' })
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataDir(folder)))
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(won).toHaveLength(1)
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'DATA_DIR_IN_USE' })
    await won[0]?.release()
    expect(await readdir(folder)).toEqual([])
  }
})

test('children an earlier run left behind are stopped, and nobody else', async () => {
  const left = otherProcess()
  const bystander = otherProcess()
  const entry = { signal: 'SIGTERM' as const, timeoutMs: 1_000 }
  recordChildren(join(folder, 'children.json'), [
    { ...entry, name: 'nats-server', pid: left.pid, identity: processIdentity(left.pid) ?? '' },
    { ...entry, name: 'postgres', pid: bystander.pid, identity: 'an earlier boot:12345' },
  ])
  const gone = once(left, 'exit')
  const { stoppedLeftovers, release } = await lockDataDir(folder)
  expect(stoppedLeftovers).toEqual(['nats-server'])
  expect(await gone).toEqual([null, 'SIGTERM'])
  expect(processIdentity(bystander.pid)).toBeDefined()
  await release()
})

const notWritable = (words: string) => ({
  code: 'DATA_DIR_NOT_WRITABLE',
  retryable: false,
  message: expect.stringContaining(words),
})

test('a file in the place of the folder, or on the way to it, is named as the cause', async () => {
  const file = join(folder, 'file')
  await writeFile(file, '')
  await expect(lockDataDir(file)).rejects.toMatchObject(notWritable('it is a file'))
  await expect(lockDataDir(join(file, 'data'))).rejects.toMatchObject(notWritable('a part of the path is a file'))
})

test('a path that is too long is named as the cause', () =>
  expect(lockDataDir(join(folder, 'x'.repeat(300)))).rejects.toMatchObject(notWritable('the path is too long')))

test.skipIf(process.getuid?.() === 0)('missing rights are named as the cause', async () => {
  const closed = join(folder, 'closed')
  await mkdir(closed)
  await chmod(closed, 0o500)
  await expect(lockDataDir(closed)).rejects.toMatchObject(notWritable('no right to write'))
  await expect(lockDataDir(join(closed, 'data'))).rejects.toMatchObject(notWritable('no right to write'))
})

test.skipIf(process.platform !== 'linux')('a file system that takes no files is named as the cause', () =>
  expect(lockDataDir('/proc/data')).rejects.toMatchObject({ code: 'DATA_DIR_NOT_WRITABLE' }),
)
