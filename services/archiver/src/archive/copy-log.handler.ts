import { GatewayError, isCompanyId, NO_COMPANY, subjects } from '@cloudapi2/contracts'
import {
  type ArchivedUpTo,
  ArchiveRefused,
  type ArchiveRun,
  type ArchiveWriter,
  EventStoreUnreachable,
  type LogEntry,
} from '@cloudapi2/event-log'
import {
  EVENTS,
  followStream,
  type KvBucket,
  lookUpMessage,
  type Nats,
  type Publisher,
  streamExtent,
} from '@cloudapi2/nats'
import type { Logger } from '@cloudapi2/service-kit'
import { type LogEvent, logEventOf } from '../log-event.ts'
import { pause, repeatedly } from '../repeatedly.ts'
import { ArchiveOfAnotherLog } from './archive-of-another-log.ts'
import { type Checkpoint, checkpointIn, idIn } from './checkpoint.ts'
import { type CompanyRuns, companyRuns, missingOf } from './company-runs.ts'

export interface CopyDeps {
  nats: Nats
  publisher: Publisher
  archive: ArchiveWriter
  checkpoints: Pick<KvBucket, 'get' | 'put'>
  log: Logger
  observe: CopyObserver
}

/** What metrics and readiness are told. */
export interface CopyObserver {
  /** Every event up to here is in the archive. */
  position: (position: number) => void
  archived: (events: number) => void
  refused: (code: string) => void
  /** Undefined: all is well. */
  trouble: (reason: string | undefined) => void
}

const CHECKPOINT_KEY = 'archiver'
/** A killed archiver looks again at what it stored since: at most so long. */
const CHECKPOINT_EVERY_MS = 2_000
/** Companies whose events are being stored at the same time. */
const COMPANIES_AT_ONCE = 8
/** A lost answer is asked for soon; an archive that is away is not asked all the time. Doubles from the first to the second. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000
/** Two archivers that do not know of each other can only meet so often in one stream before one has lost its lease. */
const MEETINGS = 10

/**
 * Copies EVENTS into the archive until the signal aborts. It waits for an archive that is away, for as long as it takes;
 * throws when the log is lost.
 */
export const copyLog = async (deps: CopyDeps, signal: AbortSignal): Promise<void> => {
  const { nats, log, checkpoints, observe } = deps
  const archive = archiveStreams(deps)
  let saved = await untilItAnswers(deps, signal, () => findStart(deps))
  if (signal.aborted) return
  observe.position(saved.position)
  log.info({ event: 'archive.copying', after: saved.position })

  let reached: Checkpoint = saved
  const save = async (): Promise<void> => {
    const checkpoint = reached
    if (checkpoint.position <= saved.position) return
    await checkpoints.put(CHECKPOINT_KEY, JSON.stringify(checkpoint))
    saved = checkpoint
  }
  const saveOrTell = () =>
    save().catch((err: unknown) => log.warn({ event: 'archive.checkpoint_not_saved', position: reached.position, err }))

  const ending = new AbortController()
  const saving = repeatedly(CHECKPOINT_EVERY_MS, AbortSignal.any([signal, ending.signal]), saveOrTell)
  try {
    for await (const messages of followStream(nats, EVENTS, { after: saved.position, signal })) {
      const events = messages.map(logEventOf)
      const last = events.at(-1)
      if (last === undefined) continue
      const ends = await untilItAnswers(deps, signal, () => storeBatch(archive, companyRuns(events), signal))
      if (signal.aborted) break // perhaps not all of it
      reached = { position: last.position, id: idIn(last.body), ends: { ...ends } }
      observe.position(reached.position)
    }
  } finally {
    ending.abort()
    await saving
    await saveOrTell()
  }
}

/** Tries again until it works or the signal aborts; the archive's state is looked up anew by whoever is called. */
const untilItAnswers = async <T>(deps: CopyDeps, signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
  for (let tries = 1; ; tries++) {
    try {
      const result = await work()
      deps.observe.trouble(undefined)
      return result
    } catch (error) {
      if (signal.aborted) throw error
      const reason = error instanceof Error ? error.message : String(error)
      deps.observe.trouble(reason)
      deps.log.error({
        event: 'archive.not_stored',
        tries,
        code: error instanceof GatewayError ? error.code : 'UNFORESEEN',
        reason,
      })
      await pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1)), signal)
      if (signal.aborted) throw error
    }
  }
}

const NOWHERE: Checkpoint = { position: 0, id: '', ends: {} }

/** Where the copy goes on. @throws ArchiveOfAnotherLog */
const findStart = async ({ nats, checkpoints, archive, log }: CopyDeps): Promise<Checkpoint> => {
  const stored = await checkpoints.get(CHECKPOINT_KEY)
  if (stored === undefined) return NOWHERE
  const checkpoint = checkpointIn(stored.value)
  if (checkpoint === undefined) {
    log.warn({ event: 'archive.checkpoint_unreadable' })
    return NOWHERE
  }
  const { last } = await streamExtent(nats, EVENTS)
  const there = await lookUpMessage(nats, EVENTS, { at: checkpoint.position })
  if (checkpoint.position > last || (there !== undefined && idIn(there.data) !== checkpoint.id)) {
    log.warn({ event: 'archive.checkpoint_of_another_log', position: checkpoint.position, last })
    return NOWHERE // the archive itself tells whether it fits this log
  }
  for (const [stream, end] of Object.entries(checkpoint.ends)) {
    const { position } = await archive.lastPositionIn(stream)
    if (position >= end) continue
    log.warn({ event: 'archive.behind_checkpoint', stream, position, expected: end })
    return NOWHERE
  }
  return checkpoint
}

/** The streams of the archive, each as it was when we last heard of it. */
interface ArchiveStreams {
  /** Stores what is missing of a run. Returns where its stream ends now. */
  store: (companyId: string, run: ArchiveRun) => Promise<number>
  /** What is known may be wrong: it is asked for again. */
  forget: () => void
}

/** Stores a batch, several companies side by side. Returns where each of its streams ends. */
const storeBatch = async (
  archive: ArchiveStreams,
  batch: readonly CompanyRuns[],
  signal: AbortSignal,
): Promise<Record<string, number>> => {
  const ends: Record<string, number> = {}
  let failure: unknown
  const next = batch.values()
  const work = async () => {
    for (const { companyId, runs } of next)
      for (const run of runs) {
        if (failure !== undefined || signal.aborted) return
        try {
          const end = await archive.store(companyId, run)
          if (end > 0) ends[run.stream] = end
        } catch (error) {
          failure ??= error
        }
      }
  }
  // Each to its end: an append that is still under way would meet the next try of it.
  await Promise.all(Array.from({ length: COMPANIES_AT_ONCE }, work))
  if (failure !== undefined) {
    archive.forget()
    throw failure
  }
  return ends
}

const archiveStreams = ({ nats, publisher, archive, log, observe }: CopyDeps): ArchiveStreams => {
  const known = new Map<string, ArchivedUpTo>()

  const endOf = async (stream: string): Promise<ArchivedUpTo> => {
    const end = known.get(stream)
    if (end !== undefined) return end
    const asked = await archive.lastPositionIn(stream)
    if (asked.position > 0) await compare(stream, asked)
    known.set(stream, asked)
    return asked
  }

  /** Positions are skipped by number: it must be the number of the same event. */
  const compare = async (stream: string, { position, id }: ArchivedUpTo): Promise<void> => {
    const event = await lookUpMessage(nats, EVENTS, { at: position })
    if (event !== undefined) {
      if (id === undefined || idIn(event.data) === id) return
      throw new ArchiveOfAnotherLog(stream, position, 'is another event in EVENTS')
    }
    // Gone by age, or never there.
    const { last } = await streamExtent(nats, EVENTS)
    if (position > last) throw new ArchiveOfAnotherLog(stream, position, `is beyond the end of EVENTS, ${last}`)
  }

  const store = async (companyId: string, run: ArchiveRun): Promise<number> => {
    for (let meetings = 0; ; meetings++) {
      const end = await endOf(run.stream)
      const entries = missingOf(run, end.position)
      const last = entries.at(-1)
      if (last === undefined) return end.position
      try {
        const answer = await archive.appendAt(run.stream, entries, end.revision)
        if (answer.kind === 'stored') {
          known.set(run.stream, { position: last.position, revision: answer.revision })
          observe.archived(entries.length)
          return last.position
        }
        known.delete(run.stream)
        if (answer.kind === 'unavailable') throw answer.error
        if (meetings === MEETINGS) throw new EventStoreUnreachable(`${run.stream} is being written by somebody else`)
      } catch (error) {
        if (!isForGood(error)) throw error
        if (entries.length === 1) {
          await refuse(companyId, run.stream, last, error)
          return end.position
        }
        // One of them: found by halves.
        const half = entries.length >> 1
        await store(companyId, { stream: run.stream, entries: entries.slice(0, half) })
        return await store(companyId, { stream: run.stream, entries: entries.slice(half) })
      }
    }
  }

  const refuse = async (companyId: string, stream: string, entry: LogEntry, error: GatewayError): Promise<void> => {
    const company = isCompanyId(companyId) ? companyId : NO_COMPANY
    await publisher.publish({
      subject: subjects.deadLetter('archiver', company),
      msgId: `dlq:archiver:${entry.position}`,
      data: entry.body,
      headers: {
        Reason: error.message.replace(/[\r\n]+/g, ' ').slice(0, 1_000),
        Code: error.code,
        Attempts: '1',
        Stream: EVENTS,
        Sequence: String(entry.position),
        Subject: subjectOf(entry as LogEvent),
      },
    })
    observe.refused(error.code)
    log.error({
      event: 'archive.refused',
      company_id: company,
      stream,
      position: entry.position,
      code: error.code,
      reason: error.message,
    })
  }

  return { store, forget: () => known.clear() }
}

const subjectOf = ({ companyId, channel, type }: LogEvent): string => `evt.${companyId}.${channel}.${type}`

/**
 * The archive will never take this event, or nothing for this stream. That it takes nothing from this user is not the
 * event's fault, and passes when somebody mends the user's rights.
 */
const isForGood = (error: unknown): error is ArchiveRefused =>
  error instanceof ArchiveRefused && (error.cause as { type?: unknown } | undefined)?.type !== 'access-denied'
