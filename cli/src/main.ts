#!/usr/bin/env node
import { text } from 'node:stream/consumers'
import { GatewayError } from '@cloudapi2/contracts'
import { Command, CommanderError } from 'commander'
import { auditCommand } from './audit/audit.handler.ts'
import { dlqCommand } from './dlq/dlq.handler.ts'
import { doctorCommand } from './doctor/doctor.handler.ts'
import { endSignal } from './output/end.client.ts'
import { Ended, EXIT, exitCodeOf } from './output/exit-codes.ts'
import { createTerminal } from './output/terminal.client.ts'
import { rebuildCommand } from './rebuild/rebuild.handler.ts'
import { replayCommand } from './replay/replay.handler.ts'
import { sendCommand } from './send/send.handler.ts'
import { simulateCommand } from './simulate/simulate.handler.ts'
import { statusCommand } from './status/status.handler.ts'
import { tailCommand } from './tail/tail.handler.ts'
import { tenantCommand } from './tenant/tenant.handler.ts'
import { topologyCommand } from './topology/topology.handler.ts'
import { upCommand } from './up/up-command.handler.ts'

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

const commands = [
  upCommand(deps),
  statusCommand(deps),
  doctorCommand(deps),
  tenantCommand(deps),
  sendCommand(deps),
  tailCommand(deps),
  replayCommand(deps),
  rebuildCommand({ ...deps, stderr: process.stderr }),
  dlqCommand(deps),
  auditCommand(deps),
  topologyCommand(deps),
  simulateCommand(deps),
]
for (const command of commands) program.addCommand(command)

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
