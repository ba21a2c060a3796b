import { GatewayError } from '@cloudapi2/contracts'
import { BUCKETS, compareTopology } from '@cloudapi2/nats'
import { readEnvironment, TOPOLOGY_ENVIRONMENT, topologyOf } from '@cloudapi2/service-kit'
import { Command } from 'commander'
import { z } from 'zod'
import { type Context, contextOf, withNats } from '../context.store.ts'
import { withDatabase } from '../database.client.ts'
import { withLog } from '../event-log.client.ts'
import { companyOf, type OutputFormat, outputOption } from '../options.ts'
import { Ended, EXIT } from '../output/exit-codes.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { serviceStates } from '../status/service-states.client.ts'
import { type Check, checksText, fail, ok, skipped, summary } from './check.ts'
import { companiesChecks, handshakeChecks } from './companies.client.ts'
import { graphCheck } from './graph.client.ts'
import { binaryChecks, diskCheck, portChecks } from './machine.client.ts'
import { databaseClockCheck, databaseFailed, migrationChecks, natsClockCheck, topologyChecks } from './stores.client.ts'

export interface DoctorDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
}

/** Where Graph is when nothing else is said. */
const META_GRAPH = 'https://graph.facebook.com'

const Environment = z.object({
  ...TOPOLOGY_ENVIRONMENT,
  GRAPH_BASE_URL: z.url({ protocol: /^https?$/, error: 'expected https://host' }).optional(),
})

/** `cloudapi doctor`: what is wrong, and what to do about it. Changes nothing. */
export const doctorCommand = ({ env, terminal, now }: DoctorDeps): Command =>
  new Command('doctor')
    .description('look for what is wrong with this machine and the installation, and say what to do about it')
    .option('--company <id>', 'secrets and webhook of this company only', companyOf)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi doctor
  $ cloudapi doctor --company a9242a58-4f5d-494c-8a74-45f8cee150e6
  $ cloudapi doctor -o ndjson | jq -r 'select(.state == "fail") | .todo'

It changes nothing, and looks at what it can when parts are away. Exit code 1: at least one check failed.`,
    )
    .action(async ({ company, output }: { company?: string; output: OutputFormat }) => {
      const environment = readEnvironment(Environment, env)
      const context = await contextOf(env)
      const graphUrl = environment.GRAPH_BASE_URL ?? context.urls.graph_simulator ?? META_GRAPH
      const [binaries, ports, disk, services, graph, nats, database, archive] = await Promise.all([
        binaryChecks(env),
        portChecks(context, env),
        diskCheck(context),
        serviceChecks(context, now),
        graphCheck(graphUrl.replace(/\/+$/, '')),
        natsChecks(context, env, { topology: topologyOf(environment), company, now }),
        databaseChecks(context, now),
        archiveChecks(context, env),
      ])
      const checks = [...binaries, ...ports, disk, ...nats, ...database, ...archive, ...services, graph]
      if (output === 'table') terminal.print(checksText(checks, { width: terminal.width, emphasis: terminal.bold }))
      else terminal.printValues(output, checks)
      if (output === 'table') terminal.note(summary(checks))
      if (checks.some(({ state }) => state === 'fail')) throw new Ended(EXIT.failed)
    })

const serviceChecks = async (context: Context, now: () => number): Promise<Check[]> => {
  const states = await serviceStates(context, now)
  if (states.length === 0) return [skipped('services', 'no address of a service is known (SENDER_URL, …)')]
  return states.map(({ name, url, alive, ready, reasons, latency_ms }) =>
    ready
      ? ok(name, `ready, ${latency_ms} ms`)
      : fail(
          name,
          `${alive ? 'not ready' : 'does not answer'} at ${url}: ${reasons.join('; ')}`,
          alive ? 'Mend what it names; its log has more' : 'Start it, or correct its address',
        ),
  )
}

/** As a comparison of the topology names it. */
const COMPANIES = `bucket ${BUCKETS.tenants}`

const natsChecks = async (
  context: Context,
  env: NodeJS.ProcessEnv,
  options: { topology: ReturnType<typeof topologyOf>; company: string | undefined; now: () => number },
): Promise<Check[]> => {
  if (context.natsUrl === undefined)
    return [
      skipped('nats', 'NATS_URL is not set, and nothing runs on DATA_DIR: streams and companies cannot be looked at'),
    ]
  try {
    return await withNats(env, async ({ nats }) => {
      const differences = await compareTopology(nats, options.topology)
      const topology = topologyChecks(differences)
      const clock = await natsClockCheck(nats, options.now)
      const areCompaniesMissing = differences.some(({ what, field }) => what === COMPANIES && field === undefined)
      const { tenants, checks } = areCompaniesMissing
        ? { tenants: [], checks: [skipped('sealed secrets', `the ${COMPANIES} is not there`)] }
        : await companiesChecks(nats, context, options.company)
      const gatewayUrl = context.urls.webhook_gateway
      const handshakes =
        gatewayUrl === undefined
          ? [skipped('webhook handshake', 'WEBHOOK_GATEWAY_URL is not set')]
          : tenants.length === 0
            ? [skipped('webhook handshake', 'no company whose verify token can be read')]
            : await handshakeChecks(gatewayUrl, tenants)
      return [ok('nats', 'answers'), ...topology, clock, ...checks, ...handshakes]
    })
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return [fail('nats', error.message, 'Is it running? Check NATS_URL: host, port, user, password, TLS')]
  }
}

const databaseChecks = async ({ databaseUrl }: Context, now: () => number): Promise<Check[]> => {
  if (databaseUrl === undefined) return [skipped('database', 'DATABASE_URL is not set, and nothing runs on DATA_DIR')]
  try {
    return await withDatabase(databaseUrl, async (database) => {
      const { rows } = await database.query('show server_version')
      return [
        ok('database', `PostgreSQL ${rows[0].server_version}`),
        ...(await migrationChecks(database)),
        await databaseClockCheck(database, now),
      ]
    })
  } catch (error) {
    return [databaseFailed(error)]
  }
}

const archiveChecks = async ({ eventstoreUrl }: Context, env: NodeJS.ProcessEnv): Promise<Check[]> => {
  if (eventstoreUrl === undefined) return [skipped('archive', 'EVENTSTORE_URL is not set: there is none')]
  try {
    const { last } = await withLog(env, 'eventstore', (log) => log.extent())
    return [ok('archive', `answers; its last position is ${last}`)]
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return [fail('archive', error.message, 'Is it running? Check EVENTSTORE_URL. Live traffic is not affected')]
  }
}
