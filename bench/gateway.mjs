// Requests per second of the webhook-gateway, each answered after the log has its event, against a bare Fastify server
// that stores nothing.   node bench/gateway.mjs [rounds] [seconds] [--sync]
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

const bareUrl = 'http://127.0.0.1:18090'
const gatewayUrl = 'http://127.0.0.1:18091'
const bare = await startProgram('bench/programs/bare-fastify.mjs', { PORT: '18090', APP_SECRET }, bareUrl)
const gateway = await startProgram(
  'services/webhook-gateway/dist/main.js',
  { PORT: '18091', NATS_URL: server.url, SECRETS_KEYS },
  gatewayUrl,
)

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
  { 'bare Fastify': (n) => load(bareUrl, `bare${n}x`), 'webhook-gateway': (n) => load(gatewayUrl, `gw${n}x`) },
  'requests/s',
)

await gateway.stop()
await bare.stop()
await nats.close()
await server.stop()
