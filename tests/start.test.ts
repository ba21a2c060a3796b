import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cloudapi, eventually, isAlive, json, newDataDir, startProduct } from './product.ts'

const folders: string[] = []
const dataDir = () => {
  const dir = newDataDir()
  folders.push(dir)
  return dir
}
afterAll(() => {
  for (const dir of folders) rmSync(dir, { recursive: true, force: true })
})

/** Everything that was written below a data folder, but the file that is meant to hold secrets, and the stores themselves. */
const logsOf = (dir: string) =>
  readdirSync(join(dir, 'logs'))
    .map((name) => readFileSync(join(dir, 'logs', name), 'utf8'))
    .join('')

describe('npm start', () => {
  let dir: string
  beforeAll(() => {
    dir = dataDir()
  })

  test('runs everything, writes down what runs where for its owner only, and stops without leaving anything', async () => {
    const product = await startProduct({ DATA_DIR: dir, DEMO_TRAFFIC: 'on' })
    const runtime = product.runtime()
    expect(statSync(join(dir, 'runtime.json')).mode & 0o777).toBe(0o600)
    for (const url of Object.values(runtime.urls)) expect((await json(`${url}/readyz`)).status, url).toBe(200)
    for (const url of Object.values(runtime.urls)) expect((await json(`${url}/healthz`)).status, url).toBe(200)
    expect(Object.keys(runtime.pids).sort()).toEqual(
      [
        'archiver',
        'graph-simulator',
        'media',
        'nats-server',
        'postgres',
        'projector',
        'sender',
        'tenant-config',
        'webhook-gateway',
      ].sort(),
    )
    // The simulated traffic is seen as rows, in both directions.
    await eventually(async () => {
      const { rows } = await product.database.query('select distinct from_me from external_messages')
      return rows.length === 2
    })
    const secrets = readFileSync(join(dir, 'secrets.json'), 'utf8').match(/"[A-Za-z0-9_+/=:-]{20,}"/g) ?? []
    expect(secrets.length).toBeGreaterThan(5)
    await product.stop()
    const logs = logsOf(dir) + product.output()
    for (const secret of secrets) expect(logs).not.toContain(secret.slice(1, -1))
    for (const [name, pid] of Object.entries(runtime.pids)) expect(isAlive(pid), name).toBe(false)
  })

  test('finds everything again on the same folder, under the same keys', async () => {
    const product = await startProduct({ DATA_DIR: dir })
    const { demo, urls } = product.runtime()
    const { rows } = await product.database.query('select count(*)::int as n from external_messages')
    expect(rows[0].n).toBeGreaterThan(0)
    expect(
      (await json(`${urls.projector}/companies/${demo.company_id}/messages`, { token: demo.api_key })).status,
    ).toBe(200)

    const second = cloudapi(['up'], { DATA_DIR: dir })
    expect(await second.exited).toBe(1)
    expect(second.output()).toContain('DATA_DIR_IN_USE')
    expect((await json(`${urls.projector}/readyz`)).status).toBe(200)
    await product.stop()
  })

  test('killed, leaves nothing running, and starts again', async () => {
    const product = await startProduct({ DATA_DIR: dir })
    const { pids } = product.runtime()
    await product.nats.close()
    await product.database.end()
    product.child.kill('SIGKILL')
    await eventually(() => Object.values(pids).every((pid) => !isAlive(pid)))
    const again = await startProduct({ DATA_DIR: dir })
    await again.stop()
  })
})

test('a default port that is taken is replaced, and said so; one that was asked for is an error', async () => {
  const squatter = createServer()
  const isFree = await new Promise<boolean>((resolve) => {
    squatter.once('error', () => resolve(false)) // somebody else has it: taken all the same
    squatter.listen(8083, '127.0.0.1', () => resolve(true))
  })
  try {
    const product = await startProduct({ PROJECTOR_PORT: undefined })
    expect(product.output()).toMatch(/port 8083 was taken; PROJECTOR_PORT is \d+/)
    expect(product.runtime().urls.projector).not.toContain(':8083')
    await product.stop()
    const stubborn = cloudapi(['up'], { DATA_DIR: dataDir(), PROJECTOR_PORT: '8083' })
    expect(await stubborn.exited).toBe(1)
    expect(stubborn.output()).toContain('PROJECTOR_PORT')
  } finally {
    if (isFree) await new Promise((resolve) => squatter.close(resolve))
  }
})

test('bad settings stop it with every fault and none of the values', async () => {
  const run = cloudapi(['up'], {
    DATA_DIR: dataDir(),
    SENDER_PORT: 'eighty',
    LOG_LEVEL: 'loud',
    ADMIN_TOKEN: 'short-secret',
    NATS_URL: 'http://x',
  })
  expect(await run.exited).toBe(78)
  for (const name of ['SENDER_PORT', 'LOG_LEVEL', 'ADMIN_TOKEN', 'NATS_URL']) expect(run.output()).toContain(name)
  for (const value of ['eighty', 'loud', 'short-secret', 'http://x']) expect(run.output()).not.toContain(value)
})

test('a data folder that is a file is refused in words', async () => {
  const file = join(dataDir(), 'file')
  writeFileSync(file, '')
  const run = cloudapi(['up'], { DATA_DIR: file })
  expect(await run.exited).toBe(1)
  expect(run.output()).toContain('DATA_DIR_NOT_WRITABLE')
})

test.each(['webhook-gateway', 'sender', 'projector', 'tenant-config', 'media'])(
  '%s started alone without its settings names every one that is missing',
  async (name) => {
    const { spawn } = await import('node:child_process')
    const main = new URL(`../services/${name}/dist/main.js`, import.meta.url).pathname
    const child = spawn(process.execPath, [main], {
      env: { PATH: process.env.PATH, LOG_LEVEL: 'loud-value' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    const code = await new Promise((resolve) => child.on('exit', resolve))
    expect(code).toBe(78)
    expect(output).toContain('NATS_URL')
    expect(output).toContain('LOG_LEVEL')
    expect(output).not.toContain('loud-value')
  },
)
