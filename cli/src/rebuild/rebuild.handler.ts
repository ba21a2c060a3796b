import { NO_COMPANY } from '@cloudapi2/contracts'
import { consumerPosition, EVENTS, holdConsumer, type Nats } from '@cloudapi2/nats'
import {
  checkReadModel,
  isSame,
  type RebuildLog,
  type RebuildOptions,
  type RebuildReport,
  rebuild,
} from '@cloudapi2/read-model'
import { Command } from 'commander'
import { companyNotInLog, firstOf } from '../company-in-log.ts'
import { contextOf, settingOf, withNats } from '../context.store.ts'
import {
  companyOf,
  countOf,
  type LogSource,
  misused,
  type OutputFormat,
  outputOption,
  sourceOption,
} from '../options.ts'
import { Ended, EXIT } from '../output/exit-codes.ts'
import { table } from '../output/table.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { createProgress } from './progress.client.ts'
import { withRebuildLog } from './rebuild-log.client.ts'
import { DIFFERENCE_COLUMNS, remarks, rowsOf, TABLE_COLUMNS } from './report-views.ts'

export interface RebuildDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
  /** Where progress is drawn. */
  stderr: NodeJS.WriteStream
}

interface Options {
  company?: string
  check: boolean
  source: LogSource
  limit: number
  drain: number
  output: OutputFormat
}

/** The projector's consumer of EVENTS. */
const PROJECTOR = 'projector'
const MOST_LISTED = 1_000_000
const DEFAULT_LISTED = 200
const DEFAULT_DRAIN_S = 15

/** `cloudapi rebuild`: the read model from the log, or only what differs from it. */
export const rebuildCommand = ({ env, terminal, now, stderr }: RebuildDeps): Command => {
  return new Command('rebuild')
    .description('fold the log again and replace every row of the read model that differs; with --check only tell them')
    .option('--company <id>', 'only rows of this company', companyOf)
    .option('--check', 'tell what differs, by row and column, and change nothing', false)
    .addOption(sourceOption('which log is read; what the archive lacks comes from EVENTS'))
    .option(
      '--limit <n>',
      'list at most this many differences of each table; all are counted',
      countOf(MOST_LISTED),
      DEFAULT_LISTED,
    )
    .option(
      '--drain <seconds>',
      'with --check: how long to wait for what the projector has in hand',
      countOf(3_600),
      DEFAULT_DRAIN_S,
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi rebuild --check
  $ cloudapi rebuild --check --company a9242a58-4f5d-494c-8a74-45f8cee150e6 -o ndjson | jq -r .key[0]
  $ cloudapi rebuild
  $ cloudapi rebuild --source eventstore

Traffic may go on. A check holds the projector still for a moment; a rebuild makes whoever writes to the tables wait while
rows are replaced. Tables, grants, views and triggers of others stay, and so do responsible_email, assigned_to_id and
chat_url of rows that are there. Texts and phone numbers are not shown: a contact's key is left(sha256(contact_key), 16).
It reads NATS_URL and DATABASE_URL, else the installation on DATA_DIR; --source eventstore also EVENTSTORE_URL.
Exit code 1: a check found differences.`,
    )
    .action(async ({ company, check, source, limit, drain, output }: Options) => {
      if (company === NO_COMPANY) throw misused('events of no company become no rows: give a company, or none at all')
      const context = await contextOf(env)
      const databaseUrl = settingOf(context, 'databaseUrl')
      const progress = createProgress(stderr, { note: terminal.note, now })
      const report = await withNats(env, ({ nats }) =>
        withRebuildLog(source, { nats, context }, async (log) => {
          if (company !== undefined) await mustBeKnown(log, company)
          const options: RebuildOptions = {
            databaseUrl,
            log,
            listed: limit,
            onProgress: progress.told,
            ...(company === undefined ? {} : { companyId: company }),
          }
          try {
            return await (check ? checked(nats, options, drain) : rebuild(options))
          } finally {
            progress.stop()
          }
        }),
      )
      print(report, { check, output })
      if (check && !isSame(report.tables)) throw new Ended(EXIT.failed)
    })

  function print(report: RebuildReport, { check, output }: { check: boolean; output: OutputFormat }): void {
    const { differences, tables, position, events, lockedMs } = report
    if (!check && output !== 'table') terminal.printValues(output, tables)
    else if (!check) terminal.print(table(TABLE_COLUMNS, tables, { width: terminal.width, emphasis: terminal.bold }))
    else if (output !== 'table') terminal.printValues(output, differences)
    else if (differences.length > 0)
      terminal.print(table(DIFFERENCE_COLUMNS, differences, { width: terminal.width, emphasis: terminal.bold }))

    const rows = rowsOf(tables)
    const folded = `${events} events up to position ${position}`
    if (!check) terminal.note(`rebuilt from ${folded}: ${rows} rows replaced, writers waited ${Math.ceil(lockedMs)} ms`)
    else if (rows === 0) terminal.note(`every row is what the log says: ${folded}`)
    else {
      const byTable = tables.filter((one) => rowsOf([one]) > 0)
      const counts = byTable.map(
        ({ name, missing, surplus, differs }) =>
          `${name}: ${missing} missing, ${surplus} surplus, ${differs} different`,
      )
      terminal.note(`${rows} rows are not what the log says (${folded}). ${counts.join('; ')}`)
      terminal.note('cloudapi rebuild, without --check, mends them')
    }
    for (const line of remarks(report)) terminal.note(line)
  }
}

const checked = (nats: Nats, options: RebuildOptions, drainS: number): Promise<RebuildReport> =>
  checkReadModel({
    ...options,
    folded: async () => (await consumerPosition(nats, EVENTS, PROJECTOR)).delivered,
    hold: () => holdConsumer(nats, EVENTS, PROJECTOR, { timeoutMs: drainS * 1_000 }),
  })

/** A mistyped company would be one whose every row is surplus. @throws GatewayError COMPANY_NOT_IN_LOG */
const mustBeKnown = async (log: RebuildLog, companyId: string): Promise<void> => {
  const { last } = await log.extent()
  if ((await firstOf(log.read({ after: 0, upTo: last, companyId }))) === undefined) throw companyNotInLog(companyId)
}
