import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ChainState, chainText, extendChain, linkHash, startChain } from './chain.ts'
import { EXPORT_FORMAT, EXPORT_VERSION, type ExportHeader, eventLine } from './export-format.ts'
import { createExportWriter } from './export-writer.ts'
import { compareHeads, headsOfAnchors, headsOfExport } from './records.ts'
import { fingerprintOf, newKeyPair, readPrivateKey, readPublicKey } from './signature.ts'
import { verifyExport } from './verify.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const pair = newKeyPair()
const privateKey = readPrivateKey(pair.privatePem, 'key')
const publicKey = readPublicKey(pair.publicPem, 'key')

type Entry = { position: number; body: Uint8Array }
const event = (position: number, data: unknown, type = 'message.created'): Entry => ({
  position,
  body: Buffer.from(JSON.stringify({ id: `e${position}`, type, data })),
})
const header = (before: ChainState): ExportHeader => ({
  format: EXPORT_FORMAT,
  version: EXPORT_VERSION,
  chain: 1,
  company_id: COMPANY,
  range: {},
  source: 'jetstream',
  before,
  start: 'first_event',
  software: 'test',
})
const chainOf = (entries: readonly Entry[]): ChainState => entries.reduce(extendChain, startChain(COMPANY))

/** The lines of an export of `entries`, of which the first `skipped` are before its range. */
const exportOf = (entries: readonly Entry[], { skipped = 0, key = privateKey } = {}): string[] => {
  const writer = createExportWriter(header(chainOf(entries.slice(0, skipped))), key)
  const lines = entries.slice(skipped).map(writer.line)
  return [writer.header, ...lines, writer.end('2026-11-24T12:00:00.000Z')]
}
const fileOf = (lines: readonly string[]): Buffer => Buffer.from(lines.map((line) => `${line}\n`).join(''))
const sourceOf = (file: Buffer, chunk = 1_000) =>
  async function* () {
    for (let at = 0; at < file.length; at += chunk) yield file.subarray(at, at + chunk)
  }
const verify = (file: Buffer, options: Partial<Parameters<typeof verifyExport>[1]> = {}) =>
  verifyExport(sourceOf(file), { publicKey, ...options })
const firstFault = async (file: Buffer) => {
  const { whole, faults } = await verify(file)
  return whole ? 'whole' : faults[0]
}

const entries = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.jsonValue({ maxDepth: 2 })), { minLength: 2, maxLength: 8 })
  .map((items) => {
    let position = 0
    return items.map(([step, data]) => {
      position += step
      return event(position, data)
    })
  })
const RUNS = { numRuns: 200 }

describe('an export that nobody touched', () => {
  test('is whole, wherever in the chain it begins and however its file is read', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(1), fc.integer({ min: 1, max: 300 }), async (all, skipped, chunk) => {
        const verdict = await verifyExport(sourceOf(fileOf(exportOf(all, { skipped })), chunk), { publicKey })
        expect(verdict.faults).toEqual([])
        expect(verdict.whole).toBe(true)
        expect(verdict.head).toMatchObject({ events: all.length - skipped, head: chainOf(all).head })
      }),
      RUNS,
    )
  })
})

describe('an export that was touched', () => {
  test('any byte that differs is found, and its line is named', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(), fc.integer({ min: 1, max: 255 }), async (all, at, flip) => {
        const file = fileOf(exportOf(all))
        const place = at % file.length
        const line = file.subarray(0, place).filter((byte) => byte === 0x0a).length + 1
        file[place] = (file[place] as number) ^ flip
        expect(await firstFault(file)).toMatchObject({ line })
      }),
      { numRuns: 1_000 },
    )
  })
  test('a line that says the same in other bytes is a changed line', async () => {
    const lines = exportOf([event(1, 'abc'), event(2, { x: 1 }), event(3, 'def')])
    const other: [number, string, string][] = [
      [1, '"chain":1', '"chain": 1'],
      [2, '"abc"', '"\\u0061bc"'],
      [3, '"x":1', '"x":1.0'],
      [3, '"x":1', '"x":0,"x":1'],
      [3, '"line":3', '"line":3e0'],
      [3, '"line":3', '"line":9'],
      [4, '{"line":4,', '{ "line":4,'],
      [5, '"signature":"', '"signature" :"'],
    ]
    for (const [line, from, to] of other) {
      const changed = (lines[line - 1] as string).replace(from, to)
      expect(changed).not.toBe(lines[line - 1])
      expect(await firstFault(fileOf(lines.with(line - 1, changed)))).toMatchObject({ line })
    }
    expect(await firstFault(Buffer.from(lines.join('\n')))).toMatchObject({ kind: 'cut_off', line: 5 })
    expect(await firstFault(Buffer.from(lines.map((line) => `${line}\r\n`).join('')))).toMatchObject({ line: 1 })
  })
  test('every line that is missing is named', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(), fc.integer({ min: 1, max: 3 }), async (all, at, many) => {
        const lines = exportOf(all)
        const line = (at % (lines.length - 1)) + 1
        lines.splice(line - 1, Math.min(many, lines.length - line))
        expect(await firstFault(fileOf(lines))).toMatchObject({ kind: 'dropped', line })
      }),
      RUNS,
    )
  })
  test('every line that was put in is named: a copy, one of another export, or no line at all', async () => {
    const foreign = exportOf([event(1, 'other'), event(2, 'other'), event(1_000, 'other')])
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(), fc.nat(), fc.nat(2), async (all, at, which, what) => {
        const lines = exportOf(all)
        const line = (at % (lines.length + 1)) + 1
        const added = [lines[which % lines.length], foreign[which % foreign.length], 'nothing'][what] as string
        lines.splice(line - 1, 0, added)
        const fault = await firstFault(fileOf(lines))
        // Of two equal lines next to each other either is the copy.
        const same = lines[line - 2] === added ? line - 1 : lines[line] === added ? line + 1 : line
        expect(fault).toMatchObject({ kind: 'added' })
        expect([line, same]).toContain((fault as { line: number }).line)
      }),
      { numRuns: 500 },
    )
  })
  test('two lines that changed places are named by the first of them', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(), fc.nat(), async (all, a, b) => {
        const lines = exportOf(all)
        const [one, two] = [a % lines.length, b % lines.length].sort((x, y) => x - y) as [number, number]
        fc.pre(one !== two)
        ;[lines[one], lines[two]] = [lines[two] as string, lines[one] as string]
        expect(await firstFault(fileOf(lines))).toMatchObject({ kind: 'moved', line: one + 1 })
      }),
      RUNS,
    )
  })
  test('a line that was moved up or down is named by the first place that is wrong', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(), fc.nat(), async (all, a, b) => {
        const lines = exportOf(all)
        const [from, to] = [a % lines.length, b % lines.length]
        fc.pre(from !== to)
        lines.splice(to, 0, ...lines.splice(from, 1))
        expect(await firstFault(fileOf(lines))).toMatchObject({ kind: 'moved', line: Math.min(from, to) + 1 })
      }),
      RUNS,
    )
  })
  test('one that ends anywhere but at its end is cut off, or names the line it was cut in', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.nat(), async (all, at) => {
        const file = fileOf(exportOf(all))
        const cut = file.subarray(0, at % file.length)
        const line = cut.filter((byte) => byte === 0x0a).length + 1
        const fault = await firstFault(cut)
        expect(fault).toMatchObject(line === 1 ? { line: 1 } : { kind: 'cut_off', line })
      }),
      RUNS,
    )
  })
})

describe('a line that was given a new hash to match', () => {
  const all = [1, 2, 3, 4, 5, 6].map((position) => event(position, `text ${position}`))
  /** The line as whoever forges it would write it: right in itself. */
  const forged = (lines: readonly string[], line: number, data: unknown, prevOf = line): string => {
    const { position, prev } = JSON.parse(lines[prevOf - 1] as string)
    const text = chainText(event(position, data).body)
    return eventLine({ line, position, prev, hash: linkHash(prev, position, text), text })
  }
  test('is named when it stands in the place of another', async () => {
    for (const line of [2, 4, 7]) {
      const lines = exportOf(all)
      lines[line - 1] = forged(lines, line, 'forged')
      const fault = await firstFault(fileOf(lines))
      if (line < 7) expect(fault).toMatchObject({ kind: 'changed', line })
      // After the last one there is no line that has its old hash; only the signature tells that something is wrong.
      else expect(fault).toMatchObject({ kind: 'changed', line: 2, to_line: 7 })
    }
  })
  test('is named when it was put in', async () => {
    const lines = exportOf(all)
    lines.splice(3, 0, forged(lines, 4, 'forged'))
    expect(await firstFault(fileOf(lines))).toMatchObject({ kind: 'added', line: 4 })
  })
  test('is found by the signature when everything after it was given new hashes too', async () => {
    const genuine = exportOf(all)
    const other = exportOf(all.with(2, event(3, 'forged')))
    other[other.length - 1] = genuine.at(-1) as string
    expect(await firstFault(fileOf(other))).toMatchObject({ kind: 'changed', line: 2, to_line: 7 })
  })
  test('a line whose missing was hidden by numbering the rest anew is missed all the same', async () => {
    const lines = exportOf(all)
    lines.splice(3, 1)
    const renumbered = lines.map((line, i) => line.replace(/^\{"line":\d+/, `{"line":${i + 1}`))
    expect(await firstFault(fileOf(renumbered))).toMatchObject({ kind: 'dropped', line: 4 })
  })
  test('lines added before the signed head are found by what was signed', async () => {
    const longer = exportOf([...all, event(7, 'added')])
    longer[longer.length - 1] = exportOf(all).at(-1) as string
    expect(await firstFault(fileOf(longer))).toMatchObject({ kind: 'added', line: 8 })
  })
})

describe('the key', () => {
  const all = [event(1, 'a'), event(2, 'b')]
  const other = newKeyPair()
  test('of somebody else is said to be the wrong one', async () => {
    const verdict = await verify(fileOf(exportOf(all)), { publicKey: readPublicKey(other.publicPem, 'other') })
    expect(verdict).toMatchObject({ whole: false, faults: [{ kind: 'wrong_key', line: 4 }] })
    expect(verdict.faults[0]?.message).toContain(other.fingerprint)
  })
  test('that was replaced together with the file is found by a fingerprint that was noted before', async () => {
    const rewritten = fileOf(
      exportOf([event(1, 'a'), event(2, 'forged')], { key: readPrivateKey(other.privatePem, 'o') }),
    )
    const theirKey = readPublicKey(other.publicPem, 'beside')
    expect((await verify(rewritten, { publicKey: theirKey })).whole).toBe(true)
    const pinned = await verify(rewritten, { publicKey: theirKey, fingerprint: fingerprintOf(publicKey) })
    expect(pinned).toMatchObject({ whole: false, faults: [{ kind: 'wrong_key' }] })
  })
  test('given with a changed file does not hide where it was changed', async () => {
    const lines = exportOf(all)
    lines[1] = (lines[1] as string).replace('"a"', '"z"')
    const verdict = await verify(fileOf(lines), { publicKey: readPublicKey(other.publicPem, 'other') })
    expect(verdict.faults.map(({ kind, line }) => [kind, line])).toEqual([
      ['changed', 2],
      ['wrong_key', 4],
    ])
  })
  test('is one of Ed25519 in PEM, and the public half where the public one is expected', () => {
    expect(() => readPublicKey('rubbish', 'file.pem')).toThrow(/file\.pem is no public Ed25519 key in PEM/)
    expect(() => readPrivateKey(pair.publicPem, 'file.pem')).toThrow(/no private Ed25519 key/)
    expect(() => readPublicKey(pair.privatePem, 'file.pem')).toThrow(/is a private key/)
  })
})

describe('what is no export of this version', () => {
  test('is said to be none, and of which version it is', async () => {
    expect(await firstFault(Buffer.from(''))).toMatchObject({ kind: 'unknown_format', message: 'the file is empty' })
    expect(await firstFault(Buffer.from('id,name\n1,2\n'))).toMatchObject({ kind: 'unknown_format', line: 1 })
    const newer = Buffer.from(`{"format":"${EXPORT_FORMAT}","version":2}\n`)
    expect(await firstFault(newer)).toMatchObject({
      kind: 'unknown_format',
      message: expect.stringMatching(/version 2;.*version 1/),
    })
  })
})

const anchor = (position: number, of: ChainState): Entry => event(position, { chain: 1, ...of }, 'audit.anchored')

describe('anchors', () => {
  const past = [1, 2, 3].map((position) => event(position, `text ${position}`))
  const whole = [...past, anchor(4, chainOf(past)), event(5, 'later')]
  test('in an export agree with its chain, also about the event before its first', async () => {
    expect(await verify(fileOf(exportOf(whole)))).toMatchObject({ whole: true, anchors: { agreed: 1, not_covered: 0 } })
    expect(await verify(fileOf(exportOf(whole, { skipped: 3 })))).toMatchObject({
      anchors: { agreed: 1, not_covered: 0 },
    })
    expect(await verify(fileOf(exportOf(whole, { skipped: 4 })))).toMatchObject({
      anchors: { agreed: 0, not_covered: 0 },
    })
    const late = [...past, event(4, 'between'), anchor(5, chainOf(past))]
    expect(await verify(fileOf(exportOf(late, { skipped: 4 })))).toMatchObject({
      anchors: { agreed: 0, not_covered: 1 },
    })
  })
  test('show a past that was rewritten before it was exported, and between which lines', async () => {
    const first = anchor(2, chainOf(past.slice(0, 1)))
    const before = [past[0] as Entry, first, event(3, 'b'), event(4, 'c')]
    const log = [...before, anchor(5, chainOf(before))]
    const rewritten = log.with(2, event(3, 'B'))
    const verdict = await verify(fileOf(exportOf(rewritten)))
    expect(verdict).toMatchObject({
      whole: false,
      faults: [{ kind: 'rewritten', line: 3, to_line: 5 }],
      anchors: { agreed: 1, not_covered: 0 },
    })
  })
  test('show an event that was taken out of the log, and one that they are about which is gone', async () => {
    expect(await firstFault(fileOf(exportOf(whole.filter((_, i) => i !== 1))))).toMatchObject({
      kind: 'rewritten',
      line: 2,
    })
    expect(await firstFault(fileOf(exportOf(whole.filter((_, i) => i !== 2))))).toMatchObject({
      kind: 'rewritten',
      line: 2,
    })
  })
})

describe('an earlier record', () => {
  const all = [1, 2, 3, 4, 5, 6].map((position) => event(position * 2, `text ${position}`))
  const earlier = exportOf(all.slice(0, 4))
  const compare = (lines: readonly string[], with_: readonly string[] = earlier) =>
    compareHeads(headsOfExport(sourceOf(fileOf(lines))), headsOfExport(sourceOf(fileOf(with_))), true)

  test('agrees with an export that was made later, as far as both go', async () => {
    expect(await compare(exportOf(all))).toEqual({ agreed: 4 })
    expect(await compare(exportOf(all, { skipped: 2 }))).toEqual({ agreed: 3 })
    expect(await compare(exportOf(all, { skipped: 4 }))).toEqual({ agreed: 1 })
    expect(await compare(earlier, exportOf(all, { skipped: 1 }))).toEqual({ agreed: 4 })
  })
  test('shows the first line that was rewritten since, although the later export is whole and signed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3), fc.constantFrom('changed', 'removed', 'added'), async (at, how) => {
        const past = [...all]
        if (how === 'changed') past[at] = event((at + 1) * 2, 'rewritten')
        if (how === 'removed') past.splice(at, 1)
        if (how === 'added') past.splice(at, 0, event((at + 1) * 2 - 1, 'new'))
        const lines = exportOf(past)
        expect((await verify(fileOf(lines))).whole).toBe(true)
        const { fault } = await compare(lines)
        // What was put before the first event of the earlier one differs from it there at the latest.
        expect(fault).toMatchObject({ kind: 'rewritten', line: at + 2 })
      }),
      RUNS,
    )
  })
  test('shows that events before the first line were rewritten', async () => {
    const past = all.with(0, event(2, 'rewritten'))
    expect(await compare(exportOf(past, { skipped: 2 }))).toMatchObject({ fault: { kind: 'rewritten', line: 1 } })
  })
  test('that has nothing in common with it proves nothing, and says so', async () => {
    const { agreed, fault } = await compare(exportOf(all, { skipped: 5 }))
    expect({ agreed, kind: fault?.kind }).toEqual({ agreed: 0, kind: 'not_comparable' })
  })

  const recorded = (entries: readonly Entry[], ...counts: number[]) =>
    counts.map((count) => ({ company_id: COMPANY, ...chainOf(entries.slice(0, count)), recorded_at: 'then' }))
  const compareAnchors = (lines: readonly string[], text: string) =>
    compareHeads(headsOfExport(sourceOf(fileOf(lines))), headsOfAnchors(text, COMPANY), false)
  test('of anchors agrees, as an array or one a line', async () => {
    const anchors = recorded(all, 4, 2)
    expect(await compareAnchors(exportOf(all), JSON.stringify(anchors))).toEqual({ agreed: 2 })
    const ndjson = anchors.map((one) => `${JSON.stringify(one)}\n`).join('')
    expect(await compareAnchors(exportOf(all, { skipped: 3 }), ndjson)).toEqual({ agreed: 1 })
  })
  test('of anchors shows between which lines the past was rewritten', async () => {
    const rewritten = exportOf(all.with(2, event(6, 'rewritten')))
    const { agreed, fault } = await compareAnchors(rewritten, JSON.stringify(recorded(all, 2, 4, 6)))
    expect({ agreed, fault }).toMatchObject({ agreed: 1, fault: { kind: 'rewritten', line: 4, to_line: 5 } })
    const missing = exportOf(all.filter((_, i) => i !== 3))
    expect((await compareAnchors(missing, JSON.stringify(recorded(all, 4)))).fault).toMatchObject({ kind: 'rewritten' })
  })
  test('that is none, or of another company, is refused', () => {
    expect(() => headsOfAnchors('rubbish', COMPANY)).toThrow(/not JSON/)
    expect(() => headsOfAnchors('[{"position":1}]', COMPANY)).toThrow(/record 1 .* is no anchor/)
    expect(() => headsOfAnchors(JSON.stringify(recorded(all, 1)), '_')).toThrow(/another company/)
  })
})
