#!/usr/bin/env node
import { text } from 'node:stream/consumers'
import { GatewayError } from '@cloudapi2/contracts'
import { Command, CommanderError } from 'commander'
import { endSignal } from './output/end.client.ts'
import { Ended, EXIT, exitCodeOf } from './output/exit-codes.ts'
import { createTerminal } from './output/terminal.client.ts'

// `npm start | head` closes our output; that must not take the services down.
process.stdout.on('error', () => {})

const terminal = createTerminal(process)
const deps = {
  env: process.env,
  terminal,
  now: Date.now,
  ended: () => endSignal(process),
  readInput: () => text(process.stdin),
}

const program = new Command('cloudapi')
  .description('CloudAPI2: a multi-tenant gateway to the WhatsApp Business Cloud API')
  .addHelpText('after', '\nIt talks to NATS_URL, else to the installation that runs on DATA_DIR (.data).')

/** Each is loaded when it is called: what one of them needs of drivers and clients, the others need not wait for. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./up/up-command.handler.ts')).upCommand(deps),
  status: async () => (await import('./status/status.handler.ts')).statusCommand(deps),
  doctor: async () => (await import('./doctor/doctor.handler.ts')).doctorCommand(deps),
  tenant: async () => (await import('./tenant/tenant.handler.ts')).tenantCommand(deps),
  send: async () => (await import('./send/send.handler.ts')).sendCommand(deps),
  tail: async () => (await import('./tail/tail.handler.ts')).tailCommand(deps),
  replay: async () => (await import('./replay/replay.handler.ts')).replayCommand(deps),
  rebuild: async () =>
    (await import('./rebuild/rebuild.handler.ts')).rebuildCommand({ ...deps, stderr: process.stderr }),
  dlq: async () => (await import('./dlq/dlq.handler.ts')).dlqCommand(deps),
  audit: async () => (await import('./audit/audit.handler.ts')).auditCommand(deps),
  topology: async () => (await import('./topology/topology.handler.ts')).topologyCommand(deps),
  simulate: async () => (await import('./simulate/simulate.handler.ts')).simulateCommand(deps),
}

const name = process.argv[2] ?? ''
const called = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
// Called by no name that is known: all of them, for the help and for what was meant.
for (const load of called === undefined ? Object.values(COMMANDS) : [called]) program.addCommand(await load())

/** Every command throws in place of ending the process by itself, and names `--help` when it was misused. */
const tame = (command: Command): void => {
  command.exitOverride().showHelpAfterError('Add --help for the options and examples.')
  command.commands.forEach(tame)
}
tame(program)

const exitCodeFor = (error: unknown): number => {
  // Said already: by commander what is wrong with the call, or by the command how it went.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  if (error instanceof Ended) return error.exitCode
  if (!(error instanceof GatewayError)) throw error
  terminal.note(`error: ${error.message} (${error.code})`)
  return exitCodeOf(error)
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeFor(error)
  // What was started and could not be stopped must not keep the shell waiting; what was printed has left by then.
  setTimeout(() => process.exit(), 1_000).unref()
}
