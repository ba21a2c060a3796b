import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseRedrive } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import {
  applyTopology,
  COMMANDS,
  type Consumer,
  connectNats,
  consumeEach,
  createPublisher,
  type DeadLetters,
  type Nats,
  openDeadLetters,
  type Publisher,
} from '@cloudapi2/nats'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

/** Facts take longer on a busy machine than the second that Vitest waits by itself. */
const waitFor = <T>(fact: () => T | Promise<T>, options: { timeout?: number; interval?: number } = {}) =>
  vi.waitFor(fact, { timeout: 20_000, ...options })

// The built one: what a user runs (`npm run build`).
const CLI = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const ONE = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b9242a58-4f5d-494c-8a74-45f8cee150e6'
const silent = { info: () => {}, warn: () => {}, error: () => {} }

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let publisher: Publisher
let letters: DeadLetters
let worker: Consumer
let dataDir: string
const taken: { id: string; redrive: ReturnType<typeof parseRedrive> }[] = []

beforeAll(async () => {
  server = await startNats({})
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 2_000 })
  letters = openDeadLetters(nats)
  worker = await consumeEach({
    nats,
    log: silent,
    publisher,
    service: 'test',
    stream: COMMANDS,
    durable: 'test',
    filterSubjects: ['cmd.>'],
    concurrency: 1,
    handler: async ({ data, header }) => {
      taken.push({ id: JSON.parse(Buffer.from(data).toString()).id, redrive: parseRedrive(header('Redrive')) })
      return { kind: 'ack' }
    },
  })
  dataDir = mkdtempSync(join(tmpdir(), 'cloudapi2-dlq-'))
  writeFileSync(join(dataDir, 'runtime.json'), JSON.stringify({ nats_url: server.url }))
})
afterAll(async () => {
  await worker?.stop()
  publisher?.close()
  await nats?.close()
  await server?.stop()
  if (dataDir !== undefined) rmSync(dataDir, { recursive: true, force: true })
})
beforeEach(async () => {
  taken.length = 0
  for (let page = await letters.page({}); page.letters.length > 0; page = await letters.page({}))
    for (const { id } of page.letters) await letters.remove(id)
})

/** Runs the command as a script would: no terminal, output and remarks apart. */
const dlq = (args: string[], env: Record<string, string> = {}) =>
  new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = spawn(process.execPath, [CLI, 'dlq', ...args], {
      env: { ...process.env, NATS_URL: '', DATA_DIR: dataDir, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.on('close', (code) => resolve({ code, out, err }))
  })

let count = 0
interface Given {
  company?: string
  code?: string
  service?: string
  stream?: string
  body?: string
  id?: string
}
const publishLetter = (given: Given): Promise<void> => {
  const { company = ONE, code = '131047', service = 'sender', stream = COMMANDS } = given
  const id = given.id ?? `c-${++count}`
  const message = { type: 'text', text: 'Confidential words' }
  return publisher.publish({
    subject: `dlq.${service}.${company}`,
    msgId: `${++count}`,
    data: given.body ?? JSON.stringify({ id, channel: 'whatsapp', to: '34608684495', message }),
    headers: {
      Code: code,
      Reason: 'Re-engagement message',
      Attempts: '1',
      Stream: stream,
      Sequence: '7',
      Subject: `cmd.send.${company}.whatsapp`,
    },
  })
}
/** Gives something up, and returns the id of its dead letter. */
const giveUp = async (given: Given = {}): Promise<number> => {
  await publishLetter(given)
  return (await letters.page({ order: 'newest', limit: 1 })).letters[0]?.id as number
}

describe('cloudapi dlq list', () => {
  test('shows a table with no content of the messages', async () => {
    const id = await giveUp({ id: 'invoice-7' })
    const { code, out, err } = await dlq(['list'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const [titles, row, ...rest] = out.trimEnd().split('\n')
    expect(titles).toMatch(/^ID +GIVEN UP +SERVICE +COMPANY +CODE +ATTEMPTS +COMMAND +REASON$/)
    expect(row).toMatch(new RegExp(`^${id} +.* sender +${ONE} +131047 +1 +invoice-7 +Re-engagement message$`))
    expect(rest).toEqual([])
    expect(out).not.toMatch(/Confidential|34608684495/)
  })
  test('gives scripts one array, or a line each', async () => {
    const ids = [await giveUp(), await giveUp(), await giveUp()]
    const json = await dlq(['list', '-o', 'json', '--newest', '--limit', '2'])
    expect(JSON.parse(json.out).map(({ id }: { id: number }) => id)).toEqual([ids[2], ids[1]])
    expect(Object.keys(JSON.parse(json.out)[0])).toEqual([
      'id',
      'service',
      'company_id',
      'code',
      'reason',
      'attempts',
      'failed_at',
      'command_id',
      'stream',
      'sequence',
    ])
    const lines = await dlq(['list', '-o', 'ndjson'])
    expect(
      lines.out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).id),
    ).toEqual(ids)
    expect((await dlq(['list', '-o', 'json', '--code', 'NONE'])).out).toBe('[]\n')
  })
  test('goes beyond a page, and says when there is more than was asked for', async () => {
    await Promise.all(Array.from({ length: 450 }, () => publishLetter({})))
    const all = await dlq(['list', '-o', 'ndjson', '--limit', '1000'])
    expect(all.out.trimEnd().split('\n')).toHaveLength(450)
    const some = await dlq(['list', '--limit', '3'])
    expect(some.out.trimEnd().split('\n')).toHaveLength(4)
    expect(some.err).toContain('--limit')
  })
  test('takes what is asked for only', async () => {
    const mine = await giveUp({ code: '131026' })
    const theirs = await giveUp({ company: OTHER })
    const event = await giveUp({ service: 'projector', stream: 'EVENTS' })
    const found = async (...args: string[]) =>
      JSON.parse((await dlq(['list', '-o', 'json', ...args])).out).map(({ id }: { id: number }) => id)
    expect(await found('--company', OTHER)).toEqual([theirs])
    expect(await found('--service', 'projector')).toEqual([event])
    expect(await found('--code', '131026')).toEqual([mine])
    expect(await found('--since', '1h')).toEqual([mine, theirs, event])
    expect(await found('--until', '1h')).toEqual([])
  })
  test('says on standard error that there are none', async () => {
    expect(await dlq(['list'])).toEqual({ code: 0, out: '', err: 'no dead letters\n' })
  })
  test('shows nothing that would move the cursor', async () => {
    await giveUp({ id: 'c-1', code: 'A\u001b[2J' })
    expect((await dlq(['list'])).out).not.toContain('\u001b')
  })
})

describe('cloudapi dlq show', () => {
  test('shows the whole command to whoever asks for it', async () => {
    const id = String(await giveUp({ id: 'invoice-8' }))
    const shown = await dlq(['show', id])
    expect(shown.code).toBe(0)
    for (const part of ['invoice-8', '131047', 'Confidential words', '34608684495']) expect(shown.out).toContain(part)
    const [whole] = JSON.parse((await dlq(['show', id, '-o', 'json'])).out)
    expect(whole).toMatchObject({ id: Number(id), headers: { Code: '131047' }, body: { id: 'invoice-8' } })
  })
  test('ends with 3 when there is none', async () => {
    const { code, out, err } = await dlq(['show', '999999'])
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toContain('DEAD_LETTER_NOT_FOUND')
  })
})

describe('cloudapi dlq redrive', () => {
  test('gives commands back to their worker', async () => {
    const [one, two] = [await giveUp({ id: 'one' }), await giveUp({ id: 'two' })]
    const { code, out } = await dlq(['redrive', String(one), String(two), '-o', 'json'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual([
      { id: one, outcome: 'redriven', command_id: 'one' },
      { id: two, outcome: 'redriven', command_id: 'two' },
    ])
    await waitFor(() => expect(taken).toHaveLength(2))
    expect(taken.map(({ redrive }) => redrive?.dead_letter)).toEqual([one, two])
    expect((await letters.page({})).letters).toEqual([])
  })
  test('tells why of those that it cannot, does the others, and ends with 1', async () => {
    const [broken, uncertain] = [await giveUp({ body: '{' }), await giveUp({ code: 'SEND_UNCERTAIN' })]
    const [event, good] = [await giveUp({ stream: 'EVENTS', service: 'projector' }), await giveUp()]
    const ids = [broken, uncertain, event, good].map(String)
    const { code, out } = await dlq(['redrive', ...ids, '999999', '-o', 'json'])
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject([
      { id: broken, outcome: 'refused', code: 'DEAD_LETTER_NOT_REDRIVABLE' },
      { id: uncertain, outcome: 'refused', code: 'DEAD_LETTER_UNCERTAIN' },
      { id: event, outcome: 'refused', code: 'DEAD_LETTER_NOT_REDRIVABLE' },
      { id: good, outcome: 'redriven' },
      { id: 999999, outcome: 'not_found' },
    ])
    const forced = await dlq(['redrive', String(uncertain), '--force'])
    expect(forced).toMatchObject({ code: 0, err: '1 redriven\n' })
    await waitFor(() => expect(taken.at(-1)?.redrive).toMatchObject({ dead_letter: uncertain, force: true }))
  })
  test('of all takes those of the sender that the filters leave', async () => {
    const kept = [await giveUp({ company: OTHER }), await giveUp({ service: 'projector', stream: 'EVENTS' })]
    for (let n = 0; n < 3; n++) await giveUp()
    expect(await dlq(['redrive', '--all', '--company', ONE])).toMatchObject({ code: 0, err: '3 redriven\n' })
    expect((await letters.page({})).letters.map(({ id }) => id)).toEqual(kept)
  })
  test('of many wants somebody’s consent, and does nothing without', async () => {
    for (let n = 0; n < 11; n++) await giveUp()
    const refused = await dlq(['redrive', '--all'])
    expect(refused.code).toBe(2)
    expect(refused.err).toMatch(/Redrive 11 dead letters\?.*--yes.*CONFIRMATION_NEEDED/)
    expect(taken).toEqual([])
    expect(await dlq(['redrive', '--all', '--yes'])).toMatchObject({ code: 0, err: '11 redriven\n' })
  })
  test.each([
    ['nothing', []],
    ['ids and --all', ['1', '--all']],
    ['ids and filters', ['1', '--company', ONE]],
    ['a company that is none', ['--all', '--company', 'solvify']],
    ['an id that is none', ['x']],
  ])('of %s is a mistake in the call', async (_name, args) => {
    const { code, err } = await dlq(['redrive', ...args])
    expect(code).toBe(2)
    expect(err).not.toBe('')
  })
  test('of nothing but what is gone ends with 3', async () => {
    expect((await dlq(['redrive', '999999'])).code).toBe(3)
  })
})

describe('cloudapi dlq discard', () => {
  test('removes for good, and wants consent', async () => {
    const id = String(await giveUp())
    const refused = await dlq(['discard', id])
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('CONFIRMATION_NEEDED')
    expect(await letters.get(Number(id))).toBeDefined()
    expect(await dlq(['discard', id, '--yes'])).toMatchObject({ code: 0, err: '1 discarded\n' })
    expect(await letters.get(Number(id))).toBeUndefined()
    expect((await dlq(['discard', id, '--yes'])).code).toBe(3)
  })
})

describe('cloudapi', () => {
  test('ends with 4 when nobody answers, and says where it looked', async () => {
    const nobody = await dlq(['list'], { NATS_URL: 'nats://user:secret@127.0.0.1:1' })
    expect(nobody.code).toBe(4)
    expect(nobody.err).toMatch(/NATS_URL.*NATS_UNREACHABLE/)
    expect(nobody.err).not.toContain('secret')
    const nowhere = await dlq(['list'], { DATA_DIR: join(dataDir, 'nowhere') })
    expect(nowhere.code).toBe(4)
    expect(nowhere.err).toContain('NO_INSTALLATION')
  })
  test.each([
    [['--help']],
    [['list', '--help']],
    [['show', '--help']],
    [['redrive', '--help']],
    [['discard', '--help']],
  ])('%j explains itself', async (args) => {
    const { code, out, err } = await dlq(args)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('Usage: cloudapi dlq')
    if (args.length > 1) expect(out).toMatch(/Examples:\n {2}\$ cloudapi dlq/)
  })
  test('names --help when it is called wrongly', async () => {
    for (const args of [
      ['lst'],
      ['list', '--limt', '3'],
      ['list', '--since', 'yesterday'],
      ['list', '-o', 'xml'],
      [],
    ]) {
      const { code, out, err } = await dlq(args)
      expect({ code, out }, args.join(' ')).toEqual({ code: 2, out: '' })
      expect(err).toContain('help')
    }
  })
})
