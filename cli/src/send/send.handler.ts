import { randomUUID } from 'node:crypto'
import { NO_COMPANY, parseSendCommand, subjects } from '@cloudapi2/contracts'
import { Command } from 'commander'
import { withNats } from '../context.store.ts'
import { companyOf } from '../options.ts'
import type { Terminal } from '../output/terminal.client.ts'

interface SendOptions {
  to: string
  text: string
  company?: string
  phoneNumberId?: string
  id?: string
}

/** `cloudapi send`: one text, as any other service would send it. */
export const sendCommand = ({ env, terminal }: { env: NodeJS.ProcessEnv; terminal: Terminal }): Command =>
  new Command('send')
    .description('publish a send command to NATS (NATS_URL, or the installation of DATA_DIR)')
    .requiredOption('--to <recipient>', 'phone in any notation, or user id')
    .requiredOption('--text <text>', 'what to say')
    .option('--company <company_id>', 'in whose name; left out: found by number or conversation', companyOf)
    .option('--phone-number-id <id>', 'from which number')
    .option('--id <id>', 'idempotency key; left out: a new one')
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi send --to 608684495 --text "Your invoice is ready." --company a9242a58-4f5d-494c-8a74-45f8cee150e6
  $ cloudapi send --to +34608684495 --text "Hello" --id invoice-5521`,
    )
    .action(async (options: SendOptions) => {
      const id = options.id ?? randomUUID()
      const company = options.company ?? NO_COMPANY
      const command = parseSendCommand({
        id,
        channel: 'whatsapp',
        to: options.to,
        message: { type: 'text', text: options.text },
        requested_at: new Date().toISOString(),
        requested_by: 'cloudapi',
        ...(company === NO_COMPANY ? {} : { company_id: company }),
        ...(options.phoneNumberId === undefined ? {} : { phone_number_id: options.phoneNumberId }),
      })
      const subject = subjects.sendCommand(company, command.channel)
      // Idempotency keys are unique within a company only (docs/adr/0009).
      await withNats(env, ({ publisher }) =>
        publisher.publish({ subject, msgId: `${company}:${id}`, data: JSON.stringify(command) }),
      )
      terminal.print(`queued ${id} on ${subject}`)
    })
