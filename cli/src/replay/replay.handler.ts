import { setTimeout as wait } from 'node:timers/promises'
import { GatewayError } from '@cloudapi2/contracts'
import type { EventLog, LogEntry, LogQuery } from '@cloudapi2/event-log'
import { Command } from 'commander'
import { firstOf } from '../company-in-log.ts'
import { withNats } from '../context.store.ts'
import { withLog } from '../event-log.client.ts'
import {
  companyOf,
  countOf,
  type LogSource,
  type OutputFormat,
  outputOption,
  positionOf,
  sourceOption,
  timeOf,
  typesOf,
} from '../options.ts'
import type { EndReason } from '../output/end.client.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { eventJson, eventLine, type ReadEntry, readEntry } from '../tail/event-line.ts'
import { waitMs } from './pace.ts'
import { receiver } from './receiver.client.ts'
import {
  checkPosition,
  endOf,
  missingBefore,
  nothingFound,
  type ReplayEnd,
  type ReplayOptions,
  receiverOf,
  requestOf,
} from './replay-request.ts'

export interface ReplayDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
  /** Aborts when the command is to end. */
  ended: () => AbortSignal
}

interface Options extends ReplayOptions {
  source: LogSource
  rate: number
  asStored: boolean
  positions: boolean
  showContent: boolean
  output: OutputFormat
}

const FASTEST = 100_000
const DEFAULT_RATE = 100

/** `cloudapi replay`: what happened, in order; to the screen, to a file, or to one receiver. */
export const replayCommand = ({ env, terminal, now, ended }: ReplayDeps): Command => {
  const time = timeOf(now)
  return new Command('replay')
    .description('what happened, in order, from the log or its archive; or send it again to one receiver')
    .requiredOption('--company <id>', 'of this company; _ for what belongs to none', companyOf)
    .option('--message <id>', 'everything that names this message (wamid…)')
    .option('--type <type>', 'of this type; may be repeated', typesOf)
    .option('--from <time>', 'recorded at this time or later: RFC 3339, or how long ago, such as 2h', time)
    .option(
      '--to <time>',
      'recorded before this time. What begins with "replay." is the receiver, as --receiver',
      (text: string, before: ReplayEnd[]) => [...before, endOf(text, time)],
      [] as ReplayEnd[],
    )
    .option('--after <position>', 'after this position of the log', positionOf)
    .addOption(sourceOption())
    .option('--receiver <id>', 'send it to whoever subscribes to replay.<id>.>, in place of printing it', receiverOf)
    .option('--rate <n>', 'to a receiver: events per second', countOf(FASTEST), DEFAULT_RATE)
    .option('--as-stored', 'print events as they are stored, in place of brought up to the current version', false)
    .option('--positions', 'ndjson and json: {position, event} in place of the event alone', false)
    .option('--show-content', 'in the table: also texts, names and phone numbers', false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi replay --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --message wamid.HBgL…
  $ cloudapi replay --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --from 2026-11-01 --to 2026-12-01 -o ndjson > november.ndjson
  $ cloudapi replay --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --source eventstore --type status.updated
  $ cloudapi replay --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --receiver crm-reload --rate 500

A receiver gets replay.<id>.begin, each event on replay.<id>.<company>.<channel>.<noun>.<verb> with the headers Replay and
Replay-Position, and replay.<id>.end with the count. No service of this system, and no stream, takes these subjects.
Exit code 3: the log has nothing of this company or message, or ends before the position.`,
    )
    .action(async (options: Options) => {
      const { query, receiver: to } = requestOf(options)
      const signal = ended()
      await withLog(env, options.source, async (log) => {
        const extent = await log.extent()
        checkPosition(query.after, extent)
        const missing = missingBefore(query, extent)
        if (missing !== undefined) terminal.note(missing)
        const entries = log.read(query, { signal })
        const count =
          to === undefined
            ? await print(entries, options, signal)
            : await withNats(env, async ({ nats }) => {
                const sending = receiver(nats, to)
                await sending.begin({ source: options.source, rate: options.rate, query })
                await paced(entries, options.rate, sending.send, signal)
                if (signal.aborted) throw stopped('the receiver was told of no end')
                const sent = await sending.end()
                terminal.note(`${sent.events} events sent to replay.${to}.>${range(sent.first, sent.last)}`)
                return sent.events
              })
        if (count > 0 || signal.aborted) return
        const nothing = nothingFound(query, await holds(log, query))
        if (nothing !== undefined) throw nothing
        terminal.note('no events')
      })
    })

  /** A line at a time: a log of any length needs no memory. */
  async function print(entries: AsyncIterable<LogEntry>, options: Options, signal: AbortSignal): Promise<number> {
    const { output, asStored } = options
    let count = 0
    let first: number | undefined
    let last: number | undefined
    for await (const entry of entries) {
      const isRead = !asStored || output === 'table'
      const read = isRead ? readEntry(entry) : undefined
      if (!asStored && read !== undefined) mustBeReadable(read)
      const line = output === 'table' && read !== undefined ? eventLine(read, options) : eventJson(entry, options, read)
      terminal.print(output === 'json' ? `${count === 0 ? '[' : ','}${line}` : line)
      first ??= entry.position
      last = entry.position
      count++
    }
    if (signal.aborted) {
      if (signal.reason === ('output closed' satisfies EndReason)) return count
      throw stopped('there may be more')
    }
    if (output === 'json') terminal.print(count === 0 ? '[]' : ']')
    if (output === 'table' && count > 0) terminal.note(`${count} events${range(first, last)}`)
    return count
  }

  async function paced(
    entries: AsyncIterable<LogEntry>,
    rate: number,
    send: (entry: LogEntry) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const startedAt = performance.now()
    let sent = 0
    for await (const entry of entries) {
      const ms = waitMs({ sent, elapsedMs: performance.now() - startedAt, rate })
      // A timer is no more exact than this.
      if (ms >= 1) await wait(ms, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      await send(entry)
      sent++
    }
  }
}

const range = (first: number | undefined, last: number | undefined): string =>
  first === undefined ? '' : `, positions ${first} to ${last}`

/** A gap must not pass unnoticed. @throws GatewayError with the position, and why this software cannot read what is there */
const mustBeReadable = (read: ReadEntry): void => {
  if ('event' in read) return
  const { code, reason } = read.unreadable
  throw new GatewayError(`position ${read.position}: ${reason}; --as-stored prints it as it is`, {
    code,
    retryable: false,
  })
}

const holds = async (log: EventLog, { companyId, messageId }: LogQuery) => {
  const company = await hasAny(log, { ...(companyId === undefined ? {} : { companyId }) })
  const message =
    company && messageId !== undefined
      ? await hasAny(log, { ...(companyId === undefined ? {} : { companyId }), messageId })
      : false
  return { company, message }
}

const hasAny = async (log: EventLog, query: LogQuery): Promise<boolean> =>
  (await firstOf(log.read(query))) !== undefined

const stopped = (what: string) =>
  new GatewayError(`stopped before the end: ${what}`, { code: 'REPLAY_STOPPED', retryable: true })
