import { setTimeout as wait } from 'node:timers/promises'
import { GatewayError } from '@cloudapi2/contracts'
import type { LogEntry, LogQuery } from '@cloudapi2/event-log'
import { Command, Option } from 'commander'
import { withLog } from '../event-log.client.ts'
import { companyOf, positionOf, timeOf, typesOf } from '../options.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { eventJson, eventLine, readEntry } from './event-line.ts'

export interface TailDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
  /** Aborts when the command is to end. */
  ended: () => AbortSignal
}

interface TailOptions {
  company?: string
  type?: string[]
  message?: string
  since?: Date
  after?: number
  positions: boolean
  showContent: boolean
  output: 'table' | 'ndjson'
}

const RETRY_MS = 500

/** `cloudapi tail`: events as they happen. */
export const tailCommand = ({ env, terminal, now, ended }: TailDeps): Command =>
  new Command('tail')
    .description('events as they are recorded, until Ctrl-C')
    .option('--company <id>', 'of this company; _ for those of none', companyOf)
    .option('--type <type>', 'of this type; may be repeated', typesOf)
    .option('--message <id>', 'that name this message (wamid…)')
    .option('--since <time>', 'also those recorded from then on: RFC 3339, or how long ago, such as 2h', timeOf(now))
    .option('--after <position>', 'also those after this position of the log', positionOf)
    .option('--positions', 'ndjson: {position, event} a line, in place of the event alone', false)
    .option('--show-content', 'with texts, names and phone numbers', false)
    .addOption(
      new Option('-o, --output <format>', 'table (a line each) for the eye, ndjson (whole events) for scripts')
        .choices(['table', 'ndjson'])
        .default('table'),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi tail
  $ cloudapi tail --company a9242a58-4f5d-494c-8a74-45f8cee150e6 --type send.failed --type send.refused --since 15m
  $ cloudapi tail -o ndjson | jq -r 'select(.type == "status.updated") | .data.status'

After a loss of the connection it goes on where it was. ndjson has whole events, with everything in them.
Exit code 0 after Ctrl-C.`,
    )
    .action(async (options: TailOptions) => {
      const signal = ended()
      let after = options.after
      let isLost = false
      const show = (entry: LogEntry) => {
        // What cannot be read is shown as it is: a live view must not end at it.
        if (options.output === 'ndjson') terminal.print(eventJson(entry, options))
        else terminal.print(eventLine(readEntry(entry), options))
      }
      while (!signal.aborted) {
        try {
          await withLog(env, 'jetstream', async (log) => {
            if (isLost) terminal.note(`connected again; going on after position ${after}`)
            isLost = false
            // What is there by now is not asked for, unless it is.
            after ??= options.since === undefined ? (await log.extent()).last : 0
            for await (const entry of log.follow({ ...queryOf(options), after }, { signal })) {
              show(entry)
              after = entry.position
            }
          })
        } catch (error) {
          if (signal.aborted) return
          // Before the first connection it is a mistake in the call; after it, the server is being restarted.
          if (!(error instanceof GatewayError && error.retryable) || after === undefined) throw error
          if (!isLost) terminal.note(`the connection was lost (${error.code}); trying again`)
          isLost = true
          await wait(RETRY_MS, undefined, { signal }).catch(() => {})
        }
      }
    })

const queryOf = ({ company, type, message, since }: TailOptions): Omit<LogQuery, 'upTo' | 'to'> => ({
  ...(company === undefined ? {} : { companyId: company }),
  ...(type === undefined ? {} : { types: type }),
  ...(message === undefined ? {} : { messageId: message }),
  ...(since === undefined ? {} : { from: since }),
})
