import { basename } from 'node:path'
import { GatewayError } from '@cloudapi2/contracts'
import type { Call } from '@cloudapi2/graph-simulator'
import { Command, Option } from 'commander'
import { contextOf } from '../context.store.ts'
import { readGiven } from '../given-file.store.ts'
import { type JsonApi, jsonApi } from '../json-api.client.ts'
import { companyOf, countOf, misused, type OutputFormat, outputOption } from '../options.ts'
import { Ended, EXIT } from '../output/exit-codes.ts'
import { record, table } from '../output/table.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { CALL_COLUMNS, TEMPLATE_COLUMNS, type TemplateView } from './call-views.ts'
import { changesOf, FILE_KINDS, kindOf, mimeTypeOf } from './inbound-order.ts'
import { type SimulatedTenant, statusWebhook } from './status-webhook.ts'

export interface SimulateDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
}

const MOST_MESSAGES = 10_000
const MOST_CALLS = 100_000
const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'

/** `cloudapi simulate …`: what Meta and the people at the other end do, where the simulator stands for them. */
export const simulateCommand = ({ env, terminal, now }: SimulateDeps): Command => {
  const api = async (): Promise<JsonApi> => {
    const { urls, hasRuntimeFile, runtimeFile } = await contextOf(env)
    if (urls.graph_simulator === undefined)
      throw new GatewayError(
        hasRuntimeFile
          ? `the installation of ${runtimeFile} has no simulator: it talks to Meta itself (GRAPH_BASE_URL); nothing can be simulated there`
          : `set GRAPH_SIMULATOR_URL, or run "npm start" first: ${runtimeFile} is not there`,
        { code: 'NO_SIMULATOR', retryable: false },
      )
    return jsonApi({
      baseUrl: urls.graph_simulator,
      service: 'the simulator',
      variable: 'GRAPH_SIMULATOR_URL',
      isSimulator: true,
    })
  }
  const simulate = new Command('simulate').description("Meta's side, where the graph simulator stands for it")

  /** What was sent to the gateway, and what it answered. */
  const report = (delivered: Delivered, output: OutputFormat, what: string) => {
    if (output === 'table')
      terminal.print(
        `${what}: ${delivered.delivered ? 'delivered' : 'not delivered'}, the gateway answered ${delivered.status ?? 'nothing'}`,
      )
    else terminal.printValues(output, [delivered])
    if (!delivered.delivered) throw new Ended(EXIT.failed)
  }

  simulate
    .command('inbound')
    .description('a person writes to a company: a text, or a file')
    .requiredOption('--company <id>', 'the company that is written to', companyOf)
    .requiredOption('--from <phone>', 'who writes: a phone number, or a user id')
    .option('--text <text>', 'what is written; with a file, its caption')
    .option('--file <path>', 'a file to send')
    .addOption(new Option('--kind <kind>', 'how the file is sent; left out: as its type says').choices(FILE_KINDS))
    .option('--mime-type <type>', 'of the file; left out: as its name says')
    .option('--phone-number-id <id>', "which of the company's numbers")
    .option('--profile-name <name>', 'what the person is called')
    .option('--count <n>', 'as many messages, each of its own', countOf(MOST_MESSAGES), 1)
    .option('--batch', 'all of them in one webhook (1000 at most)', false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi simulate inbound --company ${COMPANY} --from 34608684495 --text "Hi there"
  $ cloudapi simulate inbound --company ${COMPANY} --from 34608684495 --file invoice.pdf --text "As agreed"
  $ cloudapi simulate inbound --company ${COMPANY} --from 34608684495 --text load --count 500`,
    )
    .action(async (options: InboundOptions) => {
      if (options.text === undefined && options.file === undefined) throw misused('give --text, --file or both')
      const simulator = await api()
      const answer = (await simulator.call('POST', '/simulate/inbound', {
        company_id: options.company,
        from: options.from,
        count: options.count,
        batch: options.batch,
        ...(options.phoneNumberId === undefined ? {} : { phone_number_id: options.phoneNumberId }),
        ...(options.profileName === undefined ? {} : { profile_name: options.profileName }),
        ...(options.file === undefined ? { text: options.text } : { media: await mediaOf(options, options.file) }),
      })) as Delivered & { message_id: string }
      report(answer, options.output, options.count === 1 ? answer.message_id : `${options.count} messages`)
    })

  simulate
    .command('status')
    .description('Meta tells of a status of a message that was sent')
    .requiredOption('--company <id>', 'the company that sent it', companyOf)
    .requiredOption('--message <id>', 'its id (wamid…)')
    .addOption(
      new Option('--status <status>', 'what is told')
        .choices(['sent', 'delivered', 'read', 'played', 'failed', 'deleted', 'warning'])
        .makeOptionMandatory(),
    )
    .option('--recipient <phone>', 'whom it went to: digits', '34600000000')
    .option('--phone-number-id <id>', "which of the company's numbers; left out: its first")
    .option('--error <code>', "for failed: Meta's code, such as 131026", countOf(9_999_999))
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi simulate status --company ${COMPANY} --message wamid.HBgL… --status read
  $ cloudapi simulate status --company ${COMPANY} --message wamid.HBgL… --status failed --error 131026`,
    )
    .action(async (options: StatusOptions) => {
      const simulator = await api()
      const { tenants } = (await simulator.call('GET', '/simulate/tenants')) as { tenants: SimulatedTenant[] }
      const tenant = tenants.find(({ company_id }) => company_id === options.company)
      const body =
        tenant &&
        statusWebhook(tenant, {
          messageId: options.message,
          status: options.status,
          recipient: options.recipient,
          phoneNumberId: options.phoneNumberId,
          at: now(),
          errorCode: options.error,
        })
      if (body === undefined)
        throw new GatewayError(
          'the simulator knows no company of this id with this number: it has those with a token and a number',
          {
            code: 'COMPANY_NOT_SIMULATED',
            retryable: false,
          },
        )
      const order = { company_id: options.company, body }
      report((await simulator.call('POST', '/simulate/webhook', order)) as Delivered, options.output, options.status)
    })

  simulate
    .command('handshake')
    .description("Meta verifies a company's webhook, with the verify token it was given")
    .requiredOption('--company <id>', 'the company', companyOf)
    .addOption(outputOption())
    .addHelpText('after', `\nExample:\n  $ cloudapi simulate handshake --company ${COMPANY}`)
    .action(async ({ company, output }: { company: string; output: OutputFormat }) => {
      const answer = (await (await api()).call('POST', '/simulate/handshake', { company_id: company })) as {
        verified: boolean
        status: number | null
      }
      if (output === 'table')
        terminal.print(
          `${answer.verified ? 'verified' : 'not verified'}: the gateway answered ${answer.status ?? 'nothing'}`,
        )
      else terminal.printValues(output, [answer])
      if (!answer.verified) throw new Ended(EXIT.failed)
    })

  const settings = (name: string, description: string, change: 'PUT' | 'POST', example: string, canClear: boolean) => {
    const command = simulate
      .command(name)
      .description(`${description}; without settings: how they stand`)
      .argument('[name=value...]', 'settings to change; the others stay')
      .addOption(outputOption())
      .addHelpText('after', `\nExamples:\n  $ cloudapi simulate ${name}\n  $ cloudapi simulate ${name} ${example}`)
    if (canClear) command.option('--clear', 'put all back to none')
    command.action(async (given: string[], { output, clear }: { output: OutputFormat; clear?: true }) => {
      const changes = changesOf(given)
      if (clear && given.length > 0) throw misused('--clear goes without settings')
      const simulator = await api()
      const path = `/simulate/${name}`
      const now = (await (clear
        ? simulator.call('DELETE', path)
        : given.length > 0
          ? simulator.call(change, path, changes)
          : simulator.call('GET', path))) as Record<string, unknown>
      if (output === 'table') terminal.print(recordOf(now))
      else terminal.printValues(output, [now])
    })
  }
  settings('faults', 'how much goes wrong, as shares from 0 to 1', 'POST', 'errors_5xx=0.2 duplicates=0.1', true)
  settings('media-faults', 'what goes wrong with the next downloads', 'POST', 'download_5xx=3', true)
  settings('timing', 'when statuses come, in milliseconds', 'PUT', 'read_ms=null delivered_ms=1000', false)
  settings('limits', 'how fast numbers may send', 'PUT', 'messages_per_second=20', false)

  simulate
    .command('calls')
    .description('what the simulator was asked, the oldest first')
    .option('--company <id>', 'by this company', companyOf)
    .option('--phone-number-id <id>', 'from this number')
    .option('--to <phone>', 'to this recipient')
    .option('--outcome <outcome>', 'accepted, refused, throttled, unauthorised, server_error, lost or answered')
    .option('--limit <n>', 'the latest of them, at most this many', countOf(MOST_CALLS), 50)
    .option('--clear', 'forget them, and their counters', false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi simulate calls --outcome refused
  $ cloudapi simulate calls -o ndjson --limit 100000 | jq -r .to | sort | uniq -c`,
    )
    .action(async (options: CallsOptions) => {
      const simulator = await api()
      if (options.clear) {
        await simulator.call('DELETE', '/simulate/calls')
        return terminal.note('forgotten')
      }
      const query = new URLSearchParams({
        limit: String(options.limit),
        ...(options.company === undefined ? {} : { company_id: options.company }),
        ...(options.phoneNumberId === undefined ? {} : { phone_number_id: options.phoneNumberId }),
        ...(options.to === undefined ? {} : { to: options.to }),
        ...(options.outcome === undefined ? {} : { outcome: options.outcome }),
      })
      const { calls, matched } = (await simulator.call('GET', `/simulate/calls?${query}`)) as {
        calls: Call[]
        matched: number
      }
      if (options.output !== 'table') return terminal.printValues(options.output, calls)
      if (calls.length === 0) terminal.note('no calls')
      else terminal.print(table(CALL_COLUMNS, calls, { width: terminal.width, emphasis: terminal.bold }))
      if (matched > calls.length) terminal.note(`the latest ${calls.length} of ${matched}`)
    })

  const template = simulate.command('template').description('the templates that a company has at Meta')

  template
    .command('list')
    .description('its templates')
    .requiredOption('--company <id>', 'the company', companyOf)
    .addOption(outputOption())
    .addHelpText('after', `\nExample:\n  $ cloudapi simulate template list --company ${COMPANY} -o json`)
    .action(async ({ company, output }: { company: string; output: OutputFormat }) => {
      const answer = await (await api()).call(
        'GET',
        `/simulate/templates?${new URLSearchParams({ company_id: company })}`,
      )
      const { templates } = answer as { templates: TemplateView[] }
      if (output !== 'table') terminal.printValues(output, templates)
      else if (templates.length === 0) terminal.note('no templates')
      else terminal.print(table(TEMPLATE_COLUMNS, templates, { width: terminal.width, emphasis: terminal.bold }))
    })

  template
    .command('put')
    .description('add templates; one of the same name and language is replaced')
    .requiredOption('--company <id>', 'the company', companyOf)
    .argument('<file>', 'JSON: a template or a list of them, as Meta gives them')
    .addHelpText('after', `\nExample:\n  $ cloudapi simulate template put --company ${COMPANY} invoice.json`)
    .action(async (file: string, { company }: { company: string }) => {
      const given = jsonOf(file, (await readGiven(file)).toString('utf8'))
      const order = { company_id: company, templates: [given].flat() }
      const { put, total } = (await (await api()).call('PUT', '/simulate/templates', order)) as {
        put: number
        total: number
      }
      terminal.note(`put ${put}; the company has ${total}`)
    })

  template
    .command('remove')
    .description('remove one, in every language unless one is named')
    .requiredOption('--company <id>', 'the company', companyOf)
    .option('--language <code>', 'in this language only')
    .argument('<name>', 'the template')
    .addHelpText(
      'after',
      `\nExample:\n  $ cloudapi simulate template remove --company ${COMPANY} invoice --language es`,
    )
    .action(async (name: string, { company, language }: { company: string; language?: string }) => {
      const query = new URLSearchParams({ company_id: company, name, ...(language === undefined ? {} : { language }) })
      const { removed } = (await (await api()).call('DELETE', `/simulate/templates?${query}`)) as { removed: number }
      terminal.note(`removed ${removed}`)
    })

  return simulate
}

interface Delivered {
  delivered: boolean
  status: number | null
}

interface InboundOptions {
  company: string
  from: string
  text?: string
  file?: string
  kind?: string
  mimeType?: string
  phoneNumberId?: string
  profileName?: string
  count: number
  batch: boolean
  output: OutputFormat
}

interface StatusOptions {
  company: string
  message: string
  status: string
  recipient: string
  phoneNumberId?: string
  error?: number
  output: OutputFormat
}

interface CallsOptions {
  company?: string
  phoneNumberId?: string
  to?: string
  outcome?: string
  limit: number
  clear: boolean
  output: OutputFormat
}

const mediaOf = async ({ text, kind, mimeType }: InboundOptions, file: string) => {
  const type = mimeType ?? mimeTypeOf(file)
  return {
    kind: kind ?? kindOf(type),
    mime_type: type,
    base64: (await readGiven(file)).toString('base64'),
    filename: basename(file),
    ...(text === undefined ? {} : { caption: text }),
  }
}

const jsonOf = (file: string, text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw misused(`${file} is not JSON`)
  }
}

const recordOf = (values: Record<string, unknown>): string =>
  record(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, textOf(value)])))

const textOf = (value: unknown): string =>
  Array.isArray(value) ? value.join(', ') : typeof value === 'object' ? JSON.stringify(value) : String(value)
