import type { Pool, PoolClient, QueryResult } from 'pg'
import { plainArray, textArray } from './column-array.ts'
import { CONTACT_FIELDS, type ContactState } from './contact.ts'
import type { Rows } from './fold.ts'
import type { MessageState } from './message-state.ts'
import { isRollback, rowRefused } from './postgres-error.ts'
import {
  advanceProjection,
  CONTACT_COLUMNS,
  type Column,
  forgetSuperseded,
  MERGE_COLUMNS,
  mergeContacts,
  mergeDetails,
  mergeRetention,
  mergeSends,
  mergeStates,
  mergeTimeline,
  RETENTION_COLUMNS,
  replaceEdited,
  replaceSuperseded,
  SEND_COLUMNS,
  STATE_COLUMNS,
  settleMessages,
  TIMELINE_COLUMNS,
} from './projection-sql.ts'
import { type SendState, sendRowId } from './send-state.ts'

/** The row of `gateway.projections` that this fold keeps. A fold that gives other rows is another version. */
export const PROJECTION = { name: 'messages', version: 2 } as const

export interface ProjectionStore {
  /**
   * Joins rows into the tables, in one transaction. Applying the same rows again, or rows of the same events batched
   * otherwise, changes nothing.
   *
   * @throws RowRefused when PostgreSQL refuses a row: nothing of these rows was applied
   * @throws the driver's error when PostgreSQL is away or busy: try again
   */
  apply: (rows: Rows) => Promise<void>
}

/**
 * Sequential scans and JIT are for other queries: a plan made while a table was small must not be kept when it is large.
 * And where the server does not write commits through by default, these are: what follows a commit is an acknowledgement.
 */
const BEGIN = `begin; set local enable_seqscan = off; set local jit = off;
  select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'`

/** A deadlock with another application's update is over when its transaction is; more than this is something else. */
const MAX_TRIES = 5

export const createProjectionStore = (pool: Pool): ProjectionStore => ({
  apply: async (rows) => {
    // Once, and before anything is waited for: what outlives the wait costs the garbage collector most.
    const statements = statementsOf(rows)
    for (let tries = 1; ; tries++) {
      try {
        return await applyOnce(pool, statements)
      } catch (error) {
        if (!isRollback(error) || tries === MAX_TRIES) throw rowRefused(error) ?? error
      }
    }
  },
})

type Statement = { name: string; text: string; values: unknown[] }

interface Statements {
  /** Locks every message that the others touch, so that the order of rows in those is free. */
  states: Statement | undefined
  details: Statement | undefined
  others: (Statement | undefined)[]
  advance: Statement | undefined
}

const applyOnce = async (pool: Pool, statements: Statements): Promise<void> => {
  const client = await pool.connect()
  // The query in hand rejects as well; without a listener the event would end the process.
  const ignore = () => {}
  client.on('error', ignore)
  try {
    await transaction(client, statements)
  } catch (error) {
    // Not reused: a pipeline that failed half-way may hold statements the server never prepared.
    client.off('error', ignore)
    client.release(true)
    throw error
  }
  client.off('error', ignore)
  client.release()
}

/** A message that came although it has a row. `superseded`: it counts more than the event the row was made of. */
interface AlreadyThere extends MessageKey {
  superseded: boolean
}

const transaction = async (client: PoolClient, { states, details, others, advance }: Statements): Promise<void> => {
  const send = (statement: Statement | undefined): Sent =>
    statement === undefined ? undefined : client.query(statement)
  const first = [client.query(BEGIN), send(states)]
  const merged = send(details)
  await allOf([...first, merged, ...others.map(send)])

  const there = ((await merged)?.rows ?? []) as AlreadyThere[]
  const superseded = there.filter((message) => message.superseded)
  await allOf([
    send(onKeys('settle_messages', settleMessages, there)),
    send(onKeys('replace_superseded', replaceSuperseded, superseded)),
    send(onKeys('forget_superseded', forgetSuperseded, superseded)),
    // Last, because every process writes this one row.
    send(advance),
    client.query('commit'),
  ])
}

type Sent = Promise<QueryResult> | undefined

/** Statements in flight together: waits for all, then fails with the first failure, of which the others follow. */
const allOf = async (sent: readonly Sent[]): Promise<void> => {
  for (const result of await Promise.allSettled(sent)) if (result.status === 'rejected') throw result.reason
}

const statementsOf = (rows: Rows): Statements => {
  const messages = inOrder(rows.messages)
  return {
    states: upsert('merge_states', mergeStates, STATE_COLUMNS, messages),
    details: detailsStatement(messages.filter(({ created, edit }) => created !== undefined || edit !== undefined)),
    others: [
      // Messages whose own event is not among these: their rows, if any, are there already.
      onKeys(
        'settle_messages',
        settleMessages,
        messages.filter(({ created }) => created === undefined),
      ),
      onKeys(
        'replace_edited',
        replaceEdited,
        messages.filter(({ edit }) => edit !== undefined),
      ),
      upsert('merge_timeline', mergeTimeline, TIMELINE_COLUMNS, [...rows.timeline.values()]),
      upsert('merge_sends', mergeSends, SEND_COLUMNS, inOrder(rows.sends).map(sendRow)),
      upsert('merge_contacts', mergeContacts, CONTACT_COLUMNS, inOrder(rows.contacts).map(contactRow)),
      upsert('merge_retention', mergeRetention, RETENTION_COLUMNS, inOrder(rows.retention)),
    ],
    advance:
      rows.position === 0
        ? undefined
        : {
            name: 'advance_projection',
            text: advanceProjection,
            values: [PROJECTION.name, PROJECTION.version, rows.position],
          },
  }
}

/** By key, so that processes that work on the same rows lock them in the same order. */
export const inOrder = <T>(rows: Map<string, T>): T[] => [...rows.keys()].sort().map((key) => rows.get(key) as T)

type Value = string | number | null | undefined

const columnArray = ({ type }: Column, values: readonly Value[]): string =>
  type === 'text' || type === 'jsonb' ? textArray(values as (string | null | undefined)[]) : plainArray(values)

const upsert = (
  name: string,
  text: string,
  columns: readonly Column[],
  rows: readonly object[],
): Statement | undefined => {
  if (rows.length === 0) return undefined
  const values = columns.map((column) =>
    columnArray(
      column,
      rows.map((row) => (row as Record<string, Value>)[column.name]),
    ),
  )
  return { name, text, values }
}

/** The columns of a message's versions beside its key. */
const detailsStatement = (messages: readonly MessageState[]): Statement | undefined => {
  if (messages.length === 0) return undefined
  const parts: Record<'key' | 'created' | 'edit', readonly (object | undefined)[]> = {
    key: messages,
    created: messages.map(({ created }) => created),
    edit: messages.map(({ edit }) => edit),
  }
  const values = MERGE_COLUMNS.map((column) =>
    columnArray(
      column,
      parts[column.part].map((part) => (part as Record<string, Value> | undefined)?.[column.name]),
    ),
  )
  return { name: 'merge_details', text: mergeDetails, values }
}

export const sendRow = ({ company_id, command_id, first_at, requested, standing }: SendState): object => ({
  company_id,
  command_id,
  id: sendRowId(company_id, command_id),
  first_at,
  ...requested,
  ...standing,
})

export const contactRow = ({ company_id, contact_key, said, last_seen }: ContactState): object => {
  const row: Record<string, string | undefined> = { company_id, contact_key, last_seen }
  for (const field of CONTACT_FIELDS) {
    row[field] = said[field]?.value
    row[`${field}_at`] = said[field]?.at
  }
  return row
}

interface MessageKey {
  company_id: string
  message_id: string
}

const onKeys = (name: string, text: string, keys: readonly MessageKey[]): Statement | undefined =>
  keys.length === 0
    ? undefined
    : {
        name,
        text,
        values: [
          plainArray(keys.map(({ company_id }) => company_id)),
          textArray(keys.map(({ message_id }) => message_id)),
        ],
      }
