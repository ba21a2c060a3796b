import { GatewayError, isCompanyId } from '@cloudapi2/contracts'
import { API_KEY_SCOPES } from '@cloudapi2/tenants'
import { Command, InvalidArgumentError, Option } from 'commander'
import { contextOf, settingOf, urlOf } from '../context.store.ts'
import { readGiven } from '../given-file.store.ts'
import { type JsonApi, jsonApi } from '../json-api.client.ts'
import { misused, type OutputFormat, outputOption } from '../options.ts'
import { Ended, EXIT } from '../output/exit-codes.ts'
import { table } from '../output/table.ts'
import type { Terminal } from '../output/terminal.client.ts'
import { type ApiKeyView, COMPANY_COLUMNS, type CompanyView, companyText, KEY_COLUMNS } from './company-views.ts'
import { changeOf, propertyOf, secretSourceOf, secretsByName, secretText } from './settings.ts'

export interface TenantDeps {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  /** All of standard input. */
  readInput: () => Promise<string>
}

interface SetOptions {
  name?: string
  property: string[]
  unset: string[]
  secretFrom: string[]
  secretEnv: string[]
  file?: string
  replace: boolean
  output: OutputFormat
}

const PAGE = 500
const repeated = (text: string, before: string[] | undefined): string[] => [...(before ?? []), text]

/** `cloudapi tenant …`: companies, their settings and API keys, over the API of tenant-config. */
export const tenantCommand = ({ env, terminal, readInput }: TenantDeps): Command => {
  const api = async (): Promise<JsonApi> => {
    const context = await contextOf(env)
    return jsonApi({
      baseUrl: urlOf(context, 'tenant_config'),
      token: settingOf(context, 'adminToken'),
      service: 'tenant-config',
      variable: 'TENANT_CONFIG_URL',
    })
  }
  const tableOf = { width: terminal.width, emphasis: terminal.bold }

  const tenant = new Command('tenant').description('companies, their settings and their API keys')
  tenant.addHelpText(
    'after',
    `
It talks to tenant-config: TENANT_CONFIG_URL and ADMIN_TOKEN, else the installation that runs on DATA_DIR.`,
  )

  tenant
    .command('list')
    .description('every company')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi tenant list
  $ cloudapi tenant list -o ndjson | jq -r 'select(.problems) | .id'`,
    )
    .action(async ({ output }: { output: OutputFormat }) => {
      const tenants = await api()
      const found: CompanyView[] = []
      let after: string | undefined
      do {
        const query = new URLSearchParams({ limit: String(PAGE), ...(after === undefined ? {} : { after }) })
        const page = (await tenants.call('GET', `/companies?${query}`)) as {
          companies: CompanyView[]
          next_after?: string
        }
        if (output === 'ndjson') terminal.printValues('ndjson', page.companies)
        else found.push(...page.companies)
        after = page.next_after
      } while (after !== undefined)
      if (output === 'json') terminal.printValues('json', found)
      if (output === 'table') {
        if (found.length === 0) terminal.note('no companies')
        else terminal.print(table(COMPANY_COLUMNS, found, tableOf))
      }
    })

  tenant
    .command('get')
    .description('one company; its secrets are masked')
    .argument('<company_id>', 'its id', idOf)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi tenant get a9242a58-4f5d-494c-8a74-45f8cee150e6
  $ cloudapi tenant get a9242a58-4f5d-494c-8a74-45f8cee150e6 -o json > company.json   # "set --file" takes it back`,
    )
    .action(async (id: string, { output }: { output: OutputFormat }) => {
      print((await (await api()).call('GET', `/companies/${id}`)) as CompanyView, output)
    })

  tenant
    .command('set')
    .description('change settings of a company; with --replace they take the place of all, and the company may be new')
    .argument('<company_id>', 'its id', idOf)
    .option('--name <name>', 'what it is called')
    .option('--property <NAME=VALUE>', 'a setting that is no secret; JSON when it begins with [ or {', repeated, [])
    .option('--unset <NAME>', 'a setting to remove', repeated, [])
    .option('--secret-from <NAME=FILE>', 'a secret, from a file; - is standard input', repeated, [])
    .option('--secret-env <NAME=VARIABLE>', 'a secret, from a variable of the environment', repeated, [])
    .option('--file <file>', 'JSON as "get -o json" prints it, or a part of it; - is standard input')
    .option('--replace', 'put these settings in place of all that there are; makes a company that is not there', false)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi tenant set a9242a58-4f5d-494c-8a74-45f8cee150e6 --property DEFAULT_COUNTRY=PT --property RETENTION_DAYS=400
  $ cloudapi tenant set a9242a58-4f5d-494c-8a74-45f8cee150e6 --secret-from WHATSAPP_ACCESS_TOKEN=/run/secrets/token
  $ pass show meta/app | cloudapi tenant set a9242a58-4f5d-494c-8a74-45f8cee150e6 --secret-from WHATSAPP_APP_SECRET=-
  $ cloudapi tenant set 5a1d3f0e-7f1c-4c3e-9d53-0c8f0e2b6a11 --replace --name "New company" --file settings.json

Secrets are never taken from the command line. An app secret given twice is a list of two: both count while it is changed.
The settings are in docs/operating.md.`,
    )
    .action(async (id: string, options: SetOptions) => {
      const change = changeOf({
        file: options.file === undefined ? undefined : jsonOf(await textOf(options.file)),
        name: options.name,
        properties: options.property.map(propertyOf),
        unset: options.unset,
        secrets: secretsByName(await secretsOf(options)),
      })
      if (options.replace && change.name === undefined)
        throw misused('--replace needs the name of the company: --name, or name in the file')
      const tenants = await api()
      const view = await tenants
        .call(options.replace ? 'PUT' : 'PATCH', `/companies/${id}`, change)
        .catch((error: unknown) => {
          if (!(error instanceof GatewayError && error.code === 'COMPANY_NOT_FOUND')) throw error
          throw new GatewayError(`${error.message}: --replace with --name makes it`, {
            code: error.code,
            retryable: false,
            cause: error,
          })
        })
      print(view as CompanyView, options.output)
    })

  tenant
    .command('remove')
    .description('remove a company: its webhooks and commands are refused from then on; what happened stays stored')
    .argument('<company_id>', 'its id', idOf)
    .option('--yes', 'do not ask', false)
    .addHelpText(
      'after',
      `
Example:
  $ cloudapi tenant remove 5a1d3f0e-7f1c-4c3e-9d53-0c8f0e2b6a11`,
    )
    .action(async (id: string, { yes }: { yes: boolean }) => {
      const tenants = await api()
      if (!yes) {
        const { name } = (await tenants.call('GET', `/companies/${id}`)) as CompanyView
        const question = `Remove ${name} (${id})? Its settings and API keys are gone then.`
        if (!(await terminal.confirm(question))) throw nothingDone()
      }
      await tenants.call('DELETE', `/companies/${id}`)
      terminal.note(`removed ${id}`)
    })

  const key = tenant.command('key').description("a company's keys of the HTTP API")

  key
    .command('list')
    .description('the keys that are valid; what they say is stored nowhere')
    .argument('<company_id>', 'the company', idOf)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Example:
  $ cloudapi tenant key list a9242a58-4f5d-494c-8a74-45f8cee150e6`,
    )
    .action(async (id: string, { output }: { output: OutputFormat }) => {
      const { api_keys: keys } = (await (await api()).call('GET', `/companies/${id}/api-keys`)) as {
        api_keys: ApiKeyView[]
      }
      if (output !== 'table') terminal.printValues(output, keys)
      else if (keys.length === 0) terminal.note('no keys')
      else terminal.print(table(KEY_COLUMNS, keys, tableOf))
    })

  key
    .command('create')
    .description('make a key and print it, this once')
    .argument('<company_id>', 'the company', idOf)
    .requiredOption('--name <name>', 'what it is for')
    .addOption(new Option('--scope <scope...>', 'what it allows').choices(API_KEY_SCOPES).default([...API_KEY_SCOPES]))
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  $ cloudapi tenant key create a9242a58-4f5d-494c-8a74-45f8cee150e6 --name billing --scope send
  $ umask 077; cloudapi tenant key create a9242a58-4f5d-494c-8a74-45f8cee150e6 --name crm > key

Standard output gets the key alone. It cannot be shown again.`,
    )
    .action(async (id: string, { name, scope, output }: { name: string; scope: string[]; output: OutputFormat }) => {
      const made = (await (
        await api()
      ).call('POST', `/companies/${id}/api-keys`, { name, scopes: scope })) as ApiKeyView & { key: string }
      if (output !== 'table') return terminal.printValues(output, [made])
      terminal.print(made.key)
      terminal.note(`key ${made.id} (${made.scopes.join(', ')}); it cannot be shown again`)
    })

  key
    .command('revoke')
    .description('make a key worthless, at once')
    .argument('<company_id>', 'the company', idOf)
    .argument('<key_id>', 'as in the list', idOf)
    .option('--yes', 'do not ask', false)
    .addHelpText(
      'after',
      `
Example:
  $ cloudapi tenant key revoke a9242a58-4f5d-494c-8a74-45f8cee150e6 7d0c1a52-0f6e-4a0e-8f0b-0d1d0c6f7a11`,
    )
    .action(async (id: string, keyId: string, { yes }: { yes: boolean }) => {
      if (!yes && !(await terminal.confirm(`Revoke key ${keyId}? Whoever uses it is refused from then on.`)))
        throw nothingDone()
      await (await api()).call('DELETE', `/companies/${id}/api-keys/${keyId}`)
      terminal.note(`revoked ${keyId}`)
    })

  const print = (company: CompanyView, output: OutputFormat): void => {
    if (output === 'table') terminal.print(companyText(company))
    else terminal.printValues(output, [company])
  }

  /** Standard input can be read once: one secret, or the file. */
  let isInputRead = false
  const textOf = async (file: string): Promise<string> => {
    if (file === '-') {
      if (isInputRead) throw misused('standard input (-) can be given once')
      isInputRead = true
      return readInput()
    }
    return (await readGiven(file)).toString('utf8')
  }
  const secretsOf = async ({ secretFrom, secretEnv }: SetOptions): Promise<[string, string][]> => {
    const secrets: [string, string][] = []
    for (const [name, file] of secretFrom.map((text) => secretSourceOf('--secret-from', text)))
      secrets.push([name, secretText(name, file === '-' ? 'standard input' : file, await textOf(file))])
    for (const [name, variable] of secretEnv.map((text) => secretSourceOf('--secret-env', text))) {
      // Whoever wrote the secret itself here must not see it repeated.
      if (env[variable] === undefined) throw misused(`--secret-env ${name}: the environment has no such variable`)
      secrets.push([name, secretText(name, 'the variable', env[variable])])
    }
    return secrets
  }

  return tenant
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw misused('--file: not JSON')
  }
}

const idOf = (text: string): string => {
  const id = text.toLowerCase()
  if (!isCompanyId(id)) throw new InvalidArgumentError('expected a UUID')
  return id
}

const nothingDone = () => new Ended(EXIT.failed)
