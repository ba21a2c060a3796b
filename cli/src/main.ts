#!/usr/bin/env node
import { randomUUID } from 'node:crypto'
import { GatewayError, parseSendCommand, subjects } from '@cloudapi2/contracts'
import { applyTopology, connectNats, createPublisher } from '@cloudapi2/nats'
import {
  ConfigError,
  configOrExit,
  EXIT_CONFIG,
  readEnvironment,
  TOPOLOGY_ENVIRONMENT,
  topologyOf,
} from '@cloudapi2/service-kit'
import { Command } from 'commander'
import { z } from 'zod'
import { natsUrlOf } from './context.store.ts'
import { parseConfig } from './up/config.ts'
import { up } from './up/up.handler.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }

// `npm start | head` closes our output; that must not take the services down.
process.stdout.on('error', () => {})

const program = new Command('cloudapi')
  .description('CloudAPI2: a multi-tenant gateway to the WhatsApp Business Cloud API')
  .showHelpAfterError()

program
  .command('up')
  .description('run everything on this machine until Ctrl-C; settings come from the environment (README)')
  .action(async () => {
    const config = configOrExit(parseConfig)
    let running: Awaited<ReturnType<typeof up>> | undefined
    let isStopping = false
    const stop = async () => {
      if (isStopping) process.exit(130) // asked twice: the children's guard ends what is left
      isStopping = true
      if (running === undefined) return
      process.stdout.write('\nStopping …\n')
      await running.stop()
      process.exit(0)
    }
    process.on('SIGINT', () => void stop())
    process.on('SIGTERM', () => void stop())
    running = await up({ config, env: process.env, print: (text) => process.stdout.write(`${text}\n`) })
    if (isStopping) {
      await running.stop()
      process.exit(0)
    }
  })

program
  .command('send')
  .description('publish a send command to NATS (NATS_URL, or the installation of DATA_DIR)')
  .requiredOption('--to <recipient>', 'phone in any notation, or user id')
  .requiredOption('--text <text>', 'what to say')
  .option('--company <company_id>', 'in whose name; left out: found by number or conversation')
  .option('--phone-number-id <id>', 'from which number')
  .option('--id <id>', 'idempotency key', () => randomUUID())
  .action(async (options: { to: string; text: string; company?: string; phoneNumberId?: string; id?: string }) => {
    const id = options.id ?? randomUUID()
    const command = parseSendCommand({
      id,
      channel: 'whatsapp',
      to: options.to,
      message: { type: 'text', text: options.text },
      requested_at: new Date().toISOString(),
      requested_by: 'cloudapi',
      ...(options.company === undefined ? {} : { company_id: options.company }),
      ...(options.phoneNumberId === undefined ? {} : { phone_number_id: options.phoneNumberId }),
    })
    const nats = await connectNats({ url: await natsUrlOf(process.env), name: 'cloudapi', log: quiet })
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    const subject = subjects.sendCommand(command.company_id ?? '_', command.channel)
    // Idempotency keys are unique within a company only (docs/adr/0009).
    await publisher.publish({ subject, msgId: `${command.company_id ?? '_'}:${id}`, data: JSON.stringify(command) })
    publisher.close()
    await nats.close()
    process.stdout.write(`queued ${id} on ${subject}\n`)
  })

program
  .command('topology')
  .description('create or update the streams and buckets on NATS_URL, as NATS_REPLICAS and EVENTS_MAX_AGE say')
  .action(async () => {
    const options = configOrExit((env) => topologyOf(readEnvironment(z.object(TOPOLOGY_ENVIRONMENT), env)))
    const nats = await connectNats({ url: await natsUrlOf(process.env), name: 'cloudapi', log: quiet })
    await applyTopology(nats, options)
    await nats.close()
    process.stdout.write('streams and buckets are as this version wants them\n')
  })

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof GatewayError)) throw error
  process.stderr.write(`${error.message} (${error.code})\n`)
  process.exit(error instanceof ConfigError ? EXIT_CONFIG : 1)
}
