import { readFileSync } from 'node:fs'
import { decodeEvent, EVENT_VERSION, encodeEvent, type StoredEvent, UnknownEventVersion } from '@cloudapi2/contracts'
import { startPostgres, type TestServer } from '@cloudapi2/embedded'
import fc from 'fast-check'
import pg, { type Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from '../database.store.ts'
import { at, deleted, edited, PACO, received, SOLVIFY, send, sent, status } from '../event-builders.contract.ts'
import { fold, type LoggedEvent } from '../fold.ts'
import { migrate } from '../migrate.store.ts'
import { createProjectionStore, type ProjectionStore } from '../projection.store.ts'
import { deliveriesOf, logOfEvents } from '../random-events.contract.ts'
import { type Difference, isSame } from './differences.ts'
import type { LogRecord } from './fold-log.ts'
import { checkReadModel, type RebuildLog, type RebuildOptions, type RebuildReport, rebuild } from './rebuild.store.ts'
import { TABLES } from './shadow-sql.ts'

const OTHER = 'b1f0a0de-0000-4000-8000-00000000000b'

let server: TestServer
let pool: Pool
let store: ProjectionStore
/** The log of a test; positions are counted from 1. */
let records: LogRecord[]

beforeAll(async () => {
  server = await startPostgres()
  await migrate(server.url)
  pool = openDatabase({ databaseUrl: server.url, poolSize: 4, applicationName: 'test', log: { warn: () => {} } })
  store = createProjectionStore(pool)
})
afterAll(async () => {
  await pool?.end()
  await server?.stop()
})
beforeEach(async () => {
  records = []
  await pool.query(`truncate ${TABLES.map(({ live }) => live).join(', ')}, gateway.retention_runs`)
  await pool.query('drop schema if exists gateway_shadow cascade')
})

const logOf = (list: () => readonly LogRecord[]): RebuildLog => ({
  extent: async () => ({ first: list()[0]?.position ?? 0, last: list().at(-1)?.position ?? 0 }),
  read: async function* ({ after, upTo, companyId }) {
    for (const record of list())
      if (record.position > after && record.position <= upTo) {
        const isTheirs = Buffer.from(record.body).includes(`"companyid":"${companyId}"`)
        if (companyId === undefined || isTheirs) yield record
      }
  },
})
const options = (given: Partial<RebuildOptions> = {}): RebuildOptions => ({
  databaseUrl: server.url,
  log: logOf(() => records),
  ...given,
})

/** Puts events at the end of the log. */
const append = (...events: LoggedEvent[]): LoggedEvent[] =>
  events.map(({ event }) => {
    const position = records.length + 1
    records.push({ position, body: encodeEvent(event as unknown as StoredEvent) })
    return { event, sequence: position }
  })
/** … and into the live rows, as the projector does. */
const happened = (...events: LoggedEvent[]): Promise<void> => store.apply(fold(append(...events)))

const check = (given: Partial<RebuildOptions> & { position?: number } = {}): Promise<RebuildReport> => {
  const position = given.position ?? records.length
  return checkReadModel({
    ...options(given),
    folded: async () => position,
    hold: async () => ({ position, isStill: async () => true, release: async () => {} }),
  })
}
const places = (differences: readonly Difference[]): string[] =>
  differences.map(({ table, kind, key, column }) =>
    [table, kind, ...key, ...(column === null ? [] : [column])].join(' '),
  )

/** Every row of every table. */
const everything = async (): Promise<Record<string, unknown[]>> => {
  const all: Record<string, unknown[]> = {}
  for (const { name, live, key } of TABLES)
    all[name] = (await pool.query(`select * from ${live} order by ${key.join(', ')}`)).rows
  return all
}

/** A bit of everything: two companies, statuses before their message, an edit, a deletion, commands, a repeat. */
const aDay = async (): Promise<void> => {
  const first = sent('wamid.out', { responsible_email: 'ana@solvify.es', command_id: 'c-1' }, { time: at(1) })
  await happened(
    send('send.requested', 'c-1', at(0), { command: { message: { type: 'text' }, requested_by: 'billing' } }),
    status('wamid.out', 'read', at(9), { pricing: { model: 'PMP' } }),
    first,
    received('wamid.in', { contact: { phone: PACO, name: 'Paco', user_id: 'ES.1' } }, { time: at(2) }),
    received('wamid.other', { text: 'Hej' }, { time: at(3), company: OTHER }),
  )
  await happened(
    edited('wamid.in', 'Corregido', at(20)),
    received('wamid.gone', { kind: 'image' }, { time: at(4) }),
    deleted('wamid.gone', at(30)),
    status('wamid.out', 'delivered', at(5)),
    send('send.failed', 'c-2', at(6), { attempts: 2, error: { code: 'EXPIRED', title: 'too late' } }),
    status('wamid.early', 'sent', at(7)),
  )
  // Stored twice, long after the window in which the log refuses repeats.
  await happened(first)
}

describe('a check', () => {
  test('of rows that are right finds nothing, and leaves nothing behind', async () => {
    await aDay()
    const report = await check()
    expect(report.differences).toEqual([])
    expect(isSame(report.tables)).toBe(true)
    expect(report).toMatchObject({ position: records.length, records: records.length, refused: { count: 0 } })
    expect((await pool.query(`select from pg_namespace where nspname = 'gateway_shadow'`)).rowCount).toBe(0)
  })

  test('finds nothing in what any delivery of any events has made', async () => {
    const arbitrary = logOfEvents({ maxLength: 40 })
      // What cannot be read is a dead letter, for both.
      .map((log) => log.filter(isReadable).map(({ event }, i) => ({ event, sequence: i + 1 })))
      .filter((log) => log.length > 0)
      .chain((log) => fc.tuple(fc.constant(log), deliveriesOf(log)))
    await fc.assert(
      fc.asyncProperty(arbitrary, async ([log, batches]) => {
        records = []
        await pool.query(`truncate ${TABLES.map(({ live }) => live).join(', ')}`)
        append(...log)
        for (const batch of batches) await store.apply(fold(batch))
        const before = await everything()
        expect((await check()).differences).toEqual([])

        await pool.query(`truncate ${TABLES.map(({ live }) => live).join(', ')}`)
        await rebuild(options())
        const after = await everything()
        // What other applications may own is taken from the events in the order they came.
        expect(withoutColumnsOfOthers(after)).toEqual(withoutColumnsOfOthers(before))
      }),
      { numRuns: 25 },
    )
  })

  test.each([
    [
      'a status',
      `update external_messages set status = 'sent' where last_message_uid = 'wamid.out'`,
      'external_messages differs wamid.out status',
    ],
    [
      'a text',
      `update external_messages set message = 'forged' where last_message_uid = 'wamid.in'`,
      'external_messages differs wamid.in message',
    ],
    [
      'a deletion undone',
      `update external_messages set is_deleted = false where last_message_uid = 'wamid.gone'`,
      'external_messages differs wamid.gone is_deleted',
    ],
    [
      'a sender',
      `update external_messages set sender_phone = null where last_message_uid = 'wamid.in'`,
      'external_messages differs wamid.in sender_phone',
    ],
    [
      'another direction',
      `update external_messages set from_me = not from_me where last_message_uid = 'wamid.in'`,
      'external_messages differs wamid.in from_me',
    ],
    [
      'a row that was deleted',
      `delete from external_messages where last_message_uid = 'wamid.in'`,
      'external_messages missing wamid.in',
    ],
    [
      'a row that was invented',
      `insert into external_messages (last_message_uid, message, from_me, created_at, updated_at, company_id)
       values ('wamid.fake', 'never said', false, now(), now(), '${SOLVIFY}')`,
      'external_messages surplus wamid.fake',
    ],
    [
      'another id',
      `update external_messages set id = gen_random_uuid() where last_message_uid = 'wamid.in'`,
      'external_messages differs wamid.in id',
    ],
    [
      'a text behind the row',
      `update gateway.message_details set text = 'forged' where message_id = 'wamid.in'`,
      'message_details differs wamid.in text',
    ],
    [
      'a rank',
      `update gateway.message_states set status_rank = 0 where message_id = 'wamid.out'`,
      'message_states differs wamid.out status_rank',
    ],
    ['a command', `update gateway.sends set status = 'sent' where command_id = 'c-2'`, 'sends differs c-2 status'],
    ['a position', 'update gateway.projections set position = position - 1', 'projections differs messages 2 position'],
  ])('finds %s, by row and column, and a rebuild mends it', async (_name, damage, place) => {
    await aDay()
    const before = await everything()
    await pool.query(damage)
    const damaged = await everything()
    const report = await check()
    expect(places(report.differences)).toEqual([place])
    expect(isSame(report.tables)).toBe(false)
    expect(await everything()).toEqual(damaged)

    const rebuilt = await rebuild(options())
    expect(places(rebuilt.differences)).toEqual([place])
    expect(await everything()).toEqual(before)
  })

  test('finds a changed contact and a lost line of the timeline', async () => {
    await aDay()
    const before = await everything()
    await pool.query(`update gateway.contacts set name = 'Pablo' where name = 'Paco' and company_id = $1`, [SOLVIFY])
    await pool.query(`delete from gateway.message_timeline where type = 'message.edited'`)
    const { differences } = await check()
    expect(places(differences)).toEqual([
      expect.stringMatching(/^message_timeline missing wamid\.in [0-9a-f-]{36}$/),
      expect.stringMatching(/^contacts differs sha256:[0-9a-f]{16} name$/),
    ])
    await rebuild(options())
    expect(await everything()).toEqual(before)
  })

  test('shows states, and neither texts nor phone numbers', async () => {
    await aDay()
    await pool.query(`update external_messages set status = 'sent', message = 'forged', sender_phone = '34699999999'`)
    await pool.query(`update gateway.contacts set name = 'Pablo', phone = '34699999999'`)
    const { differences } = await check()
    expect(differences).toContainEqual({
      table: 'external_messages',
      company_id: SOLVIFY,
      key: ['wamid.out'],
      kind: 'differs',
      column: 'status',
      is_hidden: false,
      live: 'sent',
      expected: 'read',
    })
    expect(JSON.stringify(differences)).not.toMatch(/forged|Hola|Paco|Pablo|34608684495|34699999999/)
  })

  test('lists as many as asked for, and counts all', async () => {
    await aDay()
    await pool.query('delete from external_messages')
    const { differences, tables } = await check({ listed: 2 })
    expect(differences).toHaveLength(2)
    expect(tables.find(({ name }) => name === 'external_messages')).toMatchObject({ missing: 4, surplus: 0 })
  })

  test('compares at the position the projector has reached, whatever the log has gained since', async () => {
    await aDay()
    const reached = records.length
    append(received('wamid.later', {}, { time: at(40) }))
    expect((await check({ position: reached })).differences).toEqual([])
    expect(places((await check()).differences)).toContain('external_messages missing wamid.later')
  })

  test('is refused while the projector folds again what the rows have already', async () => {
    await aDay()
    await expect(check({ position: 3 })).rejects.toMatchObject({ code: 'PROJECTION_BEHIND', retryable: true })
  })

  test('is tried again when the projection did not keep still', async () => {
    await aDay()
    let held = 0
    const report = await checkReadModel({
      ...options(),
      folded: async () => records.length,
      hold: async () => ({ position: records.length, isStill: async () => ++held > 1, release: async () => {} }),
    })
    expect(held).toBe(2)
    expect(report.differences).toEqual([])
  })

  test('without tables says what to do', async () => {
    const url = await newDatabase()
    await expect(
      checkReadModel({
        ...options({ databaseUrl: url }),
        folded: async () => 0,
        hold: async () => ({ position: 0, isStill: async () => true, release: async () => {} }),
      }),
    ).rejects.toMatchObject({ code: 'READ_MODEL_MISSING' })
  })
})

describe('a lost read model', () => {
  test('comes back with the same rows and ids, tables and all', async () => {
    await aDay()
    const before = await everything()
    const url = await newDatabase()
    const report = await rebuild(options({ databaseUrl: url }))
    expect(report.tables.find(({ name }) => name === 'external_messages')).toMatchObject({ missing: 4 })
    const anew = new pg.Client(url)
    await anew.connect()
    for (const { name, live, key } of TABLES)
      expect((await anew.query(`select * from ${live} order by ${key.join(', ')}`)).rows).toEqual(before[name])
    await anew.end()
  })

  test('of which a few tables were dropped is made whole', async () => {
    await aDay()
    const before = await everything()
    await pool.query('drop table gateway.message_timeline cascade; drop table gateway.sends')
    await rebuild(options())
    expect(await everything()).toEqual(before)
    expect((await pool.query('select from gateway.message_statuses')).rowCount).toBe(3)
  })
})

describe('what belongs to others', () => {
  test('columns, a view, a grant and a trigger survive', async () => {
    await aDay()
    await pool.query(`update external_messages set responsible_email = 'crm@solvify.es', chat_url = null,
      assigned_to_id = '11111111-2222-4333-8444-555555555555', updated_at = '2026-12-01T00:00:00Z'`)
    await pool.query(`drop role if exists reporting; create role reporting;
      grant select on external_messages to reporting;
      create or replace view public.unread as select id from external_messages where status <> 'read';
      create or replace function public.noted() returns trigger language plpgsql as 'begin return new; end';
      create or replace trigger noted after update on external_messages for each row execute function public.noted()`)
    expect((await check()).differences).toEqual([])
    await pool.query(`update external_messages set status = 'played' where last_message_uid = 'wamid.out'`)
    await rebuild(options())
    const { rows } = await pool.query(
      `select status, responsible_email, chat_url, assigned_to_id, updated_at from external_messages where last_message_uid = 'wamid.out'`,
    )
    expect(rows).toEqual([
      {
        status: 'read',
        responsible_email: 'crm@solvify.es',
        chat_url: null,
        assigned_to_id: '11111111-2222-4333-8444-555555555555',
        updated_at: new Date('2026-12-01T00:00:00Z'),
      },
    ])
    expect((await pool.query('select from public.unread')).rowCount).toBe(3)
    const kept = await pool.query(`select has_table_privilege('reporting', 'external_messages', 'select') as granted,
      (select count(*)::int from pg_trigger where tgname = 'noted') as triggers`)
    expect(kept.rows).toEqual([{ granted: true, triggers: 1 }])
    await pool.query('drop view public.unread; drop trigger noted on external_messages; drop owned by reporting')
  })

  test('rows from before the log are kept, and get statuses, edits and deletions only', async () => {
    await pool.query(
      `insert into external_messages (message, last_message_uid, last_message_timestamp, from_me, status, created_at, updated_at, company_id)
       select 'De antes', uid, $1, true, 'sent', $1, $1, $2 from unnest(array['wamid.old', 'wamid.retold', 'wamid.untold']) as u (uid)`,
      [at(-1000), SOLVIFY],
    )
    await aDay()
    const { event, sequence } = sent('wamid.retold', { text: 'again' }, { time: at(-1000) })
    await happened(status('wamid.old', 'read', at(50)), { event: { ...event, recordedtime: at(51) }, sequence })
    const before = await everything()
    const report = await check()
    expect(report.differences).toEqual([])
    expect(report.takenOver).toEqual({ rows: 3, unknown: 2 })

    await pool.query(`update external_messages set status = 'sent' where last_message_uid = 'wamid.old'`)
    expect(places((await check()).differences)).toEqual(['external_messages differs wamid.old status'])
    await rebuild(options())
    expect(await everything()).toEqual(before)
  })

  test('a refusal of theirs ends the rebuild and changes nothing', async () => {
    await aDay()
    await pool.query('delete from external_messages')
    await pool.query(`alter table external_messages add constraint no_hola check (message <> 'Hej')`)
    await expect(rebuild(options())).rejects.toMatchObject({ code: 'ROW_REFUSED' })
    expect((await pool.query('select from external_messages')).rowCount).toBe(0)
    await pool.query('alter table external_messages drop constraint no_hola')
  })
})

describe('of one company', () => {
  test('the rows of the others are neither looked at nor touched', async () => {
    await aDay()
    await pool.query(`update external_messages set status = 'forged'`)
    const { differences } = await check({ companyId: OTHER })
    expect(places(differences)).toEqual(['external_messages differs wamid.other status'])
    await rebuild(options({ companyId: OTHER }))
    const { rows } = await pool.query(`select distinct company_id, status from external_messages order by 1`)
    expect(rows).toEqual([
      { company_id: SOLVIFY, status: 'forged' },
      { company_id: OTHER, status: 'received' },
    ])
  })
})

describe('while traffic goes on', () => {
  test('nothing is lost, and a check of the result finds nothing', async () => {
    await aDay()
    await pool.query(`update external_messages set status = 'forged'`)
    let isOver = false
    let n = 0
    const traffic = async () => {
      while (!isOver) {
        const id = `wamid.live${n++}`
        await happened(sent(id, { command_id: `live-${n}` }, { time: at(n) }), status(id, 'read', at(n + 1)))
      }
    }
    const running = traffic()
    for (let round = 0; round < 3; round++) await rebuild(options())
    isOver = true
    await running
    expect((await check()).differences).toEqual([])
    expect((await pool.query('select from external_messages')).rowCount).toBe(n + 4)
  })
})

describe('two at once', () => {
  test('the second is refused, and the first is not disturbed', async () => {
    await aDay()
    let refusal: unknown
    const log = logOf(() => records)
    const slow: RebuildLog = {
      ...log,
      read: async function* (range) {
        refusal ??= await rebuild(options()).catch((error: unknown) => error)
        yield* log.read(range)
      },
    }
    expect((await rebuild(options({ log: slow }))).tables).toHaveLength(TABLES.length)
    expect(refusal).toMatchObject({ code: 'REBUILD_RUNNING', retryable: true })
  })
})

describe('a schema of the name gateway_shadow', () => {
  test('that is not ours is not touched', async () => {
    await pool.query('create schema gateway_shadow; create table gateway_shadow.treasure (id int)')
    await expect(rebuild(options())).rejects.toMatchObject({ code: 'SHADOW_TAKEN' })
    expect((await pool.query('select from gateway_shadow.treasure')).rowCount).toBe(0)
  })
  test('that a killed rebuild left is dropped by the next', async () => {
    await aDay()
    const killed = rebuild(
      options({
        log: {
          ...logOf(() => records),
          // biome-ignore lint/correctness/useYield: the connection is gone before there is anything to read
          read: async function* () {
            await pool.query(
              `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cloudapi rebuild'`,
            )
          },
        },
      }),
    )
    await expect(killed).rejects.toMatchObject({ code: expect.stringMatching(/DATABASE_UNAVAILABLE|LOG_INCOMPLETE/) })
    expect((await pool.query(`select from pg_namespace where nspname = 'gateway_shadow'`)).rowCount).toBe(1)
    expect(isSame((await rebuild(options())).tables)).toBe(true)
    expect((await pool.query(`select from pg_namespace where nspname = 'gateway_shadow'`)).rowCount).toBe(0)
  })
})

describe('a log', () => {
  test('that does not begin with its first event is refused', async () => {
    await aDay()
    records.splice(0, 2)
    await expect(rebuild(options())).rejects.toMatchObject({ code: 'LOG_INCOMPLETE' })
  })
  test('that is another one, and empty, does not empty the tables', async () => {
    await aDay()
    records = []
    const before = await everything()
    await expect(rebuild(options())).rejects.toThrow(/ends at position 0, and the rows are of position 12/)
    expect(await everything()).toEqual(before)
  })
  test('that lacks events in the middle is refused, and nothing changes', async () => {
    await aDay()
    await pool.query('delete from external_messages')
    records.splice(4, 1)
    await expect(rebuild(options())).rejects.toThrow(/1 events up to position 12 are not in it/)
    expect((await pool.query('select from external_messages')).rowCount).toBe(0)
  })
  test('with events that cannot become rows is folded without them, and they are told', async () => {
    await aDay()
    records.push({ position: 13, body: Buffer.from('{') })
    const [unfoldable] = append(received(`wamid.${'x'.repeat(900)}`)) as [LoggedEvent]
    append(received('wamid.after'))
    // Of no type that becomes rows, in a version that nobody here knows: no business of the read model.
    const other = { ...received('wamid.x').event, type: 'account.notified', dataschema: 'account.notified/9' }
    records.push({ position: 16, body: Buffer.from(JSON.stringify(other)) })
    const report = await rebuild(options())
    expect(report.refused).toEqual({
      count: 2,
      first: [
        { position: 13, code: 'UNREADABLE_EVENT', reason: expect.any(String) },
        { position: unfoldable.sequence, code: 'UNFOLDABLE_EVENT', reason: expect.any(String) },
      ],
    })
    expect((await pool.query(`select from external_messages where last_message_uid = 'wamid.after'`)).rowCount).toBe(1)
  })
  test('with an event that is newer than this software is refused before anything changes', async () => {
    await aDay()
    await pool.query('delete from external_messages')
    const { event } = received('wamid.new')
    records.push({ position: 13, body: Buffer.from(JSON.stringify({ ...event, dataschema: 'message.created/2' })) })
    await expect(rebuild(options())).rejects.toBeInstanceOf(UnknownEventVersion)
    expect((await pool.query('select from external_messages')).rowCount).toBe(0)
  })
})

describe('retention', () => {
  const cut = (before: string) =>
    append({
      event: {
        specversion: '1.0',
        id: `cut-${before}`,
        source: '/projector',
        type: 'retention.applied',
        subject: SOLVIFY,
        time: before,
        companyid: SOLVIFY,
        channel: 'system',
        recordedtime: before,
        dataschema: 'retention.applied/1',
        data: { before, retention_days: 30, removed: { messages: 1, sends: 1, media: 0 } },
      } as LoggedEvent['event'],
      sequence: 0,
    })
  const removed = `delete from external_messages where company_id = '${SOLVIFY}' and created_at < '${at(2)}';
    delete from gateway.message_timeline where message_id = 'wamid.out'; delete from gateway.message_states where message_id = 'wamid.out';
    delete from gateway.message_details where message_id = 'wamid.out'; delete from gateway.sends where command_id = 'c-1'`

  test('what it removed is neither missing nor brought back, whatever came later about it', async () => {
    await aDay()
    await store.apply(fold(cut(at(2))))
    await pool.query(removed)
    await happened(status('wamid.out', 'played', at(100)))
    const before = await everything()
    expect((await check()).differences).toEqual([])
    await pool.query('delete from gateway.retention')
    expect(places((await check()).differences)).toEqual(['retention missing'])
    await rebuild(options())
    const after = await everything()
    expect(after).toEqual(before)
    expect(after.retention).toEqual([{ company_id: SOLVIFY, before: new Date(at(2)) }])
  })

  test('what it told after the position of a check is not missing', async () => {
    await aDay()
    const position = records.length
    await pool.query(removed)
    cut(at(2))
    expect((await check({ position })).differences).toEqual([])
  })

  test('what it is removing is not missing either', async () => {
    await aDay()
    await pool.query(removed)
    expect((await check()).differences).not.toEqual([])
    await pool.query(`insert into gateway.retention_runs values ($1, $2, 30, false, 1, 1, 0, 0, 0)`, [SOLVIFY, at(2)])
    expect((await check()).differences).toEqual([])
  })
})

describe('an event of an old version', () => {
  /** A stored event of version 1, byte for byte, read by a software whose version is 2. */
  const stored = readFileSync(new URL('fixtures/status-updated-1.json', import.meta.url))
  beforeEach(() => {
    EVENT_VERSION['status.updated'] = 2
  })
  afterEach(() => {
    EVENT_VERSION['status.updated'] = 1
  })

  test('is read by way of its steps', async () => {
    records.push({ position: 1, body: stored })
    // As if version 2 named whoever read a message in a group by its digits, under another key.
    const upcasters = {
      'status.updated/1': ({ read_by, ...data }: Record<string, unknown>) => ({
        ...data,
        participant: String(read_by).replace(/\D/g, ''),
      }),
    }
    await rebuild(options({ upcasters }))
    const { rows } = await pool.query('select message_id, status, participant from gateway.message_statuses')
    expect(rows).toEqual([
      { message_id: 'wamid.HBgLMzQ2MDg2ODQ0OTUVAgARGBI', status: 'read', participant: '34608684495' },
    ])
    expect(stored.equals((records[0] as LogRecord).body)).toBe(true)
  })
  test('of which a step is missing is refused', async () => {
    records.push({ position: 1, body: stored })
    await expect(rebuild(options())).rejects.toMatchObject({ code: 'UNKNOWN_EVENT_VERSION' })
  })
})

const isReadable = ({ event }: LoggedEvent): boolean => {
  try {
    decodeEvent(encodeEvent(event as unknown as StoredEvent))
    return true
  } catch {
    return false
  }
}

const withoutColumnsOfOthers = (all: Record<string, unknown[]>): Record<string, unknown[]> => ({
  ...all,
  external_messages: (all.external_messages ?? []).map((row) => ({
    ...(row as object),
    responsible_email: null,
    chat_url: null,
    assigned_to_id: null,
  })),
})

let databases = 0
const newDatabase = async (): Promise<string> => {
  const name = `lost_${++databases}`
  await pool.query(`create database ${name}`)
  return server.url.replace(/\/[^/]*$/, `/${name}`)
}
