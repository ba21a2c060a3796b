// Requests per second of the webhook-gateway, each answered after the log has its event, against a bare Fastify server
// that stores nothing.   node bench/gateway.mjs [rounds] [seconds] [--sync] [--steps]
// --steps adds what lies between them: bare node:http, and bare node:http that stores the body as it came.
import { startNats } from '@cloudapi2/embedded'
import { applyTopology, BUCKETS, connectNats, openKv } from '@cloudapi2/nats'
import { encodeCompanyRecord, parseSecretsKeys, sealProperties } from '@cloudapi2/tenants'
import { APP_SECRET, COMPANY, inTurn, quiet, runProgram, SECRETS_KEYS, startProgram } from './session.mjs'

const numbers = process.argv
  .slice(2)
  .filter((argument) => /^\d+$/.test(argument))
  .map(Number)
const [rounds = 5, seconds = 6] = numbers
const syncAlways = process.argv.includes('--sync')
const CONNECTIONS = 64

const server = await startNats({ syncAlways })
const nats = await connectNats({ url: server.url, name: 'bench', log: quiet })
await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
const record = {
  company_id: COMPANY,
  name: 'Bench',
  custom_properties: sealProperties(parseSecretsKeys(SECRETS_KEYS), COMPANY, {
    WHATSAPP_APP_SECRET: APP_SECRET,
    WHATSAPP_PHONE_NUMBER_ID: '674372385752523',
  }).properties,
  api_keys: [],
  updated_at: new Date().toISOString(),
}
await (await openKv(nats, BUCKETS.tenants, quiet)).put(COMPANY, encodeCompanyRecord(record))

const bareHttp = 'bench/programs/bare-http.mjs'
const programs = {
  'bare Fastify': { path: 'bench/programs/bare-fastify.mjs', env: { APP_SECRET } },
  ...(process.argv.includes('--steps')
    ? {
        'bare node:http': { path: bareHttp, env: { APP_SECRET } },
        '… that stores the body': { path: bareHttp, env: { APP_SECRET, NATS_URL: server.url, STORE: 'true' } },
      }
    : {}),
  'webhook-gateway': { path: 'services/webhook-gateway/dist/main.js', env: { NATS_URL: server.url, SECRETS_KEYS } },
}
const started = []
for (const [name, { path, env }] of Object.entries(programs)) {
  const port = 18_090 + started.length
  const url = `http://127.0.0.1:${port}`
  started.push({ name, url, program: await startProgram(path, { PORT: String(port), ...env }, url) })
}

const load = async (url, prefix) => {
  const result = await runProgram('bench/load.mjs', [
    `${url}/${COMPANY}/webhook`,
    APP_SECRET,
    seconds,
    CONNECTIONS,
    prefix,
  ])
  if (result.non200 + result.errors > 0)
    throw new Error(`not every request was answered 200: ${JSON.stringify(result)}`)
  return result.perSecond
}
await inTurn(
  rounds,
  Object.fromEntries(started.map(({ name, url }, index) => [name, (round) => load(url, `s${index}r${round}x`)])),
  'requests/s',
)

for (const { program } of started) await program.stop()
await nats.close()
await server.stop()
