import type { Client } from 'pg'
import { fold, type Rows } from '../fold.ts'
import { RowRefused, rowRefused } from '../postgres-error.ts'
import { contactRow, inOrder, PROJECTION, sendRow } from '../projection.store.ts'
import { searchRefused } from '../search-refused.ts'
import { copyInto } from './copy-in.store.ts'
import { RebuildRunning, ShadowTaken } from './errors.ts'
import { type Batch, type Refused, refusedOf } from './fold-log.ts'
import {
  FOLDED,
  type FoldedTable,
  foldTimelineRepeats,
  MAKE_SHADOW,
  MAKE_STAGES,
  SHADOW,
  SHADOW_MARK,
  shadowAdvance,
  TIMELINE_KEY,
} from './shadow-sql.ts'

/** Of `pg_try_advisory_lock`: one rebuild of a database at a time. Any number that nobody else uses. */
const LOCK_KEY = 7_238_811_230_017n
/** The server of a killed rebuild notices within a second (`client_connection_check_interval`) and lets go. */
const LOCK_TRIES = 20
const LOCK_PAUSE_MS = 150

/**
 * Makes this session the one that rebuilds, until it ends.
 *
 * @throws RebuildRunning
 */
export const lockRebuild = async (client: Client): Promise<void> => {
  for (let tries = 1; ; tries++) {
    const { rows } = await client.query('select pg_try_advisory_lock($1) as is_ours', [LOCK_KEY.toString()])
    if (rows[0].is_ours) return
    if (tries === LOCK_TRIES) throw new RebuildRunning()
    await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS))
  }
}

/**
 * Makes the shadow tables anew. What an earlier rebuild left behind is dropped; what is not ours is not touched.
 *
 * @throws ShadowTaken
 */
export const makeShadow = async (client: Client): Promise<void> => {
  const { rows } = await client.query(
    `select obj_description(oid, 'pg_namespace') as mark from pg_namespace where nspname = $1`,
    [SHADOW],
  )
  if (rows[0] !== undefined && rows[0].mark !== SHADOW_MARK) throw new ShadowTaken(SHADOW)
  await client.query(`begin;
    drop schema if exists ${SHADOW} cascade;
    create schema ${SHADOW};
    comment on schema ${SHADOW} is '${SHADOW_MARK}';
    ${MAKE_SHADOW};
    commit`)
}

export const dropShadow = async (client: Client): Promise<void> => {
  await client.query(`drop schema if exists ${SHADOW} cascade`)
}

export interface ShadowWriter {
  /** Joins a batch into the shadow, in one transaction; returns what PostgreSQL refused, as the projector would find it. */
  apply: (batch: Batch) => Promise<Refused[]>
  /** Ends the phase in which the timeline is only appended to. From then on each batch is joined into it. */
  finishAppending: () => Promise<void>
}

/** @param client a connection of its own, for as long as the shadow is there */
export const createShadowWriter = async (client: Client): Promise<ShadowWriter> => {
  await client.query(MAKE_STAGES)
  let isAppending = true

  const write = async (rows: Rows): Promise<void> => {
    if (rows.position === 0) return
    try {
      await client.query('begin')
      for (const [table, tableRows] of rowsOf(rows)) {
        if (tableRows.length === 0) continue
        const isAppended = isAppending && table === FOLDED.timeline
        const target = isAppended ? `${SHADOW}.${table.name}` : table.stage
        await copyInto(client, target, table.columns, tableRows)
        if (!isAppended) await client.query(table.join)
      }
      await client.query(shadowAdvance, [PROJECTION.name, PROJECTION.version, rows.position])
      await client.query('commit')
    } catch (error) {
      // When the connection is gone, there is nothing to roll back, and the first error is the one to tell.
      await client.query('rollback').catch(() => {})
      throw rowRefused(error) ?? error
    }
  }

  return {
    apply: async (batch) => {
      try {
        await write(batch.rows)
        return []
      } catch (error) {
        if (!(error instanceof RowRefused)) throw error
        const refused = await searchRefused([...batch.replay()], error, (some) => write(fold(some)))
        return refused.map(({ item, refusal }) => refusedOf(item.sequence, refusal))
      }
    },
    finishAppending: async () => {
      if (!isAppending) return
      await client.query(foldTimelineRepeats)
      await client.query(TIMELINE_KEY)
      // Statistics, so that the comparison is planned for tables of this size.
      for (const name of ['message_states', 'message_details', 'message_timeline', 'sends', 'contacts'])
        await client.query(`analyze ${SHADOW}.${name}`)
      isAppending = false
    },
  }
}

const rowsOf = (rows: Rows): [FoldedTable, readonly object[]][] => {
  const messages = inOrder(rows.messages)
  return [
    [FOLDED.states, messages],
    [
      FOLDED.details,
      messages.flatMap(({ company_id, message_id, created, edit }) =>
        created === undefined && edit === undefined ? [] : [{ company_id, message_id, ...created, ...edit }],
      ),
    ],
    [FOLDED.timeline, [...rows.timeline.values()]],
    [FOLDED.sends, inOrder(rows.sends).map(sendRow)],
    [FOLDED.contacts, inOrder(rows.contacts).map(contactRow)],
    [FOLDED.retention, inOrder(rows.retention)],
  ]
}
