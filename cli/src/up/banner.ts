import { DEMO } from './demo.ts'
import type { Runtime } from './runtime-file.store.ts'

export interface BannerFacts {
  runtime: Runtime
  dataDir: string
  logsDir: string
  /** Things the reader should know, such as a port that was taken. */
  notes: readonly string[]
  /** How often the simulated traffic sends; undefined when there is none. */
  traffic: string | undefined
  startedInMs: number
}

const LABELS: Record<string, string> = {
  webhook_gateway: 'webhook-gateway',
  sender: 'sender',
  tenant_config: 'tenant-config',
  projector: 'projector',
  media: 'media',
  archiver: 'archiver',
  graph_simulator: 'graph simulator',
}

/** The one block that `npm start` prints: what runs where, what to try, where the data is. */
export const banner = ({ runtime, dataDir, logsDir, notes, traffic, startedInMs }: BannerFacts): string => {
  const { urls, demo } = runtime
  const where = [
    ...Object.entries(urls).map(([name, url]) => [LABELS[name] ?? name, url]),
    ['NATS', runtime.nats_url],
    ['PostgreSQL', withoutPassword(runtime.database_url)],
  ].map(([name, url]) => `  ${(name as string).padEnd(16)} ${url}`)

  return [
    '',
    `CloudAPI2 is up (${(startedInMs / 1000).toFixed(1)} s)`,
    '',
    ...where,
    '',
    ...(demo === undefined ? [] : tries(runtime, demo, dataDir)),
    `Data: ${dataDir}   tokens and URLs: ${dataDir}/runtime.json   logs: ${logsDir}`,
    ...(traffic === undefined ? [] : [`Simulated traffic: ${traffic} (DEMO_TRAFFIC=off stops it)`]),
    ...notes.map((note) => `Note: ${note}`),
    'Ctrl-C stops everything.',
    '',
  ].join('\n')
}

const tries = ({ urls }: Runtime, demo: NonNullable<Runtime['demo']>, dataDir: string): string[] => {
  const json = `-H 'content-type: application/json'`
  const auth = '-H "authorization: Bearer $key"'
  const company = `"company_id": "${demo.company_id}"`
  return [
    'Four ways to send a message (paste the first line once):',
    '',
    `  key=$(node -p 'require("${dataDir}/runtime.json").demo.api_key')`,
    '',
    '  # 1. a text over HTTP',
    `  curl -s ${urls.sender}/send_text_direct ${auth} ${json} \\`,
    `    -d '{ "phone": "608684495", "text": "Hello from CloudAPI2", ${company} }'`,
    '',
    "  # 2. a template: the company's cover becomes its header",
    `  curl -s ${urls.sender}/send_template_direct ${auth} ${json} \\`,
    `    -d '{ "phone": "608684495", "template_name": "agendar_llamada_inicial", "language": "es_ES",`,
    `          "template_data": { "first_name": "Paco", "deal_id": "b5078967" }, ${company} }'`,
    '',
    '  # 3. a file by link',
    `  curl -s ${urls.sender}/send_media_direct ${auth} ${json} \\`,
    `    -d '{ "phone": "608684495", "kind": "image", "link": "https://media.example.com/rye.jpg", "caption": "Rye", ${company} }'`,
    '',
    '  # 4. a command over NATS, as another service would send it',
    `  DATA_DIR=${dataDir} node cli/dist/main.js send --company ${demo.company_id} --to 608684495 --text 'Hello over NATS'`,
    '',
    'Let somebody write to you, and look at what became of it all:',
    '',
    `  curl -s ${urls.graph_simulator}/simulate/inbound ${json} \\`,
    `    -d '{ ${company}, "from": "34608684495", "text": "Hi there" }'`,
    `  curl -s '${urls.projector}/companies/${demo.company_id}/messages?limit=5' ${auth}`,
    '',
    `${DEMO.name} is the demo company. A recipient ending in 0001 … 0008 meets trouble: dev/graph-simulator/README.md.`,
    '',
  ]
}

const withoutPassword = (url: string): string => {
  const parsed = new URL(url)
  if (parsed.password !== '') parsed.password = '***'
  return parsed.href
}
