import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ErrorType } from '@eventstore/db-client'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connect, event, events, numbersOf, startServer, temporaryFolder } from './eventstore-server.rig.ts'

const allOf = async (client: ReturnType<typeof connect>) => {
  const found: unknown[] = []
  for await (const { event } of client.readAll()) found.push(event)
  return found
}

test('everything is there again after a restart, at the places and times it had', async () => {
  const dir = temporaryFolder()
  const first = await startServer({ dir })
  const client = connect(first.url)
  await client.appendToStream('orders-1', events(3))
  await client.appendToStream('orders-2', events(2))
  await client.setStreamMetadata('orders-1', { maxCount: 2 })
  await client.deleteStream('orders-2')
  await client.tombstoneStream('orders-3')
  const before = await allOf(client)
  await first.stop()

  const second = connect((await startServer({ dir, port: first.port })).url)
  expect(await allOf(second)).toEqual(before)
  expect(await numbersOf(second, 'orders-1')).toEqual([1, 2])
  await expect(numbersOf(second, 'orders-2')).rejects.toMatchObject({ type: ErrorType.STREAM_NOT_FOUND })
  await expect(numbersOf(second, 'orders-3')).rejects.toMatchObject({ type: ErrorType.STREAM_DELETED })
  expect((await second.appendToStream('orders-1', event(3))).nextExpectedRevision).toBe(3n)
})

test('a restart forgets the ids: a repeat with any is stored again, with a revision it is not', async () => {
  const dir = temporaryFolder()
  const first = await startServer({ dir })
  const written = event(1)
  await connect(first.url).appendToStream('orders-1', written)
  await first.kill()
  const client = connect((await startServer({ dir })).url)
  await client.appendToStream('orders-1', written, { expectedRevision: 'no_stream' })
  expect(await numbersOf(client, 'orders-1')).toEqual([1])
  await client.appendToStream('orders-1', written)
  expect(await numbersOf(client, 'orders-1')).toEqual([1, 1])
})

test('an append cut off in the middle of the file is gone as a whole, and the next one stands in its place', async () => {
  const dir = temporaryFolder()
  const first = await startServer({ dir })
  await connect(first.url).appendToStream('orders-1', events(2))
  await first.stop()
  const file = join(dir, 'events.jsonl')
  const [line = ''] = readFileSync(file, 'utf8').split('\n')
  appendFileSync(file, line.slice(0, line.length / 2))
  const second = await startServer({ dir })
  const client = connect(second.url)
  expect(await numbersOf(client, 'orders-1')).toEqual([0, 1])
  await client.appendToStream('orders-1', event(2))
  await second.stop()
  expect(await numbersOf(connect((await startServer({ dir })).url), 'orders-1')).toEqual([0, 1, 2])
})

test('killed, the server breaks every connection off; the client finds the next one at the same address', async () => {
  const dir = temporaryFolder()
  const first = await startServer({ dir })
  const client = connect(first.url)
  await client.appendToStream('orders-1', event(0))
  const subscription = client.subscribeToStream('orders-1')
  const failed = new Promise((resolve) => subscription.once('error', resolve))
  await new Promise((resolve) => subscription.once('data', resolve))
  await first.kill()
  expect(await failed).toBeInstanceOf(Error)
  await startServer({ dir, port: first.port })
  expect(await numbersOf(client, 'orders-1')).toEqual([0])
})

test('a port that is taken is said so', async () => {
  const { port } = await startServer()
  await expect(startServer({ port })).rejects.toThrow(`port ${port}`)
})

describe('as a process of its own', () => {
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
  // What is started is what was built: from the sources as they are now.
  beforeAll(() => {
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-b', fileURLToPath(new URL('..', import.meta.url))])
  })

  const startProcess = async (env: Record<string, string>, command = ['node', main]) => {
    const [program = '', ...args] = command
    const child: ChildProcess = spawn(program, args, { env: { ...process.env, ...env }, stdio: 'pipe' })
    onTestFinished(() => void child.kill('SIGKILL'))
    if (child.stdout === null) throw new Error('its output is piped')
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    return { child, ...(JSON.parse(line) as { event: string; url: string; port: number }) }
  }

  test('it keeps, through SIGKILL, every append it has answered', async () => {
    const env = { PORT: '0', DATA_FILE: join(temporaryFolder(), 'deep', 'events.jsonl') }
    const first = await startProcess(env)
    expect(first.event).toBe('service.started')
    const client = connect(first.url)
    let answered = 0
    const writing = (async () => {
      for (;;) {
        await client.appendToStream('orders-1', event(answered))
        answered += 1
        if (answered === 50) first.child.kill('SIGKILL')
      }
    })()
    await expect(writing).rejects.toBeInstanceOf(Error)
    const second = await startProcess(env)
    const kept = await numbersOf(connect(second.url), 'orders-1')
    expect(kept.length).toBeGreaterThanOrEqual(answered)
    expect(kept).toEqual(kept.map((_, index) => index))
  })

  test('on a full disk an append is refused as a whole, and what was answered before is there', async () => {
    const env = { PORT: '0', DATA_FILE: join(temporaryFolder(), 'events.jsonl') }
    // A file of 8 KiB is all it gets: the append that crosses the line is cut off in the middle, as by a full disk.
    const full = await startProcess(env, ['bash', '-c', `ulimit -f 8; trap '' XFSZ; exec node ${main}`])
    const client = connect(full.url)
    let answered = 0
    const writing = (async () => {
      for (;;) {
        await client.appendToStream('orders-1', event(answered))
        answered += 1
      }
    })()
    await expect(writing).rejects.toMatchObject({
      type: ErrorType.UNAVAILABLE,
      message: expect.stringContaining('could not be kept'),
    })
    expect(answered).toBeGreaterThan(5)
    const numbers = Array.from({ length: answered }, (_, number) => number)
    expect(await numbersOf(client, 'orders-1')).toEqual(numbers)
    full.child.kill('SIGTERM')
    await once(full.child, 'exit')
    const second = connect((await startProcess(env)).url)
    await second.appendToStream('orders-1', event(answered))
    expect(await numbersOf(second, 'orders-1')).toEqual([...numbers, answered])
  })

  test('a port that is none is refused before anything is opened', async () => {
    const child = spawn('node', [main], { env: { ...process.env, PORT: 'http' }, stdio: 'pipe' })
    const [message] = (await once(createInterface({ input: child.stderr }), 'line')) as [string]
    expect(message).toContain('PORT: expected a number')
    expect(await once(child, 'exit')).toEqual([1, null])
  })
})
