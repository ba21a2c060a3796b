import { eventId, type GatewayEvent, newEvent } from '@cloudapi2/contracts'
import { startPostgres, type TestServer } from '@cloudapi2/embedded'
import fc from 'fast-check'
import type { Pool } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from './database.store.ts'
import { deleted, edited, received, SOLVIFY, send, sent, status } from './event-builders.contract.ts'
import { fold, type LoggedEvent } from './fold.ts'
import { migrate } from './migrate.store.ts'
import { createProjectionStore, type ProjectionStore } from './projection.store.ts'
import { deliveriesOf } from './random-events.contract.ts'
import { createRetentionStore, type RetentionRun, type RetentionStore, sweepAtOnce } from './retention.store.ts'
import { retentionWatermark } from './retention.ts'

const TABLES = {
  'public.external_messages': 'company_id, last_message_uid',
  'gateway.message_states': 'company_id, message_id',
  'gateway.message_details': 'company_id, message_id',
  'gateway.message_timeline': 'company_id, message_id, event_id',
  'gateway.sends': 'company_id, command_id',
  'gateway.contacts': 'company_id, contact_key',
  'gateway.retention': 'company_id',
} as const
const OTHER = 'b1f0a0de-0000-4000-8000-00000000000b'

let server: TestServer
let pool: Pool
let store: ProjectionStore
let retention: RetentionStore

beforeAll(async () => {
  server = await startPostgres()
  await migrate(server.url)
  pool = openDatabase({ databaseUrl: server.url, poolSize: 4, applicationName: 'test', log: { warn: () => {} } })
  store = createProjectionStore(pool)
  retention = createRetentionStore(pool)
})
afterAll(async () => {
  await pool?.end()
  await server?.stop()
})
const emptied = () => pool.query(`truncate ${Object.keys(TABLES).join(', ')}, gateway.retention_runs`)
beforeEach(emptied)

const day = (n: number, time = '08:00:00.000') => `2026-11-${String(n).padStart(2, '0')}T${time}Z`
const WATERMARK = day(10, '00:00:00.000')

const happened = (...events: LoggedEvent[]) => store.apply(fold(events))
const applied = (before: string, company = SOLVIFY): LoggedEvent => ({
  event: newEvent({
    id: eventId(company, 'retention.applied', company, before),
    source: '/projector',
    type: 'retention.applied',
    subject: company,
    time: before,
    companyId: company,
    channel: 'system',
    recordedTime: before,
    data: { before, retention_days: 14, removed: { messages: 1, sends: 0, media: 0 } },
  }) as unknown as GatewayEvent,
  sequence: 1_000_000,
})

/** One run over one company, as the projector does it; what there is to tell is told to nobody. */
const swept = async ({
  before = WATERMARK,
  company = SOLVIFY,
  hasDays = true,
  batchSize = 3,
} = {}): Promise<RetentionRun | undefined> => {
  let run: RetentionRun | undefined
  const wasAlone = await retention.alone(async (sweeper) => {
    const sweep = { companyId: company, before, retentionDays: hasDays ? 14 : undefined, batchSize }
    await sweepAtOnce(sweeper, sweep)
    run = await sweeper.finish(sweep)
  })
  expect(wasAlone).toBe(true)
  return run
}
const told = (run: RetentionRun) => retention.alone((sweeper) => sweeper.told(run))

/** Every column of every row, as PostgreSQL prints it. */
const everything = async (): Promise<Record<string, string[]>> => {
  const tables: Record<string, string[]> = {}
  for (const [table, key] of Object.entries(TABLES)) {
    const { rows } = await pool.query<{ row: string }>(`select t::text as row from ${table} t order by ${key}`)
    tables[table] = rows.map(({ row }) => row)
  }
  return tables
}
const ids = async (): Promise<string[]> =>
  (await pool.query('select last_message_uid as id from public.external_messages order by 1')).rows.map(({ id }) => id)
const count = async (table: string): Promise<number> =>
  (await pool.query(`select count(*)::int as n from ${table}`)).rows[0].n

describe('the watermark', () => {
  test('is a full hour, and what is as old as the days say goes within the hour after them', () => {
    const now = Date.parse('2026-11-24T14:37:06.123Z')
    expect(retentionWatermark(now, 14)).toBe('2026-11-10T14:00:00.000Z')
    expect(retentionWatermark(now + 3_600_000, 14)).toBe('2026-11-10T15:00:00.000Z')
  })

  test('of several in the log is the latest, in any order', async () => {
    await happened(applied(day(10)), applied(day(8)))
    await happened(applied(day(9)), applied(day(3), OTHER))
    const { rows } = await pool.query('select * from gateway.retention order by company_id')
    expect(rows).toEqual([
      { company_id: SOLVIFY, before: new Date(day(10)) },
      { company_id: OTHER, before: new Date(day(3)) },
    ])
  })
})

describe('a sweep', () => {
  test('removes messages that were created before the watermark, with all their rows, and no others', async () => {
    const old = ['wamid.1', 'wamid.2', 'wamid.3', 'wamid.4', 'wamid.5']
    for (const id of old)
      await happened(
        received(id, { media: { id: `file of ${id}` } }, { time: day(9) }),
        edited(id, 'Corregido', day(9, '09:00:00.000')),
        status(id, 'read', day(9, '10:00:00.000')),
      )
    await happened(received('wamid.kept', {}, { time: WATERMARK }), deleted('wamid.kept', day(11)))
    await happened(received('wamid.other', {}, { time: day(1), company: OTHER }))

    const run = await swept()
    expect(run).toMatchObject({ company_id: SOLVIFY, before: WATERMARK, retention_days: 14 })
    expect(run?.removed).toMatchObject({ messages: 5, media: 5, sends: 0 })
    expect(await ids()).toEqual(['wamid.kept', 'wamid.other'])
    for (const table of ['message_states', 'message_details']) expect(await count(`gateway.${table}`)).toBe(2)
    expect(await count('gateway.message_timeline')).toBe(3)
  })

  test('removes a row that other applications have written into as well', async () => {
    await happened(sent('wamid.1', {}, { time: day(9) }))
    await pool.query(`update public.external_messages set responsible_email = 'crm@solvify.es', updated_at = now()`)
    await swept()
    expect(await ids()).toEqual([])
  })

  test('removes rows that never came from the log', async () => {
    const insert = `insert into public.external_messages (last_message_uid, from_me, created_at, updated_at, company_id)
      values ($1, true, $2, now(), $3)`
    await pool.query(insert, ['wamid.before', day(9), SOLVIFY])
    await pool.query(insert, ['wamid.since', day(10), SOLVIFY])
    expect((await swept())?.removed.messages).toBe(1)
    expect(await ids()).toEqual(['wamid.since'])
  })

  test('removes commands by when they were first heard of', async () => {
    await happened(
      send('send.requested', 'cmd-old', day(9), { command: {} }),
      send('send.failed', 'cmd-old', day(9, '09:00:00.000'), { attempts: 1, error: { code: 1, title: 'x' } }),
      send('send.requested', 'cmd-new', day(10), { command: {} }),
    )
    expect((await swept())?.removed.sends).toBe(1)
    expect((await pool.query('select command_id from gateway.sends')).rows).toEqual([{ command_id: 'cmd-new' }])
  })

  test('removes contacts of whom nothing was heard since, and keeps what others said since', async () => {
    const contact = (phone: string, more: object = {}) => ({ chat_id: phone, contact: { phone, ...more } })
    await happened(
      received('wamid.1', contact('34600000001', { name: 'Ana' }), { time: day(9) }),
      received('wamid.2', contact('34600000002', { name: 'Paco', username: 'paco' }), { time: day(9) }),
      received('wamid.3', contact('34600000002', { name: 'Paco' }), { time: day(11) }),
    )
    expect((await swept())?.removed.contacts).toBe(1)
    expect((await pool.query('select phone, name, username, last_seen from gateway.contacts')).rows).toEqual([
      { phone: '34600000002', name: 'Paco', username: null, last_seen: new Date(day(11)) },
    ])
  })

  test('looks at every contact, page after page', async () => {
    const phones = Array.from({ length: 70 }, (_, i) => `346000001${String(i).padStart(2, '0')}`)
    await happened(
      ...phones.map((phone, i) =>
        received(`wamid.${i}`, { chat_id: phone, contact: { phone } }, { time: i === 69 ? day(9) : day(11) }),
      ),
    )
    expect((await swept({ batchSize: 2 }))?.removed.contacts).toBe(1)
    expect(await count('gateway.contacts')).toBe(69)
  })

  test('leaves the rows of a message that somebody works on to the next run', async () => {
    await happened(received('wamid.1', {}, { time: day(9) }), received('wamid.2', {}, { time: day(9) }))
    const busy = await pool.connect()
    await busy.query(`begin; select from gateway.message_states where message_id = 'wamid.1' for update`)
    await swept()
    await busy.query('rollback')
    busy.release()
    expect(await ids()).toEqual(['wamid.1'])
    await swept()
    expect(await ids()).toEqual([])
  })

  test('finds what is old by an index', async () => {
    const client = await pool.connect()
    try {
      await client.query('set enable_seqscan = off')
      const { rows } = await client.query(
        `explain select from gateway.message_states where company_id = $1 and created_at < $2`,
        [SOLVIFY, WATERMARK],
      )
      expect(JSON.stringify(rows)).toContain('message_states_by_time')
    } finally {
      client.release(true)
    }
  })
})

describe('what is told of a run', () => {
  const removedMessage = () => happened(received('wamid.1', {}, { time: day(9) }))

  test('is nothing when nothing was removed', async () => {
    await happened(received('wamid.1', {}, { time: day(11) }))
    expect(await swept()).toBeUndefined()
  })

  test('is told once', async () => {
    await removedMessage()
    await told((await swept()) as RetentionRun)
    expect(await swept()).toBeUndefined()
    await retention.alone(async (sweeper) => expect(await sweeper.untold()).toEqual([]))
  })

  test('is kept over a crash between removing and telling', async () => {
    await removedMessage()
    const run = await swept()
    await retention.alone(async (sweeper) => expect(await sweeper.untold()).toEqual([run]))
  })

  test('is not told again after a crash between telling and noting that, once the log has come by', async () => {
    await removedMessage()
    await swept()
    await happened(applied(WATERMARK))
    await retention.alone(async (sweeper) => expect(await sweeper.untold()).toEqual([]))
    await happened(received('wamid.2', {}, { time: day(10) }))
    expect((await swept({ before: day(11) }))?.removed.messages).toBe(1)
  })

  test('adds up over runs that were broken off', async () => {
    await happened(...[1, 2, 3].map((i) => received(`wamid.${i}`, {}, { time: day(9) })))
    await retention.alone(async (sweeper) => {
      const steps = sweeper.sweep({ companyId: SOLVIFY, before: WATERMARK, retentionDays: 14, batchSize: 1 })
      await steps.next()
      expect(await count('public.external_messages')).toBe(2)
      expect(await sweeper.untold()).toEqual([])
    })
    expect((await swept())?.removed.messages).toBe(3)
  })

  test('of what came late and went again comes with the next watermark', async () => {
    await removedMessage()
    await told((await swept()) as RetentionRun)
    await removedMessage()
    expect(await ids()).toEqual(['wamid.1'])
    expect(await swept()).toBeUndefined()
    expect(await ids()).toEqual([])
    expect((await swept({ before: day(11) }))?.removed.messages).toBe(1)
  })

  test('is nothing for a company that has no days any more: what came back late goes again, silently', async () => {
    await removedMessage()
    expect(await swept({ hasDays: false })).toBeUndefined()
    expect(await ids()).toEqual([])
  })
})

test('one process at a time works on it', async () => {
  let isInside = false
  await retention.alone(async () => {
    isInside = await retention.alone(async () => {})
  })
  expect(isInside).toBe(false)
  expect(await retention.alone(async () => {})).toBe(true)
})

test('a run that fails gives the work free', async () => {
  const failing = retention.alone(async (sweeper) => {
    await sweepAtOnce(sweeper, { companyId: 'no uuid', before: WATERMARK, retentionDays: 14, batchSize: 1 })
  })
  await expect(failing).rejects.toMatchObject({ code: '22P02' })
  expect(await retention.alone(async () => {})).toBe(true)
})

/** A message, then what happened to it, around the watermark; each fact with an id of its own. */
const message = fc
  .record({
    id: fc.integer({ min: 1, max: 4 }),
    createdDay: fc.integer({ min: 7, max: 12 }),
    isOutbound: fc.boolean(),
    later: fc.array(
      fc.record({
        kind: fc.constantFrom('delivered', 'read', 'failed', 'edit', 'delete'),
        after: fc.integer({ min: 0, max: 5 }),
      }),
      { maxLength: 5 },
    ),
    isTold: fc.boolean(),
  })
  .map(({ id, createdDay, isOutbound, later, isTold }) => {
    const messageId = `wamid.${id}`
    const events: LoggedEvent[] = []
    if (isTold)
      events.push(
        isOutbound
          ? sent(messageId, { command_id: `cmd-${id}` }, { time: day(createdDay) })
          : received(messageId, { contact: { phone: `3460000000${id}`, name: 'x' } }, { time: day(createdDay) }),
      )
    for (const [i, { kind, after }] of later.entries()) {
      const time = day(createdDay + after, `08:00:0${i}.000`)
      if (kind === 'edit') events.push(edited(messageId, `edit ${i}`, time))
      else if (kind === 'delete') events.push(deleted(messageId, time))
      else
        events.push(
          status(messageId, kind, time, { contact: { phone: `3460000000${id}`, name: `n${i}`, username: `u${i}` } }),
        )
    }
    return { messageId, events }
  })
const logs = fc
  .uniqueArray(message, { selector: ({ messageId }) => messageId, minLength: 1, maxLength: 4 })
  .map((messages) => messages.flatMap(({ events }) => events).map((event, i) => ({ ...event, sequence: i + 1 })))
  .filter((log) => log.length > 0)

test('events in any order, repeated, before and after sweeps, leave the same rows after the last one', async () => {
  await fc.assert(
    fc.asyncProperty(
      logs.chain((log) => fc.tuple(fc.constant(log), deliveriesOf(log), fc.infiniteStream(fc.boolean()))),
      async ([log, batches, sweepsBetween]) => {
        await emptied()
        await store.apply(fold([...log, applied(WATERMARK)]))
        await swept()
        const atOnce = await everything()

        await emptied()
        for (const batch of batches) {
          await store.apply(fold(batch))
          if (sweepsBetween.next().value) await swept({ before: day(9), batchSize: 1 })
          if (sweepsBetween.next().value) await swept()
        }
        await store.apply(fold([applied(day(9)), applied(WATERMARK)]))
        await swept()
        expect(await everything()).toEqual(atOnce)
      },
    ),
    { numRuns: 150 },
  )
})

test('nothing of what happened before the watermark is left anywhere', async () => {
  await fc.assert(
    fc.asyncProperty(logs, async (log) => {
      await emptied()
      await store.apply(fold(log))
      await swept()
      const since = log.filter(({ event }) => event.time >= WATERMARK)
      const { rows } = await pool.query('select event_id from gateway.message_timeline order by 1')
      expect(rows.map(({ event_id }) => event_id)).toEqual(since.map(({ event }) => event.id).sort())
      const { rows: seen } = await pool.query(`select count(*)::int as n from (
        select latest_at as at from gateway.message_states union all select created_at from gateway.message_states
        union all select deleted_at from gateway.message_states union all select edit_time from gateway.message_details
        union all select first_at from gateway.sends union all select last_seen from gateway.contacts
        union all select name_at from gateway.contacts union all select created_at from public.external_messages
      ) t where at < '${WATERMARK}'`)
      expect(seen).toEqual([{ n: 0 }])
    }),
    { numRuns: 60 },
  )
})
