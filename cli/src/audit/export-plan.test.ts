import { extendChain, newKeyPair, readPrivateKey, readPublicKey, startChain, verifyExport } from '@cloudapi2/audit'
import type { EventLog, LogEntry } from '@cloudapi2/event-log'
import { describe, expect, test } from 'vitest'
import { exportLines } from './export-lines.ts'
import { type ExportRange, planExport } from './export-plan.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const pair = newKeyPair()
const privateKey = readPrivateKey(pair.privatePem, 'key')
const publicKey = readPublicKey(pair.publicPem, 'key')
const at = (hour: number) => new Date(Date.UTC(2026, 10, 1, hour))

interface Told {
  position: number
  companyid?: string
  type?: string
  /** The hour in which it was recorded. */
  hour: number
  data?: unknown
}
const told = ({ position, companyid = COMPANY, type = 'message.created', hour, data = {} }: Told): LogEntry => ({
  position,
  body: Buffer.from(
    JSON.stringify({
      specversion: '1.0',
      id: `e${position}`,
      source: '/test',
      type,
      subject: 'x',
      time: at(hour).toISOString(),
      companyid,
      channel: 'system',
      recordedtime: at(hour).toISOString(),
      dataschema: `${type}/1`,
      data,
    }),
  ),
})
const chainOf = (entries: readonly LogEntry[]) => entries.reduce(extendChain, startChain(COMPANY))
const anchorAt = (position: number, hour: number, entries: readonly LogEntry[]): LogEntry =>
  told({ position, hour, type: 'audit.anchored', data: { chain: 1, ...chainOf(entries) } })

/** A log that begins at a position. */
const logOf = (entries: readonly LogEntry[], first = 1): EventLog => ({
  kind: 'jetstream',
  append: () => Promise.reject(new Error('read only')),
  read: async function* ({ companyId, types, from, to, after = 0, upTo = Number.POSITIVE_INFINITY }) {
    for (const entry of entries) {
      const event = JSON.parse(Buffer.from(entry.body).toString())
      const time = new Date(event.recordedtime)
      if (entry.position < first || entry.position <= after || entry.position > upTo) continue
      if (companyId !== undefined && event.companyid !== companyId) continue
      if (types !== undefined && !types.includes(event.type)) continue
      if ((from !== undefined && time < from) || (to !== undefined && time >= to)) continue
      yield entry
    }
  },
  follow: () => {
    throw new Error('not here')
  },
  extent: async () => ({ first: entries.length === 0 ? 0 : first, last: entries.at(-1)?.position ?? 0 }),
  close: async () => {},
})

const never = new AbortController().signal
const exportOf = async (log: EventLog, times: Omit<ExportRange, 'companyId'> = {}, signal = never) => {
  const range = { companyId: COMPANY, ...times }
  const plan = await planExport(log, range, signal)
  const lines = exportLines({ log, range, plan, privateKey, software: 'test', now: () => 0, signal })
  const file: Buffer[] = []
  let next = await lines.next()
  for (; next.done !== true; next = await lines.next()) file.push(Buffer.from(next.value))
  const verdict = await verifyExport(
    async function* () {
      yield* file
    },
    { publicKey },
  )
  const positions = file.slice(1, -1).map((line) => JSON.parse(line.toString()).position)
  return { ...next.value, verdict, positions }
}

const four = [1, 2, 4, 5].map((position) => told({ position, hour: position }))
const whole = [...four, anchorAt(6, 6, four), told({ position: 8, hour: 8 }), told({ position: 9, hour: 9 })]
const foreign = told({ position: 3, hour: 3, companyid: 'b9242a58-4f5d-494c-8a74-45f8cee150e6' })

describe('the stretch that is exported', () => {
  const log = logOf([...whole, foreign].sort((a, b) => a.position - b.position))
  test('is all of the company when no time is asked for', async () => {
    const { positions, verdict, chain } = await exportOf(log)
    expect(positions).toEqual([1, 2, 4, 5, 6, 8, 9])
    expect(verdict).toMatchObject({ whole: true, header: { start: 'first_event', before: { events: 0 } } })
    expect(chain).toEqual(chainOf(whole))
  })
  test('begins with the time asked for, inclusive, and ends before its end', async () => {
    expect((await exportOf(log, { from: at(2), to: at(5) })).positions).toEqual([2, 4])
    expect((await exportOf(log, { from: at(5) })).positions).toEqual([5, 6, 8, 9])
    expect((await exportOf(log, { to: at(2) })).positions).toEqual([1])
  })
  test('keeps what was recorded outside of it and stands between: a chain has no holes', async () => {
    // Two machines whose clocks differ.
    const late = [told({ position: 1, hour: 1 }), told({ position: 2, hour: 3 }), told({ position: 3, hour: 2 })]
    const { positions, verdict } = await exportOf(logOf(late), { to: at(3) })
    expect(positions).toEqual([1, 2, 3])
    expect(verdict.whole).toBe(true)
  })
  test('is nothing for a company that the log does not know, or that has nothing then', async () => {
    await expect(exportOf(logOf([]))).rejects.toMatchObject({ code: 'COMPANY_NOT_IN_LOG' })
    await expect(exportOf(logOf([foreign]), { from: at(1) })).rejects.toMatchObject({ code: 'COMPANY_NOT_IN_LOG' })
    await expect(exportOf(log, { from: at(20) })).rejects.toMatchObject({ code: 'AUDIT_NOTHING_IN_RANGE' })
  })
})

describe('a log that lost its beginning', () => {
  test('is chained from the newest recorded head before the range', async () => {
    const second = anchorAt(10, 10, whole)
    const log = logOf([...whole, second, told({ position: 11, hour: 11 })], 5)
    const { positions, verdict, chain } = await exportOf(log, { from: at(8) })
    expect(positions).toEqual([8, 9, 10, 11])
    expect(verdict).toMatchObject({ whole: true, header: { start: 'anchor', before: { position: 6 } } })
    expect(chain.events).toBe(9)
    expect((await exportOf(log, { from: at(11) })).verdict).toMatchObject({
      whole: true,
      header: { before: { position: 10, events: 8 } },
    })
  })
  test('is refused for a range without one, saying from when on it can be had', async () => {
    const log = logOf(whole, 5)
    await expect(exportOf(log)).rejects.toMatchObject({
      code: 'AUDIT_BEGINNING_LOST',
      message: expect.stringContaining(`--from ${at(6).toISOString()}`),
    })
    const { positions, verdict } = await exportOf(log, { from: at(6) })
    expect({ positions, whole: verdict.whole }).toEqual({ positions: [6, 8, 9], whole: true })
    await expect(exportOf(logOf(four, 2))).rejects.toMatchObject({ code: 'AUDIT_BEGINNING_LOST' })
  })
  test('is refused when events after the recorded head are gone as well', async () => {
    await expect(exportOf(logOf(whole, 8), { from: at(8) })).rejects.toMatchObject({ code: 'AUDIT_BEGINNING_LOST' })
  })
  test('is whole for a company that came later: its first recorded head shows it', async () => {
    const later = [told({ position: 7, hour: 7 }), told({ position: 8, hour: 8 })]
    const { verdict } = await exportOf(logOf([...later, anchorAt(9, 9, later)], 6))
    expect(verdict).toMatchObject({ whole: true, header: { start: 'first_event' } })
  })
})

describe('what the log recorded of itself', () => {
  const withForged = (position: number) =>
    whole.map((entry) => (entry.position === position ? told({ position, hour: position, data: 'forged' }) : entry))
  test('is held against its events, also before the range', async () => {
    expect(await exportOf(logOf(whole))).not.toHaveProperty('contradicted')
    expect(await exportOf(logOf(withForged(2)))).toMatchObject({ contradicted: 5 })
    expect(await exportOf(logOf(withForged(2)), { from: at(8) })).toMatchObject({ contradicted: 5 })
    expect(await exportOf(logOf(withForged(8)))).not.toHaveProperty('contradicted')
  })
  test('shows an event that was taken out, even the one it is about', async () => {
    expect(await exportOf(logOf(whole.filter(({ position }) => position !== 5)))).toMatchObject({ contradicted: 5 })
  })
})

test('a recorded head that nobody can read is none, and in the chain all the same', async () => {
  const unreadable = told({
    position: 10,
    hour: 10,
    type: 'audit.anchored',
    data: { chain: 1, position: 9, head: 'x' },
  })
  const { verdict, positions } = await exportOf(logOf([...whole, unreadable]))
  expect({ positions, anchors: verdict.anchors }).toEqual({
    positions: [1, 2, 4, 5, 6, 8, 9, 10],
    anchors: { agreed: 1, not_covered: 0 },
  })
  expect(verdict.whole).toBe(true)
})

test('an export that is interrupted, or whose log loses events meanwhile, does not come to its end', async () => {
  const ending = new AbortController()
  const log = logOf(whole)
  const stopping: EventLog = {
    ...log,
    read: async function* (query) {
      for await (const entry of log.read(query)) {
        if (query.after !== undefined && entry.position === 4) {
          ending.abort()
          return
        }
        yield entry
      }
    },
  }
  await expect(exportOf(stopping, {}, ending.signal)).rejects.toMatchObject({ code: 'AUDIT_INTERRUPTED' })
  const losing: EventLog = {
    ...log,
    read: (query) => (query.after === undefined ? log.read(query) : logOf(whole, 100).read(query)),
  }
  await expect(exportOf(losing)).rejects.toMatchObject({ code: 'AUDIT_LOG_CHANGED' })
})
