import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChainState, extendChain, startChain } from '@cloudapi2/audit'
import { deterministicId, GatewayError, newEvent, type StoredEvent, SYSTEM_CHANNEL } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { type EventLog, jetStreamLog } from '@cloudapi2/event-log'
import { applyTopology, connectNats, createPublisher, type Nats, type Publisher } from '@cloudapi2/nats'
import { type Command, CommanderError } from 'commander'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Ended, EXIT, exitCodeOf } from '../output/exit-codes.ts'
import { auditCommand } from './audit.handler.ts'

const silent = { info: () => {}, warn: () => {}, error: () => {} }
const ONE = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b9242a58-4f5d-494c-8a74-45f8cee150e6'

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let publisher: Publisher
let log: EventLog
let folder: string
let key: string
const ending = new AbortController()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cloudapi2-audit-'))
  server = await startNats({})
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
  log = jetStreamLog({ nats, publisher })
  key = join(folder, 'audit-key.pem')
  expect(await audit('keygen', '--out', key)).toMatchObject({ code: 0 })
  await tell(ONE)
})
afterAll(async () => {
  publisher?.close()
  await nats?.close()
  await server?.stop()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

/** Runs the command within this process; output, remarks and exit code as a script gets them. */
const audit = (...args: string[]) => auditIn({ NATS_URL: server.url }, ...args)
const auditIn = async (env: Record<string, string>, ...args: string[]) => {
  const out: string[] = []
  const err: string[] = []
  const print = (text: string) => void out.push(`${text}\n`)
  const note = (text: string) => void err.push(`${text}\n`)
  const terminal = {
    print,
    note,
    printValues: (format: string, values: readonly unknown[]) =>
      format === 'json'
        ? print(JSON.stringify(values))
        : print(values.map((value) => JSON.stringify(value)).join('\n')),
    width: undefined,
    bold: (text: string) => text,
    confirm: async () => false,
  }
  const command = auditCommand({
    env: { DATA_DIR: folder, ...env },
    terminal,
    now: Date.now,
    ended: () => ending.signal,
  })
  const tame = (one: Command): void => {
    one.exitOverride().configureOutput({ writeOut: print, writeErr: note })
    one.commands.forEach(tame)
  }
  tame(command)
  const code = await command.parseAsync(args, { from: 'user' }).then(
    () => EXIT.ok,
    (error: unknown) => {
      if (error instanceof CommanderError) return EXIT.usage
      if (error instanceof Ended) return error.exitCode
      if (!(error instanceof GatewayError)) throw error
      note(`error: ${error.message} (${error.code})`)
      return exitCodeOf(error)
    },
  )
  return { code, out: out.join(''), err: err.join('') }
}

const SECRET_WORDS = 'Confidential words'
const minute = (n: number) => new Date(Date.UTC(2026, 10, 1, 0, n)).toISOString()
const message = (companyId: string, n: number, recordedTime = minute(n)): StoredEvent =>
  newEvent({
    id: deterministicId('test', companyId, String(n)),
    source: '/test',
    type: 'message.created',
    subject: `wamid.${n}`,
    time: minute(n),
    companyId,
    channel: 'whatsapp',
    recordedTime,
    data: {
      message_id: `wamid.${n}`,
      direction: 'inbound',
      kind: 'text',
      status: 'received',
      text: `${SECRET_WORDS} ${n}`,
      raw: { 10: 'ten', 9: 'nine', lone: '\ud800', nul: '\u0000' },
    },
  })
const anchor = (companyId: string, n: number, { position, events, head }: ChainState): StoredEvent =>
  newEvent({
    id: deterministicId('anchor', companyId, String(position)),
    source: '/test',
    type: 'audit.anchored',
    subject: companyId,
    time: minute(n),
    companyId,
    channel: SYSTEM_CHANNEL,
    recordedTime: minute(n),
    data: { chain: 1, position, events, head },
  })
const chainOf = async (companyId: string): Promise<ChainState> => {
  let chain = startChain(companyId)
  for await (const entry of log.read({ companyId })) chain = extendChain(chain, entry)
  return chain
}
/** Ten messages with those of another company in between, an anchor after the fifth. */
const tell = async (companyId: string): Promise<void> => {
  for (let n = 1; n <= 10; n++) {
    await log.append([message(companyId, n), message('c9242a58-4f5d-494c-8a74-45f8cee150e6', n)])
    if (n === 5) await log.append([anchor(companyId, n, await chainOf(companyId))])
  }
}

let files = 0
const fresh = () => join(folder, `export-${++files}.ndjson`)
const linesOf = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n')
const verdictOf = async (file: string, ...args: string[]) => {
  const { code, out, err } = await audit('verify', file, '-o', 'ndjson', ...args)
  return { code, err, ...(out === '' ? {} : JSON.parse(out)) }
}
const exported = async (...args: string[]): Promise<string> => {
  const file = fresh()
  expect(await audit('export', '--company', ONE, '--key', key, ...args, file)).toMatchObject({ code: 0, err: '' })
  return file
}

describe('cloudapi audit keygen', () => {
  test('makes a pair that nobody else can read the private half of, and prints the fingerprint that openssl computes', async () => {
    const out = join(folder, 'another.pem')
    const { code, out: printed } = await audit('keygen', '--out', out, '-o', 'ndjson')
    const value = JSON.parse(printed)
    expect({ code, value }).toMatchObject({
      code: 0,
      value: { private_key: out, public_key: join(folder, 'another.pub.pem') },
    })
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const der = spawnSync('openssl', ['pkey', '-pubin', '-in', value.public_key, '-outform', 'DER'])
    expect(createHash('sha256').update(der.stdout).digest('hex')).toBe(value.fingerprint)
  })
  test('never writes over a key, private or public', async () => {
    const before = readFileSync(key, 'utf8')
    expect(await audit('keygen', '--out', key)).toMatchObject({
      code: 2,
      err: expect.stringContaining('AUDIT_FILE_EXISTS'),
    })
    expect(readFileSync(key, 'utf8')).toBe(before)
    writeFileSync(join(folder, 'half.pub.pem'), 'x')
    expect(await audit('keygen', '--out', join(folder, 'half.pem'))).toMatchObject({ code: 2 })
    expect(existsSync(join(folder, 'half.pem'))).toBe(false)
  })
})

describe('cloudapi audit export and verify', () => {
  test('write all of a company, and find it whole', async () => {
    const file = await exported()
    expect(linesOf(file)).toHaveLength(1 + 11 + 1)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const verdict = await verdictOf(file)
    expect(verdict).toMatchObject({
      code: 0,
      whole: true,
      faults: [],
      company_id: ONE,
      events: 11,
      anchors: { agreed: 1 },
    })
    expect(verdict.head).toBe((await chainOf(ONE)).head)
    expect(verdict.err).toMatch(/the key is the one beside the export/)
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([])
  })
  test('can be followed by another program: openssl knows the signature, sha256 the chain', async () => {
    const file = await exported()
    const lines = linesOf(file)
    const { head, signature } = JSON.parse(lines.at(-1) as string)
    const text = join(folder, 'signed-text')
    const bytes = join(folder, 'signature')
    writeFileSync(text, (lines.at(-1) as string).slice('{"head":'.length, -`,"signature":"${signature}"}`.length))
    writeFileSync(bytes, Buffer.from(signature, 'base64'))
    const args = ['pkeyutl', '-verify', '-pubin', '-inkey', `${file}.pub.pem`, '-rawin', '-in', text, '-sigfile', bytes]
    expect(spawnSync('openssl', args).status).toBe(0)
    let hash = createHash('sha256').update(`cloudapi2 audit chain 1\n${ONE}`).digest('hex')
    for (const line of lines.slice(1, -1)) {
      const { position } = JSON.parse(line)
      const event = line.slice(line.indexOf('"event":') + 8, -1)
      hash = createHash('sha256').update(`${hash}\n${position}\n${event}`).digest('hex')
    }
    expect(hash).toBe(head.head)
  })
  test('cover a time: from the first event recorded in it to the last, on the same chain', async () => {
    const whole = linesOf(await exported())
    const file = await exported('--from', minute(3), '--to', minute(7))
    const part = linesOf(file)
    const without = (line: string) => line.replace(/^\{"line":\d+/, '')
    // Messages 3 to 6 and the anchor.
    expect(part.slice(1, -1).map(without)).toEqual(whole.slice(3, 8).map(without))
    expect(JSON.parse(part[0] as string)).toMatchObject({
      range: { from: minute(3), to: minute(7) },
      before: { events: 2 },
    })
    expect(await verdictOf(file)).toMatchObject({ code: 0, events: 5, chain_events: 7 })
  })
  test('say which line was changed, dropped, added, moved, and that an export was cut off', async () => {
    const file = await exported()
    const lines = linesOf(file)
    const outcome = async (changed: readonly string[]) => {
      writeFileSync(file, changed.map((line) => `${line}\n`).join(''))
      const { code, faults } = await verdictOf(file)
      return [code, faults[0]?.kind, faults[0]?.line]
    }
    expect(await outcome(lines.with(3, (lines[3] as string).replace('wamid.3', 'wamid.4')))).toEqual([1, 'changed', 4])
    expect(await outcome(lines.toSpliced(3, 1))).toEqual([1, 'dropped', 4])
    expect(await outcome(lines.toSpliced(3, 0, lines[8] as string))).toEqual([1, 'added', 4])
    expect(await outcome(lines.toSpliced(3, 1).toSpliced(8, 0, lines[3] as string))).toEqual([1, 'moved', 4])
    expect(await outcome(lines.slice(0, -1))).toEqual([1, 'cut_off', 13])
    expect(await outcome(lines)).toEqual([0, undefined, undefined])
  })
  test('speak to people without a word of what was written', async () => {
    const file = await exported()
    const whole = await audit('verify', file)
    expect(whole.out).toMatch(/is whole: 11 events of company a9242a58-.*, positions \d+ to \d+/)
    truncateSync(file, statSync(file).size - 10)
    const cut = await audit('verify', file)
    expect(cut).toMatchObject({
      code: 1,
      out: expect.stringMatching(/is NOT whole\n {2}it is cut off in the middle of line 13/),
    })
    for (const { out, err } of [whole, cut]) expect(out + err).not.toMatch(new RegExp(`${SECRET_WORDS}|PRIVATE`))
  })
  test('know who signed it: another key, and a fingerprint that was noted', async () => {
    const file = await exported()
    const { key: fingerprint } = await verdictOf(file)
    expect(await verdictOf(file, '--fingerprint', fingerprint)).toMatchObject({ code: 0, err: '' })
    expect(await verdictOf(file, '--fingerprint', '0'.repeat(64))).toMatchObject({
      code: 1,
      faults: [{ kind: 'wrong_key' }],
    })
    const other = join(folder, 'other.pem')
    await audit('keygen', '--out', other)
    const wrong = await verdictOf(file, '--public-key', join(folder, 'other.pub.pem'))
    expect(wrong).toMatchObject({ code: 1, faults: [{ kind: 'wrong_key' }] })
    expect(await audit('verify', fresh())).toMatchObject({
      code: 2,
      err: expect.stringContaining('it is not there (AUDIT_FILE_UNREADABLE)'),
    })
    rmSync(`${file}.pub.pem`)
    expect(await audit('verify', file)).toMatchObject({ code: 2, err: expect.stringContaining('give --public-key') })
  })
  test('refuse what cannot be: a reversed time, nobody known, nothing recorded then, a file that is there, no key', async () => {
    const file = fresh()
    const refused = async (...args: string[]) => {
      const { code, err } = await audit('export', ...args)
      return [code, /\(([A-Z_]+)\)/.exec(err)?.[1]]
    }
    const usual = ['--company', ONE, '--key', key]
    expect(await refused(...usual, '--from', minute(3), '--to', minute(2), file)).toEqual([2, 'INVALID_OPTION'])
    expect(await refused('--company', OTHER, '--key', key, file)).toEqual([3, 'COMPANY_NOT_IN_LOG'])
    expect(await refused(...usual, '--from', '2027-01-01', file)).toEqual([3, 'AUDIT_NOTHING_IN_RANGE'])
    expect(await refused('--company', ONE, '--key', join(folder, 'audit-key.pub.pem'), file)).toEqual([
      2,
      'AUDIT_KEY_INVALID',
    ])
    expect(await refused('--company', ONE, '--key', join(folder, 'no.pem'), file)).toEqual([2, 'AUDIT_FILE_UNREADABLE'])
    expect(await refused(...usual, join(folder, 'no', 'folder'))).toEqual([1, 'AUDIT_NOT_WRITTEN'])
    expect(existsSync(file)).toBe(false)
    writeFileSync(file, 'precious')
    expect(await refused(...usual, file)).toEqual([2, 'AUDIT_FILE_EXISTS'])
    expect(readFileSync(file, 'utf8')).toBe('precious')
    expect(await audit('export', ...usual, '--force', file)).toMatchObject({ code: 0 })
    expect(await verdictOf(file)).toMatchObject({ whole: true })
  })
  test('warn of a private key that others can read', async () => {
    const loose = join(folder, 'loose.pem')
    await audit('keygen', '--out', loose)
    chmodSync(loose, 0o644)
    const { code, err } = await audit('export', '--company', ONE, '--key', loose, fresh())
    expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('can be read by others') })
  })
})

describe('a past that was rewritten', () => {
  const rewriteLog = async (change: (event: StoredEvent) => StoredEvent | undefined) => {
    // What nobody can do with the stream as it is set up, and whoever has the server's disk can: other events in its place.
    const kept: { event: StoredEvent; companyId: string }[] = []
    for await (const { body } of log.read({})) {
      const event = JSON.parse(Buffer.from(body).toString()) as StoredEvent
      kept.push({ event: change(event) ?? event, companyId: event.companyid })
    }
    const second = await startNats({})
    const connection = await connectNats({ url: second.url, name: 'test', log: silent })
    await applyTopology(connection, { replicas: 1, eventsMaxAgeMs: 0 })
    const writing = createPublisher(connection, { timeoutMs: 5_000 })
    const rewritten = jetStreamLog({ nats: connection, publisher: writing })
    for (const { event } of kept) await rewritten.append([event])
    writing.close()
    await connection.close()
    return second
  }

  test('is shown by the log’s own anchors, by anchors kept elsewhere, and by an earlier export', async () => {
    const earlier = await exported()
    const anchors = join(folder, 'anchors.ndjson')
    writeFileSync(anchors, (await audit('anchors', '--company', ONE, '-o', 'ndjson')).out)
    expect(await verdictOf(earlier, '--against', anchors)).toMatchObject({ code: 0, against: { agreed: 1 } })

    const second = await rewriteLog((event) =>
      event.companyid === ONE && event.subject === 'wamid.4' ? { ...event, subject: 'wamid.forged' } : undefined,
    )
    try {
      const later = fresh()
      const made = await auditIn({ NATS_URL: second.url }, 'export', '--company', ONE, '--key', key, later)
      expect(made).toMatchObject({ code: 1, err: expect.stringContaining('its past was rewritten') })
      expect(await verdictOf(later)).toMatchObject({ code: 1, faults: [{ kind: 'rewritten', line: 2, to_line: 6 }] })
      // The range begins after what was rewritten, and after the anchor: only what was recorded elsewhere tells.
      const part = fresh()
      await auditIn({ NATS_URL: second.url }, 'export', '--company', ONE, '--from', minute(7), '--key', key, part)
      expect(await verdictOf(part)).toMatchObject({ code: 0 })
      expect(await verdictOf(part, '--against', earlier)).toMatchObject({
        code: 1,
        faults: [{ kind: 'rewritten', line: 1 }],
      })
      expect(await verdictOf(part, '--against', anchors)).toMatchObject({
        code: 1,
        faults: [{ kind: 'not_comparable' }],
      })
    } finally {
      await second.stop()
    }
  })
  test('cannot be looked for in a record that is not whole, or of another company', async () => {
    const file = await exported()
    const damaged = await exported()
    truncateSync(damaged, statSync(damaged).size - 1)
    expect(await audit('verify', file, '--against', damaged)).toMatchObject({
      code: 2,
      err: expect.stringContaining('not whole itself'),
    })
    const foreign = fresh()
    await audit('export', '--company', 'c9242a58-4f5d-494c-8a74-45f8cee150e6', '--key', key, foreign)
    expect(await audit('verify', file, '--against', foreign)).toMatchObject({
      code: 2,
      err: expect.stringContaining('of company'),
    })
    expect(await audit('verify', file, '--against', key)).toMatchObject({
      code: 2,
      err: expect.stringContaining('AUDIT_RECORD_UNREADABLE'),
    })
  })
})
