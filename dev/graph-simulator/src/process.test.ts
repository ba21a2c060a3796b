import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildSimulator } from './app.ts'
import { type Rig, startRig, text } from './simulator.rig.ts'

describe('a newcomer', () => {
  test('is told what the simulator can do', async () => {
    const { body } = await startRig().then(async (rig) => {
      const answer = await rig.call('GET', '/simulate')
      await rig.close()
      return answer
    })
    expect(Object.keys(body.test_recipients)).toHaveLength(8)
    expect(body.simulate).toHaveProperty('POST /simulate/inbound')
  })
  test('is led to that from a wrong path', async () => {
    const app = buildSimulator()
    const { statusCode, body } = await app.inject({ url: '/nowhere' })
    expect([statusCode, body]).toEqual([404, expect.stringContaining('GET /simulate')])
    await app.close()
  })
})

test('the probes answer without any tenant', async () => {
  const app = buildSimulator()
  expect((await app.inject({ url: '/healthz' })).json()).toEqual({ status: 'ok' })
  expect((await app.inject({ url: '/readyz' })).json()).toEqual({ status: 'ready', tenants: 0 })
  await app.close()
})

describe('stopping', () => {
  let rig: Rig
  beforeEach(async () => {
    rig = await startRig()
  })
  test('does not wait for answers that are held, nor for webhooks that are due', async () => {
    await rig.call('PUT', '/simulate/timing', { hold_ms: 3_600_000, read_ms: 3_600_000, retry_first_ms: 3_600_000 })
    rig.receiver.respondWith((_, response) => response.writeHead(503).end())
    const held = rig.send(text('+34600000004')).catch((error: Error) => error)
    await rig.receiver.until(() => rig.receiver.received.length > 0)
    await rig.close()
    expect(await held).toBeInstanceOf(Error)
  })
  afterEach(() =>
    rig.close().catch((error: NodeJS.ErrnoException) => expect(error.code).toBe('ERR_SERVER_NOT_RUNNING')),
  )
})

describe('the process', () => {
  // What is started is what was built: from the sources as they are now.
  beforeAll(() => {
    const root = new URL('../../..', import.meta.url).pathname
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-b', new URL('..', import.meta.url).pathname])
  })
  const run = (env: Record<string, string>) => {
    const child = spawn(process.execPath, [new URL('../dist/main.js', import.meta.url).pathname], {
      env: { PATH: process.env.PATH ?? '', ...env },
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
    })
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk
    })
    return { child, output: () => output, ended: once(child, 'close') }
  }

  test('starts, says where, and stops on SIGTERM', async () => {
    const { child, output, ended } = run({ PORT: '0' })
    while (!output().includes('service.started')) await once(child.stdout, 'data')
    child.kill('SIGTERM')
    expect((await ended)[0]).toBe(0)
    expect(output()).toContain('service.stopped')
  })
  test('says what is wrong with its settings and ends', async () => {
    const { output, ended } = run({ PORT: 'x', LOG_LEVEL: 'y' })
    expect((await ended)[0]).toBe(1)
    expect(output()).toMatch(/^graph-simulator: PORT: .*\nLOG_LEVEL: .*\n$/)
  })
  test('says that its port is taken and ends', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const { output, ended } = run({ PORT: String(port), LOG_LEVEL: 'silent' })
    expect((await ended)[0]).toBe(1)
    expect(output()).toContain('EADDRINUSE')
    other.close()
  })
})
