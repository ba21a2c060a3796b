import { spawn } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createExportWriter, readPrivateKey, startChain } from '@cloudapi2/audit'
import { deterministicId, newEvent, type StoredEvent } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { archiveRuns, archiveStream, connectEventStore, type EventLog, jetStreamLog } from '@cloudapi2/event-log'
import { startEventStoreServer } from '@cloudapi2/eventstore-server'
import { applyTopology, connectNats, createPublisher, type Nats, type Publisher } from '@cloudapi2/nats'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

// The built one: what a user runs (`npm run build`).
const CLI = fileURLToPath(new URL('../cli/dist/main.js', import.meta.url))
const silent = { info: () => {}, warn: () => {}, error: () => {} }
const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const EVENTS = 2_000

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let publisher: Publisher
let log: EventLog
let folder: string
let key: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cloudapi2-audit-'))
  key = join(folder, 'audit-key.pem')
  server = await startNats({})
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 20_000 })
  log = jetStreamLog({ nats, publisher })
  const events = Array.from({ length: EVENTS }, (_, n) => message(n))
  for (let at = 0; at < EVENTS; at += 100) await log.append(events.slice(at, at + 100))
  expect(await audit(['keygen', '--out', key]).ended).toMatchObject({ code: 0 })
}, 120_000)
afterAll(async () => {
  publisher?.close()
  await nats?.close()
  await server?.stop()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

/** Two channels; a message now and then that the two logs do not write with the same bytes. */
const message = (n: number): StoredEvent =>
  newEvent({
    id: deterministicId('test', String(n)),
    source: '/test',
    type: 'message.created',
    subject: `wamid.${n}`,
    time: new Date(Date.UTC(2026, 10, 1, 0, 0, n)).toISOString(),
    companyId: COMPANY,
    channel: n % 7 === 0 ? 'system' : 'whatsapp',
    recordedTime: new Date(Date.UTC(2026, 10, 1, 0, 0, n)).toISOString(),
    data: {
      message_id: `wamid.${n}`,
      direction: 'inbound',
      kind: 'text',
      status: 'received',
      text: `number ${n} `.repeat(20),
      raw: { 10: 'ten', 9: 'nine', lone: '\ud800', nul: '\u0000', number: -0 },
    },
  })

/** Runs the command as a script would: a process of its own. */
const audit = (args: string[], env: Record<string, string> = {}) => {
  const child = spawn(process.execPath, [CLI, 'audit', ...args], {
    env: { ...process.env, NATS_URL: server.url, DATA_DIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<{ code: number | null; signal: string | null; out: string; err: string }>((resolve) => {
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.on('close', (code, signal) => resolve({ code, signal, out, err }))
  })
  return { child, ended }
}
const linesOf = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n')
const exportTo = (name: string, ...args: string[]) => {
  const file = join(folder, name)
  return { file, ...audit(['export', '--company', COMPANY, '--key', key, ...args, file]) }
}

test('an export is whole, and names the line where a byte of it was flipped, a line taken out or put in', async () => {
  const { file, ended } = exportTo('all.ndjson')
  expect(await ended).toMatchObject({ code: 0, err: '' })
  expect(await audit(['verify', file]).ended).toMatchObject({
    code: 0,
    out: expect.stringContaining(`${EVENTS} events`),
  })
  const lines = linesOf(file)
  const changed = async (what: string) => {
    writeFileSync(file, what)
    const { code, out, err } = await audit(['verify', file, '-o', 'ndjson']).ended
    expect(err).toBe('')
    const [{ kind, line }] = JSON.parse(out).faults
    return { code, kind, line }
  }
  const text = (all: readonly string[]) => `${all.join('\n')}\n`
  const flipped = (lines[1_233] as string).replace('number', 'nvmber')
  expect(await changed(text(lines.with(1_233, flipped)))).toEqual({ code: 1, kind: 'changed', line: 1_234 })
  expect(await changed(text(lines.toSpliced(1_233, 1)))).toEqual({ code: 1, kind: 'dropped', line: 1_234 })
  const copied = lines[5] as string
  expect(await changed(text(lines.toSpliced(1_233, 0, copied)))).toEqual({ code: 1, kind: 'added', line: 1_234 })
  expect(await changed(text(lines).slice(0, -200))).toEqual({ code: 1, kind: 'cut_off', line: EVENTS + 2 })
})

test('an export that is stopped leaves nothing that bears its name, and one that is killed neither', async () => {
  const begun = (name: string) =>
    vi.waitFor(() => expect(readdirSync(folder).filter((file) => file.startsWith(name))).not.toEqual([]), {
      timeout: 20_000,
      interval: 1,
    })
  const stopped = exportTo('stopped')
  await begun('stopped')
  stopped.child.kill('SIGTERM')
  const { code, err } = await stopped.ended
  // It may have been done before it heard of it.
  if (code === 0) expect(linesOf(stopped.file)).toHaveLength(EVENTS + 2)
  else {
    expect(err).toContain('AUDIT_INTERRUPTED')
    expect(readdirSync(folder).filter((file) => file.startsWith('stopped'))).toEqual([])
  }

  const killed = exportTo('killed')
  await begun('killed')
  killed.child.kill('SIGKILL')
  await killed.ended
  const left = readdirSync(folder).filter((file) => file.startsWith('killed'))
  if (left.includes('killed')) expect(linesOf(killed.file)).toHaveLength(EVENTS + 2)
  else expect(left).toEqual([expect.stringMatching(/^killed\.[0-9a-f]{8}\.partial$/)])
})

test('an export that finds no room is told so, leaves nothing, and does not touch what it was to replace', async () => {
  const file = join(folder, 'full')
  writeFileSync(file, 'earlier')
  // A file of this process may not be larger than 64 KiB; to a program it is as if the disk were full.
  const command = 'ulimit -f 64; exec "$@"'
  const args = [process.execPath, CLI, 'audit', 'export', '--company', COMPANY, '--key', key, '--force', file]
  const child = spawn('bash', ['-c', command, 'bash', ...args], {
    env: { ...process.env, NATS_URL: server.url },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let err = ''
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(`${file} was not written`) })
  expect(err).toContain('AUDIT_NOT_WRITTEN')
  expect(readFileSync(file, 'utf8')).toBe('earlier')
  expect(readdirSync(folder).filter((name) => name.startsWith('full'))).toEqual(['full'])
})

test('both logs give the same lines and the same head', async () => {
  const archive = await startEventStoreServer()
  try {
    const copy = connectEventStore(archive.url)
    const entries: { position: number; body: Uint8Array }[] = []
    for await (const entry of log.read({ companyId: COMPANY })) entries.push(entry)
    const streamOf = ({ body }: { body: Uint8Array }) =>
      archiveStream(JSON.parse(Buffer.from(body).toString()).channel, COMPANY)
    for (const run of archiveRuns(entries, streamOf)) {
      const { revision } = await copy.lastPositionIn(run.stream)
      expect(await copy.appendAt(run.stream, run.entries, revision)).toMatchObject({ kind: 'stored' })
    }
    await copy.close()

    const range = ['--from', '2026-11-01T00:05:00Z', '--to', '2026-11-01T00:20:00Z']
    const one = exportTo('one.ndjson', ...range)
    expect(await one.ended).toMatchObject({ code: 0 })
    const two = join(folder, 'two.ndjson')
    const args = ['export', '--company', COMPANY, '--key', key, '--source', 'eventstore', ...range, two]
    expect(await audit(args, { NATS_URL: '', EVENTSTORE_URL: archive.url }).ended).toMatchObject({ code: 0, err: '' })
    expect(linesOf(two).slice(1, -1)).toEqual(linesOf(one.file).slice(1, -1))
    expect(linesOf(two)).toHaveLength(15 * 60 + 2)
    const verified = await audit(['verify', two, '--against', one.file, '-o', 'ndjson']).ended
    expect(JSON.parse(verified.out)).toMatchObject({
      whole: true,
      source: 'eventstore',
      against: { agreed: 15 * 60 + 1 },
    })
  } finally {
    await archive.stop()
  }
})

test('a file of any size is verified in the memory of a few lines', async () => {
  const file = join(folder, 'large.ndjson')
  const writer = createExportWriter(
    {
      format: 'cloudapi2-audit-export',
      version: 1,
      chain: 1,
      company_id: COMPANY,
      range: {},
      source: 'jetstream',
      before: startChain(COMPANY),
      start: 'first_event',
      software: 'test',
    },
    readPrivateKey(readFileSync(key, 'utf8'), key),
  )
  const handle = openSync(file, 'wx')
  writeSync(handle, `${writer.header}\n`)
  const body = Buffer.from(JSON.stringify({ text: 'x'.repeat(100_000) }))
  for (let position = 1; position <= 4_000; position++) writeSync(handle, `${writer.line({ position, body })}\n`)
  writeSync(handle, `${writer.end(new Date().toISOString())}\n`)
  closeSync(handle)
  writeFileSync(`${file}.pub.pem`, readFileSync(join(folder, 'audit-key.pub.pem')))

  const peak = join(folder, 'peak.mjs')
  writeFileSync(peak, "process.on('exit', () => console.error('KiB:' + process.resourceUsage().maxRSS))")
  const { code, err } = await audit(['verify', file], { NODE_OPTIONS: `--import=${peak}` }).ended
  expect(code).toBe(0)
  const mebibytes = Number(/KiB:(\d+)/.exec(err)?.[1]) / 1_024
  expect(statSync(file).size).toBeGreaterThan(400e6)
  expect(mebibytes).toBeGreaterThan(10)
  expect(mebibytes).toBeLessThan(250)
})
