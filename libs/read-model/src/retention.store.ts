import type { Pool, PoolClient } from 'pg'
import { addRemoved, isAnything, NOTHING_REMOVED, type Removed, type RetentionState } from './retention.ts'
import {
  countFiles,
  cutStates,
  deleteContacts,
  deleteDetails,
  deleteForeignRows,
  deleteRows,
  deleteSends,
  deleteStates,
  deleteTimeline,
  finishedRuns,
  finishRun,
  forgetCreated,
  forgetSaid,
  forgetTold,
  knownWatermarks,
  lockOldContacts,
  lockOldMessages,
  lockOldTraces,
  noteRemoved,
  pageOfContacts,
  toldRun,
} from './retention-sql.ts'

/** What a run removed of a company, and how far back its rows go now. */
export interface RetentionRun extends RetentionState {
  retention_days: number
  removed: Removed
}

export interface Sweep {
  companyId: string
  /** RFC 3339: whatever happened before this goes. */
  before: string
  /** As the company has it now. Undefined: it has none any more, and only what came back late is removed again, untold. */
  retentionDays: number | undefined
  /** Messages, commands or contacts per transaction. */
  batchSize: number
}

/** Retention at work in one process, and in no other. */
export interface Sweeper {
  /** How far back the rows of companies go, as the log says. */
  watermarks: () => Promise<Map<string, string>>
  /** What earlier runs removed and did not live to tell. */
  untold: () => Promise<RetentionRun[]>
  /**
   * Removes what is old, one small transaction per step, and notes what it was. Stop between two steps at will: the next
   * run goes on there.
   *
   * @throws the driver's error when PostgreSQL is away or busy: nothing of that step happened
   */
  sweep: (sweep: Sweep) => AsyncGenerator<Removed, void>
  /** Everything is gone: what there is to tell now, if anything. */
  finish: (sweep: Sweep) => Promise<RetentionRun | undefined>
  /** The log has it. */
  told: (run: RetentionState) => Promise<void>
}

export interface RetentionStore {
  /**
   * Runs `work` while no other process does (an advisory lock of the connection that does the work, so that losing the one
   * ends the other).
   *
   * @returns false when another process has it: nothing was done
   */
  alone: (work: (sweeper: Sweeper) => Promise<void>) => Promise<boolean>
}

/** One lock per database, chosen once. */
const LOCK = "hashtextextended('cloudapi2 retention', 0)"

/**
 * Other applications may hold a row for long; the batch is then tried by the next run. And a plan must not look through a
 * table because its statistics are old.
 */
const BEGIN = `begin; set local lock_timeout = '2s'; set local jit = off; set local enable_seqscan = off;
  set local enable_hashjoin = off; set local enable_mergejoin = off`

/** Looking at contacts is cheaper than removing something. */
const CONTACTS_PER_ROW = 5

export const createRetentionStore = (pool: Pool): RetentionStore => ({
  alone: async (work) => {
    const client = await pool.connect()
    // The query in hand rejects as well; without a listener the event would end the process.
    const ignore = () => {}
    client.on('error', ignore)
    let failure: unknown
    try {
      const { rows } = await client.query<{ is_ours: boolean }>(`select pg_try_advisory_lock(${LOCK}) as is_ours`)
      if (rows[0]?.is_ours !== true) return false
      try {
        await work(sweeperOn(client))
      } finally {
        await client.query(`select pg_advisory_unlock(${LOCK})`)
      }
      return true
    } catch (error) {
      failure = error
      throw error
    } finally {
      client.off('error', ignore)
      // A connection that failed may still hold the lock: it is closed, and the lock with it.
      client.release(failure !== undefined)
    }
  },
})

const sweeperOn = (client: PoolClient): Sweeper => ({
  watermarks: () => watermarksOf(client),
  untold: async () => {
    await client.query(forgetTold)
    const [known, { rows }] = [await watermarksOf(client), await client.query<RunRow>(finishedRuns)]
    const untold: RetentionRun[] = []
    for (const run of rows.map(asRun)) {
      // Told, and then the process ended.
      if ((known.get(run.company_id) ?? '') >= run.before) await client.query(toldRun, [run.company_id, run.before])
      else untold.push(run)
    }
    return untold
  },
  sweep: (sweep) => steps(client, sweep),
  finish: async ({ companyId, before, retentionDays }) => {
    if (retentionDays === undefined) return undefined
    // Told already up to there: what came late and went again is told with the next watermark.
    if (((await watermarksOf(client)).get(companyId) ?? '') >= before) return undefined
    await client.query(finishRun, [companyId, before, retentionDays])
    const { rows } = await client.query<RunRow>(`${finishedRuns} and company_id = $1`, [companyId])
    return rows[0] === undefined ? undefined : asRun(rows[0])
  },
  told: async ({ company_id, before }) => {
    await client.query(toldRun, [company_id, before])
  },
})

interface RunRow {
  company_id: string
  before: Date
  retention_days: number
  messages: string
  sends: string
  contacts: string
  media: string
  others: string
}

const asRun = ({ company_id, before, retention_days, ...counts }: RunRow): RetentionRun => ({
  company_id,
  before: before.toISOString(),
  retention_days,
  removed: {
    messages: Number(counts.messages),
    sends: Number(counts.sends),
    contacts: Number(counts.contacts),
    media: Number(counts.media),
    others: Number(counts.others),
  },
})

const watermarksOf = async (client: PoolClient): Promise<Map<string, string>> => {
  const { rows } = await client.query<{ company_id: string; before: Date }>(knownWatermarks)
  return new Map(rows.map(({ company_id, before }) => [company_id, before.toISOString()]))
}

const inTransaction = async <T>(client: PoolClient, work: () => Promise<T>): Promise<T> => {
  await client.query(BEGIN)
  try {
    const result = await work()
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch(() => {}) // the connection is gone, and the transaction with it
    throw error
  }
}

/** `isLast`: the pass has seen everything there is. */
interface Step {
  removed: Removed
  isLast: boolean
}

async function* steps(client: PoolClient, sweep: Sweep): AsyncGenerator<Removed, void> {
  const passes = [oldMessages(), oldTraces, foreignRows, oldSends, oldContacts()]
  for (const pass of passes) {
    for (;;) {
      const { removed, isLast } = await inTransaction(client, async () => {
        const step = await pass(client, sweep)
        if (sweep.retentionDays !== undefined && isAnything(step.removed)) await note(client, sweep, step.removed)
        return step
      })
      yield removed
      if (isLast) break
    }
  }
}

const note = (client: PoolClient, { companyId, before, retentionDays }: Sweep, removed: Removed) =>
  client.query(noteRemoved, [
    companyId,
    before,
    retentionDays,
    removed.messages,
    removed.sends,
    removed.contacts,
    removed.media,
    removed.others,
  ])

type Pass = (client: PoolClient, sweep: Sweep) => Promise<Step>

const oldMessages = (): Pass => {
  // Goes on where it was: what is gone lies about in the index until the table is vacuumed.
  let from = '-infinity'
  return async (client, { companyId, before, batchSize }) => {
    const { rows } = await client.query<{ message_id: string; since: string }>(lockOldMessages, [
      companyId,
      before,
      batchSize,
      from,
    ])
    from = rows.at(-1)?.since ?? from
    const ids = rows.map(({ message_id }) => message_id)
    const media = await forget(client, companyId, before, ids, true)
    return { removed: { ...NOTHING_REMOVED, messages: ids.length, media }, isLast: ids.length < batchSize }
  }
}

const oldTraces: Pass = async (client, { companyId, before, batchSize }) => {
  const { rows } = await client.query<{ message_id: string }>(lockOldTraces, [companyId, before, batchSize])
  const ids = rows.map(({ message_id }) => message_id)
  await forget(client, companyId, before, ids, false)
  return { removed: { ...NOTHING_REMOVED, others: ids.length }, isLast: ids.length < batchSize }
}

/** Returns how many files they carried. */
const forget = async (
  client: PoolClient,
  companyId: string,
  before: string,
  ids: string[],
  isWholeMessage: boolean,
): Promise<number> => {
  if (ids.length === 0) return 0
  const files = client.query<{ files: number }>(countFiles, [companyId, ids])
  const statements: [string, unknown[]][] = [
    ...(isWholeMessage ? [[deleteRows, [companyId, ids]] as [string, unknown[]]] : []),
    [deleteTimeline, [companyId, before, ids]],
    [deleteDetails, [companyId, before, ids]],
    [forgetCreated, [companyId, ids]],
    [deleteStates, [companyId, ids]],
    [cutStates, [companyId, ids]],
  ]
  // In flight together, answered in order.
  const sent = [files, ...statements.map(([text, values]) => client.query(text, values))]
  for (const result of await Promise.allSettled(sent)) if (result.status === 'rejected') throw result.reason
  return (await files).rows[0]?.files ?? 0
}

const foreignRows: Pass = async (client, { companyId, before, batchSize }) => {
  const { rowCount } = await client.query(deleteForeignRows, [companyId, before, batchSize])
  const messages = rowCount ?? 0
  return { removed: { ...NOTHING_REMOVED, messages }, isLast: messages < batchSize }
}

const oldSends: Pass = async (client, { companyId, before, batchSize }) => {
  const { rowCount } = await client.query(deleteSends, [companyId, before, batchSize])
  const sends = rowCount ?? 0
  return { removed: { ...NOTHING_REMOVED, sends }, isLast: sends < batchSize }
}

const oldContacts = (): Pass => {
  let after = ''
  return async (client, { companyId, before, batchSize }) => {
    const limit = batchSize * CONTACTS_PER_ROW
    const { rows: page } = await client.query<{ contact_key: string; is_old: boolean }>(pageOfContacts, [
      companyId,
      before,
      limit,
      after,
    ])
    after = page.at(-1)?.contact_key ?? after
    const old = page.filter(({ is_old }) => is_old).map(({ contact_key }) => contact_key)
    const isLast = page.length < limit
    if (old.length === 0) return { removed: NOTHING_REMOVED, isLast }
    const { rows: locked } = await client.query<{ contact_key: string }>(lockOldContacts, [companyId, before, old])
    const keys = locked.map(({ contact_key }) => contact_key)
    await client.query(forgetSaid, [companyId, before, keys])
    const { rowCount } = await client.query(deleteContacts, [companyId, keys])
    return { removed: { ...NOTHING_REMOVED, contacts: rowCount ?? 0 }, isLast }
  }
}

/** Sweeps a company to the end, without a pause: for tests, and for a copy that nobody else works on. */
export const sweepAtOnce = async (sweeper: Sweeper, sweep: Sweep): Promise<Removed> => {
  let total = NOTHING_REMOVED
  for await (const removed of sweeper.sweep(sweep)) total = addRemoved(total, removed)
  return total
}
