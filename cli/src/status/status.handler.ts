import { setTimeout as wait } from 'node:timers/promises'
import { GatewayError } from '@cloudapi2/contracts'
import { EVENTS, reportStreams } from '@cloudapi2/nats'
import { PROJECTION } from '@cloudapi2/read-model'
import { Command } from 'commander'
import { type Context, contextOf, withNats } from '../context.store.ts'
import { databaseReason, withDatabase } from '../database.client.ts'
import { withLog } from '../event-log.client.ts'
import { countOf, type OutputFormat, outputOption } from '../options.ts'
import { Ended, EXIT } from '../output/exit-codes.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { serviceStates } from './service-states.client.ts'
import { projectionBehind, type StatusParts, type StatusReport, statusReport, statusText } from './status-report.ts'

export interface StatusDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
  /** Aborts when the command is to end. */
  ended: () => AbortSignal
}

const MOST_SECONDS = 3_600

/** `cloudapi status`: how everything stands, at a glance and for scripts. */
export const statusCommand = ({ env, terminal, now, ended }: StatusDeps): Command =>
  new Command('status')
    .description('how services, streams, the read model and the archive stand')
    .option('--watch <seconds>', 'again every so many seconds, until Ctrl-C', countOf(MOST_SECONDS))
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi status
  $ cloudapi status --watch 2
  $ cloudapi status -o json | jq '.[0].projection.behind'

Exit code 1: something that is configured does not answer, or a service is not ready.`,
    )
    .action(async ({ output, watch }: { output: OutputFormat; watch?: number }) => {
      const show = (report: StatusReport) => {
        if (output !== 'table') return terminal.printValues(output, [report])
        const isScreen = watch !== undefined && terminal.width !== undefined
        const text = statusText(report, { width: terminal.width, emphasis: terminal.bold })
        terminal.print(isScreen ? `${CLEAR_SCREEN}${text}` : text)
      }
      const context = await contextOf(env)
      if (isNowhere(context))
        throw new GatewayError(
          `nothing is known to ask: set NATS_URL, DATABASE_URL and the URLs of services, or run "npm start" first: ${context.runtimeFile} is not there`,
          { code: 'NO_INSTALLATION', retryable: false },
        )
      let report = await ask(context, env, now)
      show(report)
      if (watch !== undefined) {
        const signal = ended()
        while (!signal.aborted) {
          await wait(watch * 1_000, undefined, { signal }).catch(() => {})
          if (signal.aborted) return
          // What runs, and where, may have changed meanwhile.
          report = await ask(await contextOf(env), env, now)
          show(report)
        }
        return
      }
      if (!report.ready) throw new Ended(EXIT.failed)
    })

const CLEAR_SCREEN = '\u001b[2J\u001b[H'

const isNowhere = ({ urls, natsUrl, databaseUrl }: Context): boolean =>
  Object.keys(urls).length === 0 && natsUrl === undefined && databaseUrl === undefined

/** Everything at once; each part that does not answer says so, and holds up no other. */
const ask = async (context: Context, env: NodeJS.ProcessEnv, now: () => number): Promise<StatusReport> => {
  const [services, log, database, archive] = await Promise.all([
    serviceStates(context, now),
    askNats(context, env),
    askDatabase(context),
    askArchive(context, env),
  ])
  const last = log.streams.find(({ name }) => name === EVENTS)?.lastSequence
  const behind = projectionBehind(log.streams)
  return statusReport({
    services,
    ...log,
    database: database.database,
    projection:
      behind === null && database.position === null
        ? null
        : { behind, position: database.position, version: database.version },
    archive:
      archive === null
        ? null
        : {
            ...archive,
            behind: archive.position === null || last === undefined ? null : Math.max(0, last - archive.position),
          },
    companies: database.companies,
  })
}

const askNats = async (
  { natsUrl }: Context,
  env: NodeJS.ProcessEnv,
): Promise<Pick<StatusParts, 'nats' | 'streams'>> => {
  if (natsUrl === undefined) return { nats: null, streams: [] }
  try {
    return { nats: { reachable: true }, streams: await withNats(env, ({ nats }) => reportStreams(nats)) }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return { nats: { reachable: false, reason: error.message }, streams: [] }
  }
}

interface DatabaseAnswer {
  database: StatusParts['database']
  companies: number | null
  position: number | null
  version: number | null
}

const askDatabase = async ({ databaseUrl }: Context): Promise<DatabaseAnswer> => {
  const nothing = { companies: null, position: null, version: null }
  if (databaseUrl === undefined) return { database: null, ...nothing }
  try {
    return await withDatabase(databaseUrl, async (database) => {
      const { rows: there } = await database.query(
        "select to_regclass('public.companies') is not null companies, to_regclass('gateway.projections') is not null projections",
      )
      const answer: DatabaseAnswer = { database: { reachable: true }, ...nothing }
      if (there[0].companies)
        answer.companies = (await database.query('select count(*)::int count from public.companies')).rows[0].count
      if (there[0].projections) {
        const found = await database.query(
          'select position, version from gateway.projections where name = $1 and version = $2',
          [PROJECTION.name, PROJECTION.version],
        )
        answer.position = found.rows[0] === undefined ? null : Number(found.rows[0].position)
        answer.version = PROJECTION.version
      }
      return answer
    })
  } catch (error) {
    return { database: { reachable: false, reason: databaseReason(error) }, ...nothing }
  }
}

const askArchive = async ({ eventstoreUrl }: Context, env: NodeJS.ProcessEnv) => {
  if (eventstoreUrl === undefined) return null
  try {
    const { last } = await withLog(env, 'eventstore', (log) => log.extent())
    return { reachable: true, position: last }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return { reachable: false, reason: error.message, position: null }
  }
}
