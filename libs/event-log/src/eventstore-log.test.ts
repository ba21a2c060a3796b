import { randomUUID } from 'node:crypto'
import { inspect } from 'node:util'
import { encodeEvent } from '@cloudapi2/contracts'
import { EventStoreDBClient, jsonEvent } from '@eventstore/db-client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { archiveStream } from './archive-streams.ts'
import { type ArchiveEntry, archiveRuns } from './archive-writer.ts'
import { collect, eventLogContract, eventOf } from './event-log.contract.ts'
import { ArchiveRefused, ArchiveUnreadable, EventStoreUnreachable, EventStoreUrlInvalid } from './event-log-errors.ts'
import { connectEventStore } from './eventstore-log.client.ts'
import { archiveRig, archiveRigAt } from './eventstore-log.rig.ts'

eventLogContract('EventStoreDB (our own server)', archiveRig)

// A real node, where there is one: docs/audit-and-replay.md tells how.
const url = process.env.EVENTSTORE_URL
if (url !== undefined) eventLogContract('EventStoreDB (a real node)', async () => archiveRigAt(url))

describe('an address', () => {
  test.each([
    '',
    'http://host:2113',
    'esdb://',
    'esdb://user:hunter2@',
    'esdb://user:hunter2@host:port',
    'esdb://user:hunter2@host:99999',
    'esdb://user:hunter2@host:2113?tls=perhaps',
    'esdb://user:hunter2@host:2113?unheardOf=1',
    'esdb://user:hunter2@host:2113?tls_verify_cert=false',
    'esdb://user:hunter2@host:2113?throwOnAppendFailure=false',
    'esdb://user:hunter2@host:2113?tlsCAFile=/nowhere/ca.crt',
    'esdb://user:hunter2@host:2113/path',
  ])('that is none is refused, and never shown: %s', (address) => {
    const printed = vi.spyOn(console, 'warn').mockImplementation(() => {})
    let refusal: unknown
    try {
      connectEventStore(address)
    } catch (error) {
      refusal = error
    }
    expect(refusal).toBeInstanceOf(EventStoreUrlInvalid)
    expect(printed).not.toHaveBeenCalled()
    printed.mockRestore()
    expect(inspect(refusal, { depth: 10 })).not.toMatch(/hunter2|user:h/)
  })

  test.each([
    'esdb://localhost:2113?tls=false',
    'esdb://user:p%40ss@host?tls=true&keepAliveInterval=10000',
    'esdb://a:2113,b:2113,c:2113',
    'esdb+discover://cluster.example:2113',
  ])('that is one is taken without a connection: %s', async (address) => {
    await connectEventStore(address).close()
  })
})

test('is closed at once, also after reads that were left in the middle', async () => {
  const rig = await archiveRig()
  const companyId = randomUUID()
  await rig.log.append(Array.from({ length: 300 }, () => eventOf({ companyId })))
  for (let i = 0; i < 8; i++) {
    for await (const _ of rig.log.read({ companyId })) break
    for await (const _ of rig.log.read({ companyId, after: 100, upTo: 100 + i }));
    for await (const _ of rig.log.read({})) break
  }
  const stop = new AbortController()
  for await (const _ of rig.log.follow({ companyId }, { signal: stop.signal })) break
  await rig.close()
}, 60_000)

describe('a server that is away', () => {
  test('is an error that may be tried again, from every call, and none waits for ever', async () => {
    const rig = await archiveRig()
    const event = eventOf()
    await rig.log.append([event])
    await rig.server().stop()
    const query = { companyId: event.companyid }
    const entry = { position: 9, body: encodeEvent(event) }
    const isAway = { code: 'EVENTSTORE_UNREACHABLE', retryable: true }
    await expect(collect(rig.log.read(query))).rejects.toMatchObject(isAway)
    await expect(collect(rig.log.read({}))).rejects.toMatchObject(isAway)
    await expect(rig.log.append([event])).rejects.toMatchObject(isAway)
    await expect(rig.log.extent()).rejects.toMatchObject(isAway)
    await expect(rig.log.lastPositionIn('whatsapp-_')).rejects.toMatchObject(isAway)
    expect(await rig.log.appendAt(`whatsapp-${event.companyid}`, [entry], 0n)).toMatchObject({
      kind: 'unavailable',
      error: isAway,
    })
    const follow = collect(rig.log.follow(query, { signal: new AbortController().signal }))
    await expect(follow).rejects.toMatchObject(isAway)
    await rig.close()
  }, 30_000)

  test('that comes back is used again', async () => {
    const rig = await archiveRig()
    const event = eventOf()
    await rig.log.append([event])
    await (rig.restart as () => Promise<void>)()
    const found = async () => {
      for (;;) {
        try {
          return await collect(rig.log.read({ companyId: event.companyid }))
        } catch (error) {
          if (!(error instanceof EventStoreUnreachable)) throw error
        }
      }
    }
    expect(await found()).toHaveLength(1)
    await rig.close()
  })

  test('and stays away while it is followed ends the following, once patience is over', async () => {
    const rig = await archiveRig()
    const log = connectEventStore(rig.server().url, { deadlineMs: 1_000, patienceMs: 500 })
    const event = eventOf()
    await log.append([event])
    const follow = log.follow({ companyId: event.companyid }, { signal: new AbortController().signal })
    const entries = follow[Symbol.asyncIterator]()
    await entries.next()
    const next = entries.next()
    await rig.server().kill()
    await expect(next).rejects.toThrow(EventStoreUnreachable)
    await log.close()
    await rig.close()
  })
})

describe('the writer of the archive', () => {
  const companyId = randomUUID()
  const stream = archiveStream('whatsapp', companyId)
  const entries = [3, 8, 9].map((position) => ({ position, body: encodeEvent(eventOf({ companyId })) }))
  let rig: Awaited<ReturnType<typeof archiveRig>>
  beforeAll(async () => {
    rig = await archiveRig()
  })
  afterAll(() => rig?.close())

  test('finds no position in a stream that is not there', async () => {
    expect(await rig.log.lastPositionIn(stream)).toEqual({ position: 0, revision: 'no_stream' })
  })

  test('stores a run, and finds its last position and event', async () => {
    expect(await rig.log.appendAt(stream, entries, 'no_stream')).toEqual({ kind: 'stored', revision: 2n })
    const { id } = JSON.parse(String(entries[2]?.body))
    expect(await rig.log.lastPositionIn(stream)).toEqual({ position: 9, revision: 2n, id })
    expect((await collect(rig.log.read({ companyId }))).map(({ position }) => position)).toEqual([3, 8, 9])
    expect((await collect(rig.log.read({ companyId, after: 3 }))).map(({ position }) => position)).toEqual([8, 9])
    expect(await rig.log.extent()).toEqual({ first: 3, last: 9 })
  })

  test('stores nothing when somebody else was there before', async () => {
    const later = [{ position: 10, body: encodeEvent(eventOf({ companyId })) }]
    expect(await rig.log.appendAt(stream, later, 1n)).toEqual({ kind: 'wrong_revision', actual: 2n })
    expect(await rig.log.appendAt(stream, later, 'no_stream')).toEqual({ kind: 'wrong_revision', actual: 2n })
    expect(await collect(rig.log.read({ companyId }))).toHaveLength(3)
  })

  test('of two at once lets one win', async () => {
    const other = connectEventStore(rig.server().url)
    const next = (position: number) => [{ position, body: encodeEvent(eventOf({ companyId })) }]
    const answers = await Promise.all([rig.log.appendAt(stream, next(11), 2n), other.appendAt(stream, next(12), 2n)])
    expect(answers.map(({ kind }) => kind).sort()).toEqual(['stored', 'wrong_revision'])
    await other.close()
  })

  test('is refused for good what is too large for the server', async () => {
    const entry = { position: 20, body: encodeEvent(eventOf({ companyId, data: { raw: 'x'.repeat(1_100_000) } })) }
    await expect(rig.log.appendAt(stream, [entry], 3n)).rejects.toMatchObject({
      code: 'EVENTSTORE_REFUSED',
      retryable: false,
    })
    expect(await rig.log.lastPositionIn(stream)).toMatchObject({ revision: 3n })
  })

  test('writes into streams of the archive alone', async () => {
    await expect(rig.log.appendAt('accounts', entries, 'no_stream')).rejects.toThrow(ArchiveRefused)
  })

  test('whose answer is lost finds out what was stored by asking', async () => {
    const own = archiveStream('system', companyId)
    expect(await rig.log.appendAt(own, [entries[0] as ArchiveEntry], 'no_stream')).toMatchObject({ kind: 'stored' })
    const impatient = connectEventStore(rig.server().url, { deadlineMs: 300 })
    await impatient.appendAt(own, [{ position: 4, body: encodeEvent(eventOf({ companyId })) }], 0n)
    rig.server().faults.dropReplies(1)
    const run = [{ position: 21, body: encodeEvent(eventOf({ companyId, channel: 'system' })) }]
    expect(await impatient.appendAt(own, run, 1n)).toMatchObject({ kind: 'unavailable' })
    expect(await rig.log.lastPositionIn(own)).toMatchObject({ position: 21, revision: 2n })
    await impatient.close()
  })

  test('finds an event that somebody else wrote, and says so', async () => {
    const foreign = EventStoreDBClient.connectionString(rig.server().url)
    const theirs = archiveStream('theirs', companyId)
    await foreign.appendToStream(theirs, jsonEvent({ type: 'tea.served', data: { cups: 2 } }))
    await expect(rig.log.lastPositionIn(theirs)).rejects.toThrow(ArchiveUnreadable)
    await foreign.dispose()
  })
})

test('what happens to one archive is no matter of another in the same process', async () => {
  const [one, other] = [await archiveRig(), await archiveRig()]
  const run = () => [{ position: 1, body: encodeEvent(eventOf()) }]
  for (const { log, server } of [one, other]) {
    await log.appendAt('whatsapp-_', run(), 'no_stream')
    server().faults.delay(300)
  }
  const lost = one.log.appendAt('whatsapp-_', run(), 0n)
  const kept = other.log.appendAt('whatsapp-_', run(), 0n)
  await one.server().kill()
  expect((await lost).kind).toBe('unavailable')
  expect(await kept).toEqual({ kind: 'stored', revision: 1n })
  await Promise.all([one.close(), other.close()])
})

test('runs follow the order of the events, and are no larger than an append may be', () => {
  const entry = (position: number, size: number) => ({ position, body: new Uint8Array(size) })
  const streamOf = ({ position }: { position: number }) => (position === 3 ? 'system-_' : 'whatsapp-_')
  const runs = archiveRuns(
    [1, 2, 3, 4, 5, 6].map((p) => entry(p, p > 4 ? 600_000 : 10)).concat(entry(7, 2_000_000)),
    streamOf,
  )
  expect(runs.map(({ stream, entries }) => [stream, entries.map(({ position }) => position)])).toEqual([
    ['whatsapp-_', [1, 2]],
    ['system-_', [3]],
    ['whatsapp-_', [4, 5]],
    ['whatsapp-_', [6]],
    ['whatsapp-_', [7]],
  ])
  const many = archiveRuns(
    Array.from({ length: 2_500 }, (_, i) => entry(i + 10, 1)),
    streamOf,
  )
  expect(many.map(({ entries }) => entries.length)).toEqual([1_000, 1_000, 500])
})
