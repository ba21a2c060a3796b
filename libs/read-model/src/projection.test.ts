import { messageRowId } from '@cloudapi2/contracts'
import { startPostgres, type TestServer } from '@cloudapi2/embedded'
import type { Pool } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Cursor, decodeCursor } from './cursor.ts'
import { openDatabase } from './database.store.ts'
import { at, deleted, edited, NUMBER, PACO, received, SOLVIFY, send, sent, status } from './event-builders.contract.ts'
import { fold, type LoggedEvent } from './fold.ts'
import { createMessageQueries, type MessageQueries } from './messages.store.ts'
import { migrate } from './migrate.store.ts'
import { createProjectionStore, type ProjectionStore } from './projection.store.ts'
import { createSendQueries } from './sends.store.ts'

let server: TestServer
let pool: Pool
let store: ProjectionStore
let queries: MessageQueries

beforeAll(async () => {
  server = await startPostgres()
  await migrate(server.url)
  pool = openDatabase({ databaseUrl: server.url, poolSize: 4, applicationName: 'test', log: { warn: () => {} } })
  store = createProjectionStore(pool)
  queries = createMessageQueries(pool)
})
afterAll(async () => {
  await pool?.end()
  await server?.stop()
})
beforeEach(async () => {
  await pool.query(`truncate public.external_messages, gateway.message_states, gateway.message_details, gateway.message_timeline,
    gateway.sends, gateway.contacts, gateway.projections`)
})

const happened = (...events: LoggedEvent[]) => store.apply(fold(events))
const theRow = async () => {
  const { rows } = await pool.query('select * from public.external_messages')
  expect(rows.length).toBeLessThan(2)
  return rows[0]
}

describe('columns of other applications', () => {
  const update = `update public.external_messages set responsible_email = 'crm@solvify.es',
    assigned_to_id = '11111111-2222-4333-8444-555555555555', chat_url = 'https://crm/own'`
  const theirs = {
    responsible_email: 'crm@solvify.es',
    assigned_to_id: '11111111-2222-4333-8444-555555555555',
    chat_url: 'https://crm/own',
  }

  test('survive statuses, edits, deletions and redelivery', async () => {
    const message = sent('wamid.1', { responsible_email: 'ana@solvify.es', chat_url: 'https://crm/1' })
    await happened(message)
    await pool.query(update)
    await happened(message)
    await happened(message, status('wamid.1', 'read', at(5)), edited('wamid.1', 'x', at(6)), deleted('wamid.1', at(7)))
    expect(await theRow()).toMatchObject({ ...theirs, status: 'read', message: 'x', is_deleted: true })
  })

  test('survive another event about the same message that counts more', async () => {
    await happened(received('wamid.1', { direction: 'echo', status: 'sent' }))
    await pool.query(update)
    await happened(sent('wamid.1', { text: 'ours', responsible_email: 'ana@solvify.es', chat_url: 'https://crm/1' }))
    expect(await theRow()).toMatchObject({ ...theirs, message: 'ours' })
  })

  test('survive being emptied on purpose', async () => {
    await happened(received('wamid.1', { kind: 'media_placeholder', responsible_email: 'ana@solvify.es' }))
    await pool.query('update public.external_messages set responsible_email = null')
    await happened(received('wamid.1', { kind: 'image', responsible_email: 'ana@solvify.es' }))
    expect(await theRow()).toMatchObject({ responsible_email: null, message: 'Hola' })
  })

  test('are filled from an event that counts more while nobody has touched them', async () => {
    await happened(received('wamid.1', { direction: 'echo', status: 'sent' }))
    await happened(sent('wamid.1', { responsible_email: 'ana@solvify.es' }))
    expect(await theRow()).toMatchObject({ responsible_email: 'ana@solvify.es' })
  })
})

describe('rows that are there already', () => {
  const insert = `insert into public.external_messages (message, last_message_uid, last_message_timestamp, from_me, status,
      created_at, updated_at, company_id, responsible_email)
    values ('De antes', 'wamid.1', $1, true, 'sent', $1, $1, $2, 'crm@solvify.es') returning id`

  test('get the statuses, edits and deletions of their message', async () => {
    const { rows } = await pool.query<{ id: string }>(insert, [at(0), SOLVIFY])
    await happened(
      status('wamid.1', 'delivered', at(5)),
      edited('wamid.1', 'Corregido', at(6)),
      deleted('wamid.1', at(7)),
    )
    expect(await theRow()).toMatchObject({
      id: rows[0]?.id,
      status: 'delivered',
      message: 'Corregido',
      is_deleted: true,
      updated_at: new Date(at(7)),
      created_at: new Date(at(0)),
    })
  })

  test('keep their id, text and owner when the message itself is told again', async () => {
    const { rows } = await pool.query<{ id: string }>(insert, [at(1), SOLVIFY])
    await happened(sent('wamid.1', { status: 'accepted', responsible_email: 'ana@solvify.es' }))
    expect(await theRow()).toMatchObject({
      id: rows[0]?.id,
      message: 'De antes',
      status: 'sent',
      responsible_email: 'crm@solvify.es',
      updated_at: new Date(at(1)),
    })
  })

  test('a status does not bring back a row that somebody deleted', async () => {
    await happened(sent('wamid.1'))
    await pool.query('delete from public.external_messages')
    await happened(status('wamid.1', 'read', at(5)))
    expect(await theRow()).toBeUndefined()
  })

  test('a time that another application moved forward does not go back', async () => {
    await happened(sent('wamid.1'))
    await pool.query('update public.external_messages set updated_at = $1', [at(3_600)])
    await happened(status('wamid.1', 'read', at(5)))
    expect(await theRow()).toMatchObject({ updated_at: new Date(at(3_600)), last_message_timestamp: new Date(at(5)) })
  })
})

describe('what PostgreSQL refuses', () => {
  test('is told apart from PostgreSQL being away, and names no value', async () => {
    await pool.query(`alter table public.external_messages add constraint no_secrets check (message <> 'secreto')`)
    const refusal = happened(received('wamid.0'), received('wamid.1', { text: 'secreto' }))
    await expect(refusal).rejects.toMatchObject({ code: 'ROW_REFUSED', retryable: false, sqlState: '23514' })
    await expect(refusal).rejects.toThrow(
      'PostgreSQL refused a row: SQLSTATE 23514, table external_messages, constraint no_secrets',
    )
    expect(await theRow()).toBeUndefined()
    await pool.query('alter table public.external_messages drop constraint no_secrets')
    await happened(received('wamid.0'))
    expect(await theRow()).toMatchObject({ message: 'Hola' })
  })
})

describe('the position', () => {
  test('is the greatest sequence seen, and never goes back', async () => {
    const event = received('wamid.1')
    await store.apply(fold([{ ...event, sequence: 9 }]))
    await store.apply(fold([{ ...event, sequence: 4 }]))
    const { rows } = await pool.query('select name, version, position::int from gateway.projections')
    expect(rows).toEqual([{ name: 'messages', version: 2, position: 9 }])
  })
})

describe('the list of commands', () => {
  test('shows how each stands, newest first, by page and narrowed', async () => {
    const sends = createSendQueries(pool)
    const error = { code: 'EXPIRED', title: 'half \ud83d' }
    await happened(
      ...Array.from({ length: 5 }, (_, i) =>
        send('send.requested', `c-${i}`, at(i), { command: { message: { type: 'text' } } }),
      ),
      sent('wamid.1', { command_id: 'c-1' }, { time: at(9) }),
    )
    await happened(send('send.failed', 'c-3', at(9), { attempts: 2, error }))
    const all = await sends.list({ companyId: SOLVIFY, limit: 50 })
    expect(all.sends.map(({ command_id, status }) => [command_id, status])).toEqual([
      ['c-4', 'requested'],
      ['c-3', 'failed'],
      ['c-2', 'requested'],
      ['c-1', 'sent'],
      ['c-0', 'requested'],
    ])
    expect(all.sends[1]).toMatchObject({ kind: 'text', attempts: 2, error: { code: 'EXPIRED' }, requested_at: at(3) })
    expect(all.sends[3]).toMatchObject({ message_id: 'wamid.1', attempts: null, error: null, updated_at: at(9) })

    const first = await sends.list({ companyId: SOLVIFY, limit: 2 })
    const rest = await sends.list({
      companyId: SOLVIFY,
      limit: 3,
      after: decodeCursor(first.nextCursor as string) as Cursor,
    })
    expect([...first.sends, ...rest.sends]).toEqual(all.sends)
    expect(rest.nextCursor).toBeUndefined()
    const failed = await sends.list({ companyId: SOLVIFY, status: 'failed', since: new Date(at(1)), limit: 50 })
    expect(failed.sends.map(({ command_id }) => command_id)).toEqual(['c-3'])
    expect((await sends.list({ companyId: 'b1f0a0de-0000-4000-8000-00000000000b', limit: 50 })).sends).toEqual([])
  })
})

describe('the list of messages', () => {
  const ids = (messages: { message_id: string }[]) => messages.map(({ message_id }) => message_id)

  test('is newest first, in pages that neither repeat nor leave out', async () => {
    const events = Array.from({ length: 25 }, (_, i) => received(`wamid.${i}`, {}, { time: at(Math.floor(i / 3)) }))
    await happened(...events)
    const seen: string[] = []
    let after: { time: string; id: string } | undefined
    do {
      const page = await queries.list({ companyId: SOLVIFY, limit: 4, ...(after === undefined ? {} : { after }) })
      seen.push(...ids(page.messages))
      // A status in between moves nothing in the list.
      await happened(status('wamid.3', 'read', at(100 + seen.length)))
      after = page.nextCursor === undefined ? undefined : decodeCursor(page.nextCursor)
    } while (after !== undefined)
    expect(seen).toHaveLength(25)
    expect(new Set(seen).size).toBe(25)
    expect(seen[0]).toBe('wamid.24')
  })

  test('can be narrowed', async () => {
    await happened(
      received('wamid.in', {}, { time: at(1) }),
      sent('wamid.out', { chat_id: '34600000001', phone_number_id: '2' }, { time: at(2) }),
      received('wamid.echo', { direction: 'echo', status: 'sent' }, { time: at(3) }),
      received('wamid.other', {}, { company: 'b1f0a0de-0000-4000-8000-00000000000b' }),
    )
    const list = async (filter: object) =>
      ids((await queries.list({ companyId: SOLVIFY, limit: 50, ...filter })).messages)
    expect(await list({})).toEqual(['wamid.echo', 'wamid.out', 'wamid.in'])
    expect(await list({ chatId: PACO })).toEqual(['wamid.echo', 'wamid.in'])
    expect(await list({ status: 'accepted' })).toEqual(['wamid.out'])
    expect(await list({ direction: 'echo' })).toEqual(['wamid.echo'])
    expect(await list({ fromMe: false })).toEqual(['wamid.in'])
    expect(await list({ phoneNumberId: '2' })).toEqual(['wamid.out'])
    expect(await list({ since: new Date(at(2)), until: new Date(at(3)) })).toEqual(['wamid.out'])
  })

  test('shows rows of other software, with what is known of them', async () => {
    await pool.query(
      `insert into public.external_messages (message, last_message_uid, from_me, created_at, updated_at, company_id)
       values ('De antes', 'wamid.1', true, $1, $1, $2)`,
      [at(0), SOLVIFY],
    )
    expect((await queries.list({ companyId: SOLVIFY, limit: 1 })).messages).toEqual([
      expect.objectContaining({ message: 'De antes', kind: null, status: null, created_at: at(0) }),
    ])
  })
})

describe('one message', () => {
  test('is found by its row or by its id at the channel, with everything that happened to it', async () => {
    const message = sent('wamid.1', { template: { name: 'agendar' } })
    const failed = status('wamid.1', 'failed', at(2), { errors: [{ code: 131026, title: 'Undeliverable' }] })
    const accepted = status('wamid.1', 'sent', at(1))
    await happened(failed, message, accepted)
    const found = await queries.get(SOLVIFY, 'wamid.1')
    expect(await queries.get(SOLVIFY, messageRowId(SOLVIFY, 'wamid.1'))).toEqual(found)
    expect(found).toMatchObject({
      message_id: 'wamid.1',
      status: 'failed',
      template: { name: 'agendar' },
      command_id: 'cmd-1',
    })
    expect(found?.timeline).toEqual([
      {
        type: 'message.created',
        time: at(0),
        recorded_time: at(0),
        sequence: message.sequence,
        event_id: message.event.id,
        status: null,
      },
      {
        type: 'status.updated',
        time: at(1),
        recorded_time: at(1),
        sequence: accepted.sequence,
        event_id: accepted.event.id,
        status: 'sent',
      },
      {
        type: 'status.updated',
        time: at(2),
        recorded_time: at(2),
        sequence: failed.sequence,
        event_id: failed.event.id,
        status: 'failed',
      },
    ])
    expect(found?.statuses).toMatchObject([
      { status: 'sent', time: at(1), errors: null, participant: null },
      { status: 'failed', time: at(2), errors: [{ code: 131026, title: 'Undeliverable' }] },
    ])
  })

  test('is not found in another company, and not by an id that is none', async () => {
    await happened(sent('wamid.1'))
    expect(await queries.get('b1f0a0de-0000-4000-8000-00000000000b', 'wamid.1')).toBeUndefined()
    expect(await queries.get(SOLVIFY, "wamid.1' or true --")).toBeUndefined()
    expect(await queries.get(SOLVIFY, 'wamid.\u0000')).toBeUndefined()
  })
})

describe('the history of statuses', () => {
  const history = async () =>
    (await queries.get(SOLVIFY, 'wamid.1'))?.statuses.map((told) => [told.status, told.participant, told.time])

  test('keeps those that move nothing, and of a repeat the first', async () => {
    await happened(sent('wamid.1'), status('wamid.1', 'warning', at(1)), status('wamid.1', 'sent', at(3)))
    await happened(status('wamid.1', 'sent', at(2)))
    expect(await history()).toEqual([
      ['warning', null, at(1)],
      ['sent', null, at(2)],
    ])
    expect((await queries.get(SOLVIFY, 'wamid.1'))?.timeline).toHaveLength(4)
  })

  test('has a row for each participant of a group', async () => {
    await happened(
      sent('wamid.1'),
      status('wamid.1', 'read', at(1), { participant: '34600000001' }),
      status('wamid.1', 'read', at(2), { participant: '34600000002' }),
    )
    expect(await history()).toEqual([
      ['read', '34600000001', at(1)],
      ['read', '34600000002', at(2)],
    ])
  })
})

describe('the latest conversation of a phone', () => {
  test('is the one with the newest message, of whichever company', async () => {
    const other = 'b1f0a0de-0000-4000-8000-00000000000b'
    await happened(
      received('wamid.1', {}, { time: at(1) }),
      received('wamid.2', { phone_number_id: '2' }, { time: at(2), company: other }),
    )
    expect(await queries.latestConversation(PACO)).toEqual({ company_id: other, phone_number_id: '2' })
    await happened(sent('wamid.3', {}, { time: at(3) }))
    expect(await queries.latestConversation(PACO)).toEqual({ company_id: SOLVIFY, phone_number_id: NUMBER })
  })

  test('is undefined when there was none', async () => {
    expect(await queries.latestConversation('34999999999')).toBeUndefined()
  })
})
