import type { Upcasters } from '@cloudapi2/contracts'
import pg from 'pg'
import { plainArray } from '../column-array.ts'
import { migrate } from '../migrate.store.ts'
import { isRollback, rowRefused } from '../postgres-error.ts'
import { PROJECTION } from '../projection.store.ts'
import type { Difference, TableDifferences } from './differences.ts'
import { LogIncomplete, ProjectionBehind, ReadModelMissing, rebuildError } from './errors.ts'
import { type Batch, foldRecords, type LogRecord, type Refused } from './fold-log.ts'
import { createShadowWriter, dropShadow, lockRebuild, makeShadow, type ShadowWriter } from './shadow.store.ts'
import {
  applyDifferences,
  compareTables,
  countDifferences,
  countTakenOver,
  fillTable,
  findEmptyTables,
  insertLaterCuts,
  LOCK_LIVE,
  listDifferences,
  MAKE_LATER_CUTS,
  type ReadModelTable,
  type Scope,
  TABLES,
} from './shadow-sql.ts'

/** The log, as far as a rebuild needs it. */
export interface RebuildLog {
  /** Positions of the first and the last event; 0 and 0 when there is none. */
  extent: () => Promise<{ first: number; last: number }>
  /** Events of positions greater than `after`, up to and including `upTo`. In any order. */
  read: (range: { after: number; upTo: number; companyId?: string }) => AsyncIterable<LogRecord>
}

/** Keeps the projection still while the last events are folded, for a comparison at one and the same position. */
export interface HeldProjection {
  /** Every event up to here is in the live rows, and none after. */
  position: number
  /** Whether that has been so until now. */
  isStill: () => Promise<boolean>
  release: () => Promise<void>
}

export interface Progress {
  /** `held`: the projection stands still. */
  phase: 'folding' | 'held' | 'comparing' | 'replacing'
  /** Events read, and how many there are to read. */
  done: number
  total: number
}

export interface RebuildOptions {
  databaseUrl: string
  log: RebuildLog
  /** Only the rows of this company. */
  companyId?: string
  /** Differences that are listed, per table; all are counted. Default 1,000. */
  listed?: number
  /** Of events of old versions. Default: those of this software. */
  upcasters?: Upcasters
  onProgress?: (progress: Progress) => void
}

export interface RebuildReport {
  /** The position up to which the log was folded. */
  position: number
  /** Events read from the log, and of them those that became rows. */
  records: number
  events: number
  tables: TableDifferences[]
  /** At most `listed` of each table. */
  differences: Difference[]
  /** Rows of `external_messages` from before the log, which were kept; `unknown`: no event is about them. */
  takenOver: { rows: number; unknown: number }
  /** Events that became no row: how many, and the first hundred. */
  refused: { count: number; first: Refused[] }
  /** How long writers had to wait; 0 for a check. */
  lockedMs: number
}

/** Records per batch. Larger ones fold better and need more memory: measured, nothing is gained beyond. */
const PIECE = 5_000
/** What is left for the moment in which writers wait. */
const NEARLY_THERE = 2_000
/** Rounds of catching up with a log that goes on. */
const MAX_ROUNDS = 10
const MAX_SWITCHES = 5
const REFUSED_LISTED = 100
const DEFAULT_LISTED = 1_000

/**
 * Folds the log into tables beside the live ones and replaces, in one transaction, the rows that differ: surplus ones are
 * deleted, missing ones inserted, the others get the columns that are wrong. Tables, grants, views and triggers of others
 * stay, and the columns they own. Traffic may go on: what writes to the tables waits while the transaction lasts, and has
 * lost nothing when it ends, because the fold needs no order.
 *
 * Killed at any moment it leaves the live tables as they were, or replaced; the next one drops what it left beside them.
 *
 * @throws RebuildRunning, ShadowTaken, LogIncomplete, RebuildFailed, UnknownEventVersion; RowRefused when a trigger or a
 *   constraint of others refuses a row: in each case nothing was changed
 */
export const rebuild = (options: RebuildOptions): Promise<RebuildReport> =>
  withShadow(options, { isCheck: false }, async ({ control, fold, scope, listed, tell }) => {
    let { last } = await options.log.extent()
    await fold.upTo(last)
    await fold.finishAppending()
    for (let round = 1; round < MAX_ROUNDS; round++) {
      const now = (await options.log.extent()).last
      if (now - last < NEARLY_THERE) break
      last = now
      await fold.upTo(last)
    }
    for (let tries = 1; ; tries++) {
      try {
        return await replace()
      } catch (error) {
        await control.query('rollback').catch(() => {}) // the first error is the one to tell
        // A deadlock with whoever locks tables in another order is over when its transaction is.
        if (!isRollback(error) || tries === MAX_SWITCHES) throw rowRefused(error) ?? error
      }
    }

    async function replace() {
      await control.query(`begin; ${TUNED}`)
      await control.query(LOCK_LIVE)
      const lockedAt = performance.now()
      tell('replacing')
      // Whatever the projector has folded by now is not after this.
      const end = (await options.log.extent()).last
      const position = await livePosition(control)
      if (position > end)
        throw new LogIncomplete(
          `it ends at position ${end}, and the rows are of position ${position}: is it another one?`,
        )
      await fold.upTo(end)
      const empty = await emptyTables(control)
      await control.query(MAKE_LATER_CUTS)
      for (const statement of compareTables(scope, { empty, listed })) await control.query(statement)
      const found = await differences(control, listed)
      for (const [i, table] of (TABLES as readonly ReadModelTable[]).entries()) {
        const counts = found.tables[i] as TableDifferences
        if (empty.has(table.name)) counts.missing = (await control.query(fillTable(table, scope))).rowCount ?? 0
        else if (changes(counts) > 0) for (const statement of applyDifferences(table)) await control.query(statement)
      }
      await control.query('commit')
      return { ...found, lockedMs: performance.now() - lockedAt }
    }
  })

/**
 * Folds the log into tables beside the live ones and tells every row of the live ones that differs. Changes nothing, and
 * reports no false difference while traffic goes on: `hold` keeps the projection still for the moment in which both are
 * made to speak of the same position.
 *
 * @param options.hold        waits until nothing is on its way into the rows, and keeps it so
 * @param options.folded      a position that the live rows have surely passed; what comes before is folded without holding
 * @throws as `rebuild`; ReadModelMissing when there are no tables to compare with; ProjectionBehind; what `hold` throws
 */
export const checkReadModel = (
  options: RebuildOptions & { hold: () => Promise<HeldProjection>; folded: () => Promise<number> },
): Promise<RebuildReport> =>
  withShadow(options, { isCheck: true }, async ({ control, fold, scope, listed, tell }) => {
    for (let round = 1, last = -1; round < MAX_ROUNDS; round++) {
      const now = await options.folded()
      if (now - last < NEARLY_THERE) break
      last = now
      await fold.upTo(last)
      await fold.finishAppending()
    }
    await fold.finishAppending()

    let heldAt = 0
    for (let tries = 1; ; tries++) {
      const held = await options.hold()
      heldAt = held.position
      let isStill: boolean
      try {
        tell('held')
        await fold.upTo(held.position)
        await control.query(`begin isolation level repeatable read; ${TUNED}`)
        // The first statement takes the snapshot.
        const position = await livePosition(control)
        if (position > held.position) throw new ProjectionBehind(held.position, position)
        isStill = await held.isStill()
      } finally {
        await held.release()
      }
      if (isStill) break
      await control.query('rollback')
      if (tries === MAX_SWITCHES) throw new ProjectionBehind(held.position, held.position)
    }
    tell('comparing')
    // What retention removed before the snapshot, the log has been told by now, or `gateway.retention_runs` says so.
    await control.query(MAKE_LATER_CUTS)
    const cuts = await laterCuts(options, heldAt)
    await control.query(insertLaterCuts, [plainArray([...cuts.keys()]), plainArray([...cuts.values()])])
    for (const statement of compareTables(scope, { empty: new Set(), listed })) await control.query(statement)
    const found = await differences(control, listed)
    await control.query('rollback')
    return { ...found, lockedMs: 0 }
  })

/** For the few large statements of a comparison. Nothing is to be given up because it takes long. */
const TUNED = `set local work_mem = '64MB'; set local jit = off; set local lock_timeout = 0`

const SESSION = `set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set synchronous_commit = off;
  set client_connection_check_interval = '1s'; set client_min_messages = warning`

interface Fold {
  upTo: (position: number) => Promise<void>
  finishAppending: () => Promise<void>
}

interface Work {
  control: pg.Client
  fold: Fold
  scope: Scope
  listed: number
  tell: (phase: Progress['phase']) => void
}

type Found = Pick<RebuildReport, 'tables' | 'differences' | 'takenOver' | 'lockedMs'>

const withShadow = async (
  options: RebuildOptions,
  { isCheck }: { isCheck: boolean },
  work: (work: Work) => Promise<Found>,
): Promise<RebuildReport> => {
  const { databaseUrl, companyId } = options
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({
      connectionString: databaseUrl,
      application_name: 'cloudapi rebuild',
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    })
    // The query in hand rejects as well; without a listener the event would end the process.
    client.on('error', () => {})
    await client.connect()
    await client.query(SESSION)
    return client
  }
  const clients: pg.Client[] = []
  try {
    const control = await connect()
    clients.push(control)
    await lockRebuild(control)
    if (isCheck) await requireTables(control)
    else await makeTables(control, databaseUrl)
    await makeShadow(control)
    try {
      const writing = await connect()
      clients.push(writing)
      const counts = { position: 0, records: 0, events: 0, refused: { count: 0, first: [] as Refused[] } }
      let phase: Progress['phase'] = 'folding'
      let total = 0
      const tell = (now: Progress['phase']) => {
        phase = now
        options.onProgress?.({ phase, done: counts.position, total })
      }
      const fold = foldOf(options, await createShadowWriter(writing), counts, (upTo) => {
        total = Math.max(total, upTo)
        tell(phase)
      })
      const found = await work({
        control,
        fold,
        scope: { companyId, projection: PROJECTION },
        listed: options.listed ?? DEFAULT_LISTED,
        tell,
      })
      return { ...counts, ...found }
    } finally {
      await control.query('rollback').catch(() => {}) // a lost connection has rolled back by itself
      await dropShadow(control).catch(() => {}) // the next rebuild drops it then
    }
  } catch (error) {
    throw rebuildError(error)
  } finally {
    for (const client of clients) await client.end().catch(() => {}) // ended already
  }
}

type Counts = Pick<RebuildReport, 'position' | 'records' | 'events' | 'refused'>

/** Reads and folds one batch while PostgreSQL takes the one before. */
const foldOf = (
  { log, companyId, upcasters }: RebuildOptions,
  writer: ShadowWriter,
  counts: Counts,
  told: (upTo: number) => void,
): Fold => ({
  finishAppending: writer.finishAppending,
  upTo: async (position) => {
    const after = counts.position
    if (position <= after) return
    const { first } = await log.extent()
    if (after === 0 && first > 1) throw new LogIncomplete(`it begins at position ${first}`)
    told(position)
    let records = 0
    let writing: Promise<void> = Promise.resolve()
    const write = async (batch: Batch): Promise<void> => {
      const refused = [...batch.refused, ...(await writer.apply(batch))]
      counts.records += batch.records
      counts.events += batch.events - (refused.length - batch.refused.length)
      counts.refused.count += refused.length
      const room = REFUSED_LISTED - counts.refused.first.length
      counts.refused.first.push(...refused.slice(0, Math.max(0, room)))
      counts.position = Math.max(counts.position, batch.position)
      told(position)
    }
    const range = { after, upTo: position, ...(companyId === undefined ? {} : { companyId }) }
    try {
      let piece: LogRecord[] = []
      const hand = async (): Promise<void> => {
        records += piece.length
        const batch = foldRecords(piece, upcasters)
        piece = []
        await writing
        writing = write(batch)
        // Told by the next `await`; until then it is no unhandled rejection.
        writing.catch(() => {})
      }
      for await (const record of log.read(range)) if (piece.push(record) === PIECE) await hand()
      await hand()
    } finally {
      await writing
    }
    // Of one company there are gaps between positions; of all there are none.
    if (companyId === undefined && records !== position - after)
      throw new LogIncomplete(`${position - after - records} events up to position ${position} are not in it`)
    counts.position = position
  },
})

/** By company, what the log says of retention after a position. */
const laterCuts = async (
  { log, companyId, upcasters }: RebuildOptions,
  after: number,
): Promise<Map<string, string>> => {
  const cuts = new Map<string, string>()
  const { last } = await log.extent()
  if (last <= after) return cuts
  const range = { after, upTo: last, ...(companyId === undefined ? {} : { companyId }) }
  for await (const record of log.read(range)) {
    if (
      !Buffer.from(record.body.buffer, record.body.byteOffset, record.body.byteLength).includes('"retention.applied"')
    )
      continue
    for (const { company_id, before } of foldRecords([record], upcasters).rows.retention.values())
      if (before > (cuts.get(company_id) ?? '')) cuts.set(company_id, before)
  }
  return cuts
}

const LIVE_TABLES = [...TABLES.map(({ live }) => live), 'gateway.retention_runs']

const missingTables = async (client: pg.Client): Promise<string[]> => {
  const { rows } = await client.query<{ name: string }>(
    'select name from unnest($1::text[]) as t (name) where to_regclass(name) is null',
    [LIVE_TABLES],
  )
  return rows.map(({ name }) => name)
}

const requireTables = async (client: pg.Client): Promise<void> => {
  const missing = await missingTables(client)
  if (missing.length > 0) throw new ReadModelMissing(missing)
}

/**
 * Makes the tables that are missing. When the migrations believe that they made them, all but `external_messages` are
 * made anew: they hold nothing that is not in the log. What others built upon them refuses to be dropped.
 */
const makeTables = async (client: pg.Client, databaseUrl: string): Promise<void> => {
  await migrate(databaseUrl)
  if ((await missingTables(client)).length === 0) return
  const ours = LIVE_TABLES.filter((name) => name.startsWith('gateway.'))
  await client.query(`begin;
    drop view if exists gateway.message_statuses;
    drop table if exists ${ours.join(', ')}, gateway.read_model_migrations;
    commit`)
  await migrate(databaseUrl)
  await requireTables(client)
}

/** The greatest position that the projector has folded into the live rows; 0: none. */
const livePosition = async (client: pg.Client): Promise<number> => {
  const { rows } = await client.query<{ position: string }>(
    'select position::text from gateway.projections where name = $1 and version = $2',
    [PROJECTION.name, PROJECTION.version],
  )
  return Number(rows[0]?.position ?? 0)
}

const emptyTables = async (client: pg.Client): Promise<Set<string>> => {
  const { rows } = await client.query<{ name: string; is_empty: boolean }>(findEmptyTables)
  return new Set(rows.filter(({ is_empty }) => is_empty).map(({ name }) => name))
}

const changes = (table: TableDifferences | undefined): number =>
  table === undefined ? 0 : table.missing + table.surplus + table.differs

const differences = async (client: pg.Client, listed: number): Promise<Omit<Found, 'lockedMs'>> => {
  const counted = await client.query<TableDifferences>(countDifferences)
  const kept = await client.query<{ taken_over: number; unknown: number }>(countTakenOver)
  const found: Difference[] = []
  for (const table of TABLES as readonly ReadModelTable[])
    if (listed > 0 && changes(counted.rows.find(({ name }) => name === table.name)) > 0) {
      const { rows } = await client.query<Omit<Difference, 'table'>>(listDifferences(table), [listed])
      found.push(...rows.map((row) => ({ table: table.name, ...row })))
    }
  const { taken_over = 0, unknown = 0 } = kept.rows[0] ?? {}
  return { tables: counted.rows, differences: found, takenOver: { rows: taken_over, unknown } }
}
