import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { json, type Product, type Runtime, startProduct } from './product.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** A block of code of a document, as it stands there. */
const blockOf = (path: string, language: string, containing: string): string => {
  const blocks = [...readFileSync(join(ROOT, path), 'utf8').matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
  const block = blocks.find(([, name, code]) => name === language && code?.includes(containing))
  if (block === undefined) throw new Error(`${path} has no such example`)
  return block[2] as string
}

let product: Product
let runtime: Runtime
let folder: string
beforeAll(async () => {
  // Inside the repository, so that the example finds the packages.
  folder = mkdtempSync(join(ROOT, 'node_modules/.example-'))
  product = await startProduct()
  runtime = product.runtime()
})
afterAll(async () => {
  await product?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const run = (code: string, env: Record<string, string>): Promise<{ exitCode: number | null; output: string }> => {
  const file = join(folder, 'example.mjs')
  writeFileSync(file, code)
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [file], { env: { ...process.env, ...env } })
    let output = ''
    const add = (chunk: Buffer) => {
      output += chunk
    }
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    child.on('exit', (exitCode) => resolve({ exitCode, output }))
  })
}
const standingOf = async (id: string) =>
  (await json(`${runtime.urls.sender}/commands/${id}`, { token: runtime.demo.api_key })).body

test('the example of the client sends a message and tells how it ended', async () => {
  const example = blockOf('libs/client/README.md', 'js', 'gateway.send(').replace(/console\.log\(event\..*/, '')
  const environment = { NATS_URL: runtime.nats_url, COMPANY_ID: runtime.demo.company_id }
  const { exitCode, output } = await run(example, environment)
  expect(output).toMatch(/^invoice-5523 went out as wamid\./m)
  expect(exitCode).toBe(0)
  expect(await standingOf('invoice-5523')).toMatchObject({ status: 'accepted', attempts: 1 })
  // Sent again, it is the same message.
  expect((await run(example, environment)).output).toBe(output)
  expect(await standingOf('invoice-5523')).toMatchObject({ attempts: 1 })
})

test('the example in plain NATS sends a message, hears its outcome, and reads its event', async () => {
  const { exitCode, output } = await run(blockOf('docs/plain-nats.md', 'js', 'createInbox'), {
    NATS_SERVER: runtime.nats_url.replace('nats://', ''),
    COMPANY_ID: runtime.demo.company_id,
    COMMAND_ID: 'plain-of-the-test',
  })
  expect(output).toContain('accepted for work\n')
  expect(output).toMatch(/^outcome \{"status":"accepted","command_id":"plain-of-the-test","message_id":"wamid\./m)
  expect(output).toMatch(/^event message\.created wamid\./m)
  expect(exitCode).toBe(0)
})

test('the example on the wire is confirmed, and its outcome comes', async () => {
  const [sub, , headers, body] = blockOf('docs/plain-nats.md', '', 'HPUB').split(
    /\n(?=HPUB|NATS\/1\.0|\{"id")/,
  ) as string[]
  const payload = (body as string).split('\n')[0] as string
  const [, subject, reply, headerBytes, allBytes] =
    /HPUB (\S+) (\S+) (\d+) (\d+)/.exec(blockOf('docs/plain-nats.md', '', 'HPUB')) ?? []
  const head = `${(headers as string).trim().split('\n').join('\r\n')}\r\n\r\n`
  // The numbers of the document are those of its own bytes.
  expect([head.length, head.length + payload.length].map(String)).toEqual([headerBytes, allBytes])

  const { hostname, port } = new URL(runtime.nats_url)
  const socket = connectTcp(Number(port), hostname)
  let received = ''
  const heard = new Promise<void>((resolve) =>
    socket.on('data', (chunk) => {
      received += chunk
      if (received.includes('MSG _INBOX.me.outcome')) resolve()
    }),
  )
  const own = subject?.replace('a9242a58-4f5d-494c-8a74-45f8cee150e6', runtime.demo.company_id)
  socket.write(
    `CONNECT {"verbose":false,"headers":true,"lang":"wire","version":"1"}\r\n${sub}\r\nHPUB ${own} ${reply} ${headerBytes} ${allBytes}\r\n${head}${payload}\r\n`,
  )
  await heard
  socket.destroy()
  expect(received).toMatch(/MSG _INBOX\.me\.ack 1 \d+\r\n\{"stream":"COMMANDS"/)
  expect(received).toMatch(/"status":"accepted","command_id":"wire-1"/)
})

test('the sender has its description as a page, for everybody', async () => {
  const page = await fetch(`${runtime.urls.sender}/docs`)
  expect(page.status).toBe(200)
  const assets = [...(await page.text()).matchAll(/src="([^"]+)"/g)].map(([, path]) => path as string)
  for (const path of assets) expect((await fetch(`${runtime.urls.sender}${path}`)).status, path).toBe(200)
  expect(await (await fetch(`${runtime.urls.sender}/docs/asyncapi.yaml`)).text()).toBe(
    readFileSync(join(ROOT, 'docs/asyncapi.yaml'), 'utf8'),
  )
})
