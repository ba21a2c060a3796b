import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { GatewayError } from '@cloudapi2/contracts'
import { connectNats, createPublisher, type Nats, NatsUnreachable, type Publisher } from '@cloudapi2/nats'
import { databaseUrl, eventStoreUrl, natsUrl, readEnvironment } from '@cloudapi2/service-kit'
import { z } from 'zod'

const httpUrl = () => z.url({ protocol: /^https?$/, error: 'expected http://host:port' }).optional()

/** Every setting that a command may need; a variable wins over what `runtime.json` says. */
const Variables = z.object({
  DATA_DIR: z.string().default('.data'),
  NATS_URL: natsUrl().optional(),
  DATABASE_URL: databaseUrl().optional(),
  EVENTSTORE_URL: eventStoreUrl().optional(),
  ADMIN_TOKEN: z.string().optional(),
  SECRETS_KEYS: z.string().optional(),
  WEBHOOK_GATEWAY_URL: httpUrl(),
  SENDER_URL: httpUrl(),
  TENANT_CONFIG_URL: httpUrl(),
  PROJECTOR_URL: httpUrl(),
  MEDIA_URL: httpUrl(),
  ARCHIVER_URL: httpUrl(),
  GRAPH_SIMULATOR_URL: httpUrl(),
})

/** What is taken from the file; an older or newer one may have less or more. */
const RuntimeFile = z.looseObject({
  urls: z.record(z.string(), z.string()).optional(),
  nats_url: z.string().optional(),
  database_url: z.string().optional(),
  eventstore_url: z.string().optional(),
  admin_token: z.string().optional(),
  pids: z.record(z.string(), z.number()).optional(),
})

const URL_VARIABLES = {
  webhook_gateway: 'WEBHOOK_GATEWAY_URL',
  sender: 'SENDER_URL',
  tenant_config: 'TENANT_CONFIG_URL',
  projector: 'PROJECTOR_URL',
  media: 'MEDIA_URL',
  archiver: 'ARCHIVER_URL',
  graph_simulator: 'GRAPH_SIMULATOR_URL',
} as const

/** A part of the system that answers HTTP, as `runtime.json` names it. */
export type ServiceUrl = keyof typeof URL_VARIABLES
export const SERVICE_URLS = Object.keys(URL_VARIABLES) as ServiceUrl[]

/** Where everything is. What neither a variable nor the file tells is absent. Holds tokens: never to be printed. */
export interface Context {
  dataDir: string
  runtimeFile: string
  /** False when the file is not there: nothing runs on DATA_DIR. */
  hasRuntimeFile: boolean
  urls: Partial<Record<ServiceUrl, string>>
  natsUrl?: string
  databaseUrl?: string
  eventstoreUrl?: string
  adminToken?: string
  secretsKeys?: string
  /** Of what `up` runs, by name. */
  pids: Record<string, number>
}

/**
 * Where the installation is: from the environment, else from the `runtime.json` of DATA_DIR, setting by setting.
 *
 * @throws ConfigError naming each variable that is wrong
 * @throws GatewayError RUNTIME_UNREADABLE when the file is there and cannot be read
 */
export const contextOf = async (env: NodeJS.ProcessEnv): Promise<Context> => {
  const variables = readEnvironment(Variables, env)
  const dataDir = resolve(variables.DATA_DIR)
  const runtimeFile = join(dataDir, 'runtime.json')
  const file = await readRuntime(runtimeFile)
  const urls = Object.fromEntries(
    SERVICE_URLS.flatMap((name) => {
      const url = variables[URL_VARIABLES[name]] ?? file?.urls?.[name]
      return url === undefined ? [] : [[name, url.replace(/\/+$/, '')]]
    }),
  )
  return {
    dataDir,
    runtimeFile,
    hasRuntimeFile: file !== undefined,
    urls,
    pids: file?.pids ?? {},
    ...present({
      natsUrl: variables.NATS_URL ?? file?.nats_url,
      databaseUrl: variables.DATABASE_URL ?? file?.database_url,
      eventstoreUrl: variables.EVENTSTORE_URL ?? file?.eventstore_url,
      adminToken: variables.ADMIN_TOKEN ?? file?.admin_token,
      secretsKeys: variables.SECRETS_KEYS,
    }),
  }
}

/** An empty text in the file stands for nothing, as in the environment. */
const present = <T extends Record<string, string | undefined>>(fields: T): { [K in keyof T]?: string } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== '')) as never

const readRuntime = async (path: string): Promise<z.infer<typeof RuntimeFile> | undefined> => {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unreadable(path, (cause as NodeJS.ErrnoException).code ?? 'it cannot be opened', cause)
  }
  try {
    return RuntimeFile.parse(JSON.parse(text))
  } catch {
    // The parser's own words quote the file, which holds tokens.
    throw unreadable(path, 'it is not what "npm start" writes')
  }
}

const unreadable = (path: string, reason: string, cause?: unknown) =>
  new GatewayError(`${path} cannot be read (${reason}): start "npm start" again, or name another DATA_DIR`, {
    code: 'RUNTIME_UNREADABLE',
    retryable: false,
    cause,
  })

const SETTING_VARIABLES = {
  natsUrl: 'NATS_URL',
  databaseUrl: 'DATABASE_URL',
  eventstoreUrl: 'EVENTSTORE_URL',
  adminToken: 'ADMIN_TOKEN',
  secretsKeys: 'SECRETS_KEYS',
} as const

/**
 * A setting that the command cannot do without.
 *
 * @throws GatewayError NO_INSTALLATION, or SETTING_MISSING where an installation runs that does not have it
 */
export const settingOf = (context: Context, name: keyof typeof SETTING_VARIABLES): string =>
  context[name] ?? missing(context, SETTING_VARIABLES[name])

/** The address of a part. @throws as `settingOf` */
export const urlOf = (context: Context, name: ServiceUrl): string =>
  context.urls[name] ?? missing(context, URL_VARIABLES[name])

const missing = ({ runtimeFile, hasRuntimeFile }: Context, variable: string): never => {
  throw hasRuntimeFile
    ? new GatewayError(`set ${variable}: the installation of ${runtimeFile} does not have it`, {
        code: 'SETTING_MISSING',
        retryable: false,
      })
    : new GatewayError(`set ${variable}, or run "npm start" first: ${runtimeFile} is not there`, {
        code: 'NO_INSTALLATION',
        retryable: false,
      })
}

/**
 * The NATS server to talk to: NATS_URL, else that of the installation that runs on DATA_DIR.
 *
 * @throws GatewayError NO_INSTALLATION when neither is there
 */
export const natsUrlOf = async (env: NodeJS.ProcessEnv): Promise<string> => settingOf(await contextOf(env), 'natsUrl')

/** What the connection would report of itself is told by the error that ends the command. */
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

const CONNECT_TIMEOUT_MS = 5_000
const PUBLISH_TIMEOUT_MS = 5_000

/** A connection for one command. */
export interface Connection {
  nats: Nats
  publisher: Publisher
}

/**
 * Connects for as long as `task` takes.
 *
 * @throws GatewayError NO_INSTALLATION; NatsUnreachable within seconds when nobody answers, unlike a service
 */
export const withNats = async <T>(env: NodeJS.ProcessEnv, task: (connection: Connection) => Promise<T>): Promise<T> => {
  const url = await natsUrlOf(env)
  const nats = await connectNats({ url, name: 'cloudapi', log: quiet, giveUpAfterMs: CONNECT_TIMEOUT_MS }).catch(
    (error: unknown) => {
      if (!(error instanceof NatsUnreachable)) throw error
      const from = env.NATS_URL ? 'NATS_URL' : 'runtime.json; is "npm start" still running?'
      throw new GatewayError(`${error.message} (the address is from ${from})`, {
        code: error.code,
        retryable: true,
        cause: error,
      })
    },
  )
  const publisher = createPublisher(nats, { timeoutMs: PUBLISH_TIMEOUT_MS })
  try {
    return await task({ nats, publisher })
  } finally {
    publisher.close()
    await nats.close()
  }
}
