import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EventType, newEvent, type StoredEvent } from '@cloudapi2/contracts'
import { startNats, startPostgres, type TestServer } from '@cloudapi2/embedded'
import { type ArchiveLog, connectEventStore, type EventLog, jetStreamLog } from '@cloudapi2/event-log'
import { type EventStoreServer, startEventStoreServer } from '@cloudapi2/eventstore-server'
import { applyTopology, connectNats, createPublisher, EVENTS, type Nats, type Publisher } from '@cloudapi2/nats'
import { openDatabase } from '@cloudapi2/read-model'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { start } from '../output/terminal.rig.ts'
import { createProgressLines, durationText } from './progress-lines.ts'
import { rebuildCommand } from './rebuild.handler.ts'
import { seenPositions } from './seen-positions.ts'

const ONE = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b1f0a0de-0000-4000-8000-00000000000b'
const silent = { info: () => {}, warn: () => {}, error: () => {} }

let server: TestServer
let postgres: TestServer
let store: EventStoreServer
let dir: string
let nats: Nats
let publisher: Publisher
let log: EventLog
let archive: ArchiveLog
let database: ReturnType<typeof openDatabase>

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cloudapi2-rebuild-'))
  ;[server, postgres, store] = await Promise.all([startNats({}), startPostgres(), startEventStoreServer({ dir })])
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
  log = jetStreamLog({ nats, publisher })
  archive = connectEventStore(store.url)
  database = openDatabase({ databaseUrl: postgres.url, poolSize: 1, applicationName: 'test', log: silent })
})
afterAll(async () => {
  await database?.end()
  await archive?.close()
  publisher?.close()
  await nats?.close()
  await Promise.all([server?.stop(), postgres?.stop(), store?.stop()])
  if (dir !== undefined) await rm(dir, { recursive: true, force: true })
})

const said = (n: number, company = ONE): StoredEvent =>
  newEvent({
    id: `00000000-0000-5000-8000-${String(n).padStart(12, '0')}`,
    source: '/webhook-gateway',
    type: 'message.created' satisfies EventType,
    subject: `wamid.${n}`,
    time: '2026-11-24T08:15:30.000Z',
    companyId: company,
    channel: 'whatsapp',
    recordedTime: '2026-11-24T08:15:31.000Z',
    data: { message_id: `wamid.${n}`, direction: 'inbound', kind: 'text', text: 'Hola', status: 'received', raw: {} },
  }) as unknown as StoredEvent

const rebuild = (args: string[], env: Record<string, string> = {}) =>
  start(
    (terminal) =>
      rebuildCommand({
        env: {
          DATA_DIR: join(dir, 'nowhere'),
          NATS_URL: server.url,
          DATABASE_URL: postgres.url,
          EVENTSTORE_URL: store.url,
          ...env,
        },
        terminal,
        now: Date.now,
        stderr: { isTTY: false } as NodeJS.WriteStream,
      }),
    args,
  ).done
const messages = async () =>
  (
    await database.query('select last_message_uid as uid from external_messages order by length(last_message_uid), 1')
  ).rows.map(({ uid }) => uid)
const wamids = (count: number) => Array.from({ length: count }, (_, i) => `wamid.${i + 1}`)

describe('cloudapi rebuild', () => {
  test('makes the tables and their rows, and tells what it did', async () => {
    await log.append([said(1), said(2), said(3, OTHER), said(4)])
    const { code, out, err } = await rebuild([])
    expect(code, err).toBe(0)
    expect(out).toMatch(/external_messages +4 +0 +0/)
    expect(err).toContain('rebuilt from 4 events up to position 4')
    expect(await messages()).toEqual(wamids(4))
    const tables = JSON.parse((await rebuild(['-o', 'json'])).out)
    expect(tables).toContainEqual({ name: 'external_messages', missing: 0, surplus: 0, differs: 0 })
  })

  test('with --check says that the projector has never run', async () => {
    expect(await rebuild(['--check'])).toMatchObject({ code: 4, err: expect.stringContaining('CONSUMER_MISSING') })
  })

  test('gives the same rows from the archive, which is behind and not in order between companies', async () => {
    // The other company's third event is archived, the first company's second is not yet.
    await archive.append([said(1)])
    const { revision } = await archive.lastPositionIn(`whatsapp-${OTHER}`)
    const body = Buffer.from(JSON.stringify(said(3, OTHER)))
    const stored = await archive.appendAt(`whatsapp-${OTHER}`, [{ position: 3, body }], revision)
    expect(stored.kind).toBe('stored')
    await database.query('truncate external_messages, gateway.message_states')
    expect(await rebuild(['--source', 'eventstore'])).toMatchObject({ code: 0 })
    expect(await messages()).toEqual(wamids(4))
    await database.query('truncate external_messages')
    expect(await rebuild(['--source', 'eventstore', '--company', ONE])).toMatchObject({ code: 0 })
    expect(await messages()).toEqual(['wamid.1', 'wamid.2', 'wamid.4'])
  })

  test('refuses a log whose beginning is gone, and takes the archive when told', async () => {
    await rebuild([])
    const manager = await nats.raw.jetstreamManager()
    await manager.streams.purge(EVENTS, { seq: 2 })
    await database.query('truncate external_messages')
    expect(await rebuild([])).toMatchObject({
      code: 78,
      err: expect.stringMatching(/begins at position 2.*eventstore.*LOG_INCOMPLETE/),
    })
    expect(await messages()).toEqual([])
    expect(await rebuild(['--source', 'eventstore'])).toMatchObject({ code: 0 })
    expect(await messages()).toEqual(wamids(4))
  })

  test.each([
    [['--company', '_'], 2, 'INVALID_OPTION'],
    [['--company', 'c0000000-0000-4000-8000-00000000000c'], 3, 'COMPANY_NOT_IN_LOG'],
    [['--source', 'tape'], 2, 'Allowed choices'],
  ])('called with %j ends with %i', async (args, code, words) => {
    expect(await rebuild(args)).toMatchObject({ code, out: '', err: expect.stringContaining(words) })
  })

  test('ends with 4 when PostgreSQL is not there, and does not tell its password', async () => {
    const { code, err } = await rebuild([], { DATABASE_URL: 'postgres://paco:secreto@127.0.0.1:1/x' })
    expect(code).toBe(4)
    expect(err).toContain('DATABASE_UNAVAILABLE')
    expect(err).not.toContain('secreto')
  })
})

describe('progress', () => {
  test('is told every five seconds, with rate and time left, and when something else begins', () => {
    let now = 0
    const lines = createProgressLines(() => now)
    now = 1_000
    expect(lines.next({ phase: 'folding', done: 100, total: 1_000 })).toBeUndefined()
    now = 5_000
    expect(lines.next({ phase: 'folding', done: 500, total: 1_000 })).toBe(
      'folding: 500 of 1000 events, 100/s, 5 s left',
    )
    now = 6_000
    expect(lines.next({ phase: 'replacing', done: 1_000, total: 1_000 })).toBe('replacing, at position 1000')
  })
  test.each([
    [0, '0 s'],
    [59.2, '1 min 0 s'],
    [125, '2 min 5 s'],
    [4_020, '1 h 7 min'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(durationText(seconds)).toBe(text)
  })
})

test('what was read of a range is known position by position', () => {
  const seen = seenPositions({ after: 10, upTo: 30 })
  for (let position = 11; position <= 30; position++) if (position !== 19) seen.add(position)
  expect(seen.has(18)).toBe(true)
  expect(seen.firstMissing()).toBe(19)
  seen.add(19)
  expect(seen.firstMissing()).toBeUndefined()
})
