import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect, type NatsConnection } from 'nats'
import pg from 'pg'

const CLI = fileURLToPath(new URL('../cli/dist/main.js', import.meta.url))

export interface Runtime {
  urls: Record<
    'webhook_gateway' | 'sender' | 'tenant_config' | 'projector' | 'media' | 'archiver' | 'graph_simulator',
    string
  >
  nats_url: string
  database_url: string
  admin_token: string
  pids: Record<string, number>
  demo: {
    company_id: string
    phone_number_id: string
    waba_id: string
    app_secret: string
    verify_token: string
    api_key: string
  }
}

/** Waits for a fact and returns it. The test's own time-out ends it. */
export const eventually = async <T>(fact: () => T | Promise<T>, pauseMs = 25): Promise<NonNullable<T>> => {
  for (;;) {
    const value = await fact()
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

export interface Run {
  child: ChildProcess
  output: () => string
  /** Exit code, or the signal that ended it. */
  exited: Promise<number | NodeJS.Signals | null>
}

/** Starts `cloudapi …` as a user would, with ports of its own. */
export const cloudapi = (args: string[], env: Record<string, string | undefined> = {}): Run => {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: {
      ...process.env,
      NATS_URL: undefined,
      DATABASE_URL: undefined,
      WEBHOOK_GATEWAY_PORT: '0',
      SENDER_PORT: '0',
      TENANT_CONFIG_PORT: '0',
      PROJECTOR_PORT: '0',
      MEDIA_PORT: '0',
      ARCHIVER_PORT: '0',
      EVENTSTORE_URL: undefined,
      GRAPH_SIMULATOR_PORT: '0',
      EMBEDDED_NATS_PORT: '0',
      EMBEDDED_POSTGRES_PORT: '0',
      DEMO_TRAFFIC: 'off',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout?.on('data', (chunk) => {
    output += chunk
  })
  child.stderr?.on('data', (chunk) => {
    output += chunk
  })
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.on('exit', (code, signal) => resolve(code ?? signal)),
  )
  return { child, output: () => output, exited }
}

export interface Product extends Run {
  dataDir: string
  /** As it stands now: the pids change when something is started again. */
  runtime: () => Runtime
  database: pg.Pool
  nats: NatsConnection
  stop: () => Promise<void>
}

export const newDataDir = (): string => mkdtempSync(join(tmpdir(), 'cloudapi2-product-'))

/** The whole product, started as a newcomer starts it. */
export const startProduct = async (env: Record<string, string | undefined> = {}): Promise<Product> => {
  const dataDir = env.DATA_DIR ?? newDataDir()
  const run = cloudapi(['up'], { DATA_DIR: dataDir, ...env })
  const isUp = await Promise.race([
    run.exited.then(() => false),
    eventually(() => run.output().includes('CloudAPI2 is up')),
  ])
  if (!isUp) throw new Error(`the product did not start:\n${run.output()}`)
  const runtime = () => JSON.parse(readFileSync(join(dataDir, 'runtime.json'), 'utf8')) as Runtime
  const database = new pg.Pool({ connectionString: runtime().database_url })
  // Tests kill PostgreSQL: a connection that breaks while idle is no failure of the test.
  database.on('error', () => {})
  const nats = await connect({
    servers: runtime().nats_url.replace('nats://', ''),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  })
  return {
    ...run,
    dataDir,
    runtime,
    database,
    nats,
    stop: async () => {
      await nats.close()
      await database.end()
      run.child.kill('SIGINT')
      await run.exited
      if (env.DATA_DIR === undefined) rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export const json = async (
  url: string,
  options: { method?: string; token?: string; body?: unknown; headers?: Record<string, string> } = {},
) => {
  const response = await fetch(url, {
    method: options.method ?? (options.body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    // biome-ignore lint/suspicious/noExplicitAny: a test says by its assertions what it expects
    body: (text === '' ? undefined : JSON.parse(text)) as any,
  }
}

/** Posts a webhook as Meta does: signed over the bytes sent. */
export const postWebhook = async (url: string, appSecret: string, body: unknown): Promise<number> => {
  const text = JSON.stringify(body)
  const signature = createHmac('sha256', appSecret).update(text).digest('hex')
  const response = await fetch(url, {
    method: 'POST',
    body: text,
    headers: { 'x-hub-signature-256': `sha256=${signature}` },
  })
  await response.arrayBuffer()
  return response.status
}

/** A webhook body with the given messages and statuses of one number. */
export const webhook = (
  phoneNumberId: string,
  value: { messages?: object[]; statuses?: object[]; contacts?: object[] },
) => ({
  object: 'whatsapp_business_account',
  entry: [
    {
      id: '819743285752511',
      changes: [
        {
          field: 'messages',
          value: {
            messaging_product: 'whatsapp',
            metadata: { display_phone_number: '34910000000', phone_number_id: phoneNumberId },
            ...value,
          },
        },
      ],
    },
  ],
})

export const text = (id: string, body: string, at = 1_788_000_000, from = '34608684495') => ({
  from,
  id,
  timestamp: String(at),
  type: 'text',
  text: { body },
})
export const status = (id: string, name: string, at = 1_788_000_000, recipient = '34608684495') => ({
  id,
  status: name,
  timestamp: String(at),
  recipient_id: recipient,
})

export interface Row {
  id: string
  message: string | null
  sender_phone: string | null
  responsible_email: string | null
  last_message_uid: string
  last_message_timestamp: Date
  from_me: boolean
  status: string
  created_at: Date
  updated_at: Date
  is_deleted: boolean
  chat_url: string | null
  chat_id: string | null
  assigned_to_id: string | null
  company_id: string
}

export const rowOf = async (product: Product, companyId: string, messageId: string): Promise<Row | undefined> =>
  (
    await product.database.query<Row>(
      'select * from external_messages where company_id = $1 and last_message_uid = $2',
      [companyId, messageId],
    )
  ).rows[0]
