import { encodeEvent, eventId, newEvent, REPLAY_HEADER, REPLAY_POSITION_HEADER } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { archiveStream, connectEventStore, type EventLog, jetStreamLog, type LogEntry } from '@cloudapi2/event-log'
import { startEventStoreServer } from '@cloudapi2/eventstore-server'
import {
  applyTopology,
  connectNats,
  createPublisher,
  dropBefore,
  EVENTS,
  type Nats,
  type Publisher,
  type Request,
  streamExtent,
} from '@cloudapi2/nats'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { start } from '../output/terminal.rig.ts'
import { tailCommand } from '../tail/tail.handler.ts'
import { replayCommand } from './replay.handler.ts'

const waitFor = <T>(fact: () => T | Promise<T>) => vi.waitFor(fact, { timeout: 20_000 })

const ONE = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const OTHER = 'b9242a58-4f5d-494c-8a74-45f8cee150e6'
const NEWER = 'd9242a58-4f5d-494c-8a74-45f8cee150e6'
const silent = { info: () => {}, warn: () => {}, error: () => {} }

let server: Awaited<ReturnType<typeof startNats>>
let archive: Awaited<ReturnType<typeof startEventStoreServer>>
let nats: Nats
let publisher: Publisher
let log: EventLog
let env: Record<string, string>

const created = (company: string, message: string, recorded: string) =>
  newEvent({
    id: eventId(company, 'message.created', message),
    source: '/test',
    type: 'message.created',
    subject: message,
    time: recorded,
    companyId: company,
    channel: 'whatsapp',
    recordedTime: recorded,
    data: {
      message_id: message,
      direction: 'inbound',
      kind: 'text',
      text: 'Confidential words',
      sender_phone: '34608684495',
      status: 'received',
      raw: {},
    },
  })
const read = (company: string, message: string, recorded: string) =>
  newEvent({
    id: eventId(company, 'status.updated', message, 'read'),
    source: '/test',
    type: 'status.updated',
    subject: message,
    time: recorded,
    companyId: company,
    channel: 'whatsapp',
    recordedTime: recorded,
    data: { message_id: message, status: 'read', raw: {} },
  })

/** Positions 1 to 6. */
const STORED = [
  created(ONE, 'wamid.1', '2026-11-01T00:00:00.000Z'),
  created(OTHER, 'wamid.9', '2026-11-01T12:00:00.000Z'),
  read(ONE, 'wamid.1', '2026-11-02T00:00:00.000Z'),
  created(ONE, 'wamid.2', '2026-11-03T00:00:00.000Z'),
  read(OTHER, 'wamid.9', '2026-11-03T12:00:00.000Z'),
  read(ONE, 'wamid.2', '2026-11-04T00:00:00.000Z'),
]

beforeAll(async () => {
  server = await startNats({})
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  publisher = createPublisher(nats, { timeoutMs: 5_000 })
  log = jetStreamLog({ nats, publisher })
  for (const event of STORED) await log.append([event])
  // Position 7: of a version that does not exist yet.
  const newer = encodeEvent(created(NEWER, 'wamid.7', '2026-11-05T00:00:00.000Z')).toString()
  await publisher.publish({
    subject: `evt.${NEWER}.whatsapp.message.created`,
    msgId: 'newer',
    data: newer.replace('message.created/1', 'message.created/99'),
  })
  archive = await startEventStoreServer({})
  env = { NATS_URL: server.url, DATA_DIR: '/nowhere', EVENTSTORE_URL: archive.url }
})
afterAll(async () => {
  await archive?.stop()
  publisher?.close()
  await nats?.close()
  await server?.stop()
})

const ending = new AbortController()
const replay = (args: string[], more: Record<string, string> = {}, signal = ending.signal) =>
  start((terminal) => replayCommand({ env: { ...env, ...more }, terminal, now: Date.now, ended: () => signal }), args)
    .done
const positions = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).position as number)
const asked = async (args: string[]) => positions((await replay(['--positions', '-o', 'ndjson', ...args])).out)

describe('cloudapi replay', () => {
  test('tells what happened to a company, in order, and shows no content', async () => {
    const { code, out, err } = await replay(['--company', ONE])
    expect(code).toBe(0)
    expect(out.trimEnd().split('\n')).toHaveLength(4)
    expect(out).not.toMatch(/Confidential|34608684495|b9242a58/)
    expect(err).toBe('4 events, positions 1 to 6\n')
  })

  test('filters by message, type, time and position', async () => {
    expect(await asked(['--company', ONE])).toEqual([1, 3, 4, 6])
    expect(await asked(['--company', ONE, '--message', 'wamid.2'])).toEqual([4, 6])
    expect(await asked(['--company', ONE, '--type', 'status.updated'])).toEqual([3, 6])
    // From (inclusive) to (exclusive).
    const times = ['--from', '2026-11-02T00:00:00Z', '--to', '2026-11-04T00:00:00Z']
    expect(await asked(['--company', ONE, ...times])).toEqual([3, 4])
    expect(await asked(['--company', ONE, '--after', '3'])).toEqual([4, 6])
    expect(await asked(['--company', ONE, '--after', '0', '--type', 'message.created'])).toEqual([1, 4])
  })

  test('gives scripts whole events: one array, or a line each', async () => {
    const { out } = await replay(['--company', ONE, '-o', 'json'])
    expect(JSON.parse(out)).toEqual([STORED[0], STORED[2], STORED[3], STORED[5]])
    const lines = (await replay(['--company', ONE, '-o', 'ndjson', '--as-stored'])).out.trimEnd().split('\n')
    expect(lines[0]).toBe(encodeEvent(STORED[0] as (typeof STORED)[0]).toString())
    expect(JSON.parse((await replay(['--company', ONE, '--type', 'send.failed', '-o', 'json'])).out)).toEqual([])
  })

  test('gives the same from the archive as from the log', async () => {
    const copy = connectEventStore(archive.url)
    for (const companyId of [ONE, OTHER]) {
      const entries: LogEntry[] = []
      for await (const entry of log.read({ companyId })) entries.push(entry)
      // As the archiver does.
      const answer = await copy.appendAt(archiveStream('whatsapp', companyId), entries, 'no_stream')
      expect(answer.kind).toBe('stored')
    }
    await copy.close()
    for (const args of [
      ['--company', ONE],
      ['--company', OTHER, '--message', 'wamid.9'],
      ['--company', ONE, '--after', '3'],
    ]) {
      const whole = [...args, '-o', 'ndjson', '--positions', '--as-stored']
      const fromLog = await replay([...whole, '--source', 'jetstream'])
      const fromArchive = await replay([...whole, '--source', 'eventstore'])
      expect(fromArchive.out).toBe(fromLog.out)
      expect(fromLog.out).not.toBe('')
    }
  })
})

describe('cloudapi replay says clearly', () => {
  test('that the log has nothing of a company, or of a message', async () => {
    const company = await replay(['--company', 'c9242a58-4f5d-494c-8a74-45f8cee150e6'])
    expect(company).toMatchObject({ code: 3, out: '' })
    expect(company.err).toMatch(/no event of company c9242a58.* is in the log.*COMPANY_NOT_IN_LOG/)
    const message = await replay(['--company', ONE, '--message', 'wamid.9'])
    expect(message).toMatchObject({ code: 3, out: '', err: expect.stringContaining('MESSAGE_NOT_IN_LOG') })
  })
  test('that only the filters leave nothing', async () => {
    expect(await replay(['--company', ONE, '--type', 'send.failed'])).toEqual({ code: 0, out: '', err: 'no events\n' })
  })
  test('that a range is reversed', async () => {
    const { code, err } = await replay(['--company', ONE, '--from', '2026-12-01', '--to', '2026-11-01'])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(/must be before --to/) })
  })
  test('where the log ends', async () => {
    const { code, err } = await replay(['--company', ONE, '--after', '8'])
    expect({ code, err }).toEqual({ code: 3, err: expect.stringMatching(/the log ends at position 7/) })
  })
  test('where an event is that this version cannot read, and prints it when asked to', async () => {
    for (const output of ['ndjson', 'json', 'table']) {
      const { code, err } = await replay(['--company', NEWER, '-o', output])
      expect(code).toBe(78)
      expect(err).toMatch(/position 7: message\.created version 99 is newer.*--as-stored.*UNKNOWN_EVENT_VERSION/)
    }
    const stored = await replay(['--company', NEWER, '-o', 'ndjson', '--as-stored'])
    expect(stored.code).toBe(0)
    expect(JSON.parse(stored.out).dataschema).toBe('message.created/99')
  })
  test('that it does not know where the archive is', async () => {
    const { code, err } = await replay(['--company', ONE, '--source', 'eventstore'], { EVENTSTORE_URL: '' })
    expect({ code, err }).toEqual({ code: 4, err: expect.stringMatching(/set EVENTSTORE_URL/) })
  })
  test('that NATS is away, within seconds', async () => {
    const { code, err } = await replay(['--company', ONE], { NATS_URL: 'nats://127.0.0.1:1' })
    expect({ code, err }).toEqual({ code: 4, err: expect.stringMatching(/NATS_UNREACHABLE/) })
  })
})

test('a replay that is interrupted does not look like a whole one', async () => {
  const ended = AbortSignal.abort('interrupted')
  const { code, out, err } = await replay(['--company', ONE, '-o', 'json'], {}, ended)
  expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(/REPLAY_STOPPED/) })
  expect(out).not.toContain(']')
  // As under `| head`: whoever closed the output has what they wanted.
  expect((await replay(['--company', ONE], {}, AbortSignal.abort('output closed'))).code).toBe(0)
})

describe('a replay to one receiver', () => {
  const received = (id: string) => {
    const all: Request[] = []
    const stop = nats.subscribe(`replay.${id}.>`, (message) => void all.push(message))
    return { all, stop }
  }

  test('goes to the subjects of that receiver alone, marked, between its begin and its end', async () => {
    const before = await streamExtent(nats, EVENTS)
    const live: string[] = []
    const stops = ['evt.>', 'cmd.>', 'dlq.>', 'qry.>'].map((subject) =>
      nats.subscribe(subject, (message) => void live.push(message.subject)),
    )
    const { all, stop } = received('crm')
    const stranger = received('other')
    await nats.flush()
    const { code, err } = await replay(['--company', ONE, '--receiver', 'crm', '--rate', '1000'])
    expect({ code, err }).toEqual({ code: 0, err: '4 events sent to replay.crm.>, positions 1 to 6\n' })
    await waitFor(() => expect(all).toHaveLength(6))
    expect(all.map(({ subject }) => subject)).toEqual([
      'replay.crm.begin',
      `replay.crm.${ONE}.whatsapp.message.created`,
      `replay.crm.${ONE}.whatsapp.status.updated`,
      `replay.crm.${ONE}.whatsapp.message.created`,
      `replay.crm.${ONE}.whatsapp.status.updated`,
      'replay.crm.end',
    ])
    expect(all.every(({ header }) => header(REPLAY_HEADER) === 'crm')).toBe(true)
    expect(all.map(({ header }) => header(REPLAY_POSITION_HEADER))).toEqual([undefined, '1', '3', '4', '6', undefined])
    // With an id, a stream that somebody keeps of a replay would drop the second one.
    expect(all.every(({ header }) => header('Nats-Msg-Id') === undefined)).toBe(true)
    expect(Buffer.from(all[1]?.data as Uint8Array)).toEqual(encodeEvent(STORED[0] as (typeof STORED)[0]))
    expect(JSON.parse(Buffer.from(all[5]?.data as Uint8Array).toString())).toEqual({
      replay: 'crm',
      events: 4,
      first: 1,
      last: 6,
    })
    expect(live).toEqual([])
    expect(stranger.all).toEqual([])
    expect(await streamExtent(nats, EVENTS)).toEqual(before)
    for (const end of [stop, stranger.stop, ...stops]) end()
  })

  test("goes by the design's --to as well, with a time beside it", async () => {
    const { all, stop } = received('crm')
    await nats.flush()
    const to = ['--to', 'replay.crm.>', '--to', '2026-11-03T00:00:00Z']
    expect((await replay(['--company', ONE, ...to])).code).toBe(0)
    await waitFor(() => expect(all.at(-1)?.subject).toBe('replay.crm.end'))
    expect(all).toHaveLength(4)
    stop()
  })

  test('keeps to its rate', async () => {
    const { all, stop } = received('slow')
    await nats.flush()
    const startedAt = performance.now()
    await replay(['--company', ONE, '--receiver', 'slow', '--rate', '5'])
    // Four events, the last of them no earlier than three fifths of a second after the first.
    expect(performance.now() - startedAt).toBeGreaterThan(590)
    expect(all.length).toBeGreaterThanOrEqual(5)
    stop()
  })

  test('sends what this version cannot read as it is stored', async () => {
    const { all, stop } = received('crm')
    await nats.flush()
    expect((await replay(['--company', NEWER, '--receiver', 'crm'])).code).toBe(0)
    await waitFor(() => expect(all.at(-1)?.subject).toBe('replay.crm.end'))
    expect(JSON.parse(Buffer.from(all[1]?.data as Uint8Array).toString()).dataschema).toBe('message.created/99')
    stop()
  })

  test('sends what is no event at all under a subject of its own', async () => {
    const foreign = 'e9242a58-4f5d-494c-8a74-45f8cee150e6'
    await publisher.publish({ subject: `evt.${foreign}.x.y.z`, msgId: 'foreign', data: 'no JSON' })
    const { all, stop } = received('crm')
    await nats.flush()
    expect((await replay(['--company', foreign, '--receiver', 'crm'])).code).toBe(0)
    await waitFor(() => expect(all.at(-1)?.subject).toBe('replay.crm.end'))
    expect(all[1]?.subject).toBe('replay.crm._.system.event.unreadable')
    expect(Buffer.from(all[1]?.data as Uint8Array).toString()).toBe('no JSON')
    stop()
  })

  test('is refused when nobody is there, before anything is sent', async () => {
    const { code, err } = await replay(['--company', ONE, '--receiver', 'nobody'])
    expect({ code, err }).toEqual({
      code: 4,
      err: expect.stringMatching(/nobody subscribes to replay\.nobody\.>.*nothing/),
    })
  })

  test('that loses its receiver does not end as if all were well', async () => {
    const stop = nats.subscribe('replay.brief.>', ({ subject }) => {
      if (subject !== 'replay.brief.begin') stop()
    })
    await nats.flush()
    const { code, err } = await replay(['--company', ONE, '--receiver', 'brief', '--rate', '20'])
    expect({ code, err }).toEqual({
      code: 4,
      err: expect.stringMatching(/nobody subscribes .* any more: 4 events were sent/),
    })
  })

  test('that is stopped tells of no end', async () => {
    const { all, stop } = received('stopped')
    await nats.flush()
    const ctrlC = new AbortController()
    const running = replay(['--company', ONE, '--receiver', 'stopped', '--rate', '1'], {}, ctrlC.signal)
    await waitFor(() => expect(all.length).toBeGreaterThanOrEqual(1))
    ctrlC.abort()
    expect(await running).toMatchObject({ code: 1, err: expect.stringMatching(/REPLAY_STOPPED/) })
    expect(all.map(({ subject }) => subject)).not.toContain('replay.stopped.end')
    stop()
  })
})

describe('cloudapi tail', () => {
  const tail = (args: string[], signal: AbortSignal) =>
    start((terminal) => tailCommand({ env, terminal, now: Date.now, ended: () => signal }), args)

  test('tells what happens from then on, goes on after a restart of the server, and ends well', async () => {
    const ctrlC = new AbortController()
    const running = tail(['-o', 'ndjson', '--positions', '--company', ONE, '--after', '8'], ctrlC.signal)
    const [first, second] = [
      created(ONE, 'wamid.3', '2026-11-06T00:00:00.000Z'),
      created(ONE, 'wamid.4', '2026-11-06T00:00:01.000Z'),
    ]
    await log.append([first])
    await waitFor(() => expect(positions(running.out())).toEqual([9]))
    await server.kill()
    await waitFor(() => expect(running.err()).toContain('the connection was lost'))
    await server.restart()
    await waitFor(() => log.append([created(OTHER, 'wamid.5', '2026-11-06T00:00:00.000Z')]))
    await log.append([second])
    await waitFor(() => expect(positions(running.out())).toEqual([9, 11]))
    expect(running.err()).toContain('connected again; going on after position 9')
    ctrlC.abort()
    expect((await running.done).code).toBe(0)
  })

  test('is told from the moment it begins, unless it is asked for more', async () => {
    const ctrlC = new AbortController()
    const now = tail(['-o', 'ndjson', '--positions'], ctrlC.signal)
    const since = tail(
      ['-o', 'ndjson', '--positions', '--since', '2026-11-05', '--type', 'message.created'],
      ctrlC.signal,
    )
    await waitFor(() => expect(positions(since.out())).toEqual([7, 9, 10, 11]))
    let count = 0
    await waitFor(async () => {
      await log.append([read(ONE, `wamid.later.${++count}`, '2026-11-07T00:00:00.000Z')])
      expect(positions(now.out()).length).toBeGreaterThan(0)
    })
    expect(Math.min(...positions(now.out()))).toBeGreaterThan(11)
    ctrlC.abort()
    expect((await now.done).code).toBe(0)
    expect((await since.done).code).toBe(0)
  })

  test('gives up at once when there is no server at the start', async () => {
    const running = start(
      (terminal) =>
        tailCommand({ env: { NATS_URL: 'nats://127.0.0.1:1' }, terminal, now: Date.now, ended: () => ending.signal }),
      [],
    )
    expect(await running.done).toMatchObject({ code: 4, err: expect.stringMatching(/NATS_UNREACHABLE/) })
  })
})

test('a log that has lost its beginning says so', async () => {
  await dropBefore(nats, EVENTS, 4)
  const { code, out, err } = await replay(['--company', OTHER])
  expect(code).toBe(0)
  expect(out).toMatch(/^ +5 /)
  expect(err).toContain('the log begins at position 4: what was before is not in it')
  expect((await replay(['--company', OTHER, '--after', '3'])).err).not.toContain('begins at')
})
