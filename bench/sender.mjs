// Commands per second of the sender to a Graph API that answers in 50 ms, its ledger, events and pacing on, against a loop
// that takes commands and calls with undici.   node bench/sender.mjs [rounds] [commands] [--sync]
import { startNats } from '@cloudapi2/embedded'
import { applyTopology, BUCKETS, connectNats, createPublisher, openKv } from '@cloudapi2/nats'
import { encodeCompanyRecord, parseSecretsKeys, sealProperties } from '@cloudapi2/tenants'
import { inTurn, quiet, SECRETS_KEYS, startProgram } from './session.mjs'

const [rounds = 3, commands = 5_000] = process.argv
  .slice(2)
  .filter((argument) => /^\d+$/.test(argument))
  .map(Number)
/** Of the fastest numbers there are, so that it is the software that is measured and not the pace. */
const NUMBERS = 16
const CONCURRENCY = Number(process.env.CONCURRENCY ?? 64)
const GRAPH_URL = 'http://127.0.0.1:18094'

const server = await startNats({ syncAlways: process.argv.includes('--sync') })
const nats = await connectNats({ url: server.url, name: 'bench', log: quiet })
await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
const manager = await nats.raw.jetstreamManager()
await manager.streams.add({ name: 'BARE', subjects: ['bare.>'], retention: 'workqueue' })
const publisher = createPublisher(nats, { timeoutMs: 30_000 })
const graph = await startProgram('bench/programs/slow-graph.mjs', { PORT: '18094' }, GRAPH_URL)

const companies = Array.from({ length: NUMBERS }, (_, n) => ({
  id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
  number: String(1_000_000 + n),
}))
const tenants = await openKv(nats, BUCKETS.tenants, quiet)
for (const { id, number } of companies)
  await tenants.put(
    id,
    encodeCompanyRecord({
      company_id: id,
      name: 'Bench',
      custom_properties: sealProperties(parseSecretsKeys(SECRETS_KEYS), id, {
        WHATSAPP_ACCESS_TOKEN: 'EAAbench',
        WHATSAPP_PHONE_NUMBER_ID: number,
        WHATSAPP_PHONE_NUMBERS: [{ id: number, messages_per_second: 1000 }],
      }).properties,
      api_keys: [],
      updated_at: new Date().toISOString(),
    }),
  )

const countOf = async () => (await (await fetch(GRAPH_URL)).json()).count
let sent = 0
/** Commands wait before the program starts; it is measured from its first call to its last. */
const measured = (subjectOf, start) => async () => {
  for (let from = 0; from < commands; from += 500)
    await Promise.all(
      Array.from({ length: Math.min(500, commands - from) }, () => {
        const n = sent++
        const { id, number } = companies[n % NUMBERS]
        const command = {
          id: `bench-${n}`,
          company_id: id,
          channel: 'whatsapp',
          phone_number_id: number,
          to: `346${String(10_000_000 + n)}`,
          message: { type: 'text', text: 'Your order is ready.' },
        }
        return publisher.publish({ subject: subjectOf(id), msgId: command.id, data: JSON.stringify(command) })
      }),
    )
  const before = await countOf()
  const program = await start()
  while ((await countOf()) === before) await new Promise((resolve) => setTimeout(resolve, 5))
  const first = await countOf()
  const startedAt = performance.now()
  while ((await countOf()) < before + commands) await new Promise((resolve) => setTimeout(resolve, 20))
  const perSecond = ((before + commands - first) / (performance.now() - startedAt)) * 1_000
  await program.stop()
  return perSecond
}
const environment = { NATS_URL: server.url, GRAPH_BASE_URL: GRAPH_URL }
await inTurn(
  rounds,
  {
    'bare loop': measured(
      () => 'bare.command',
      () =>
        startProgram(
          'bench/programs/bare-sender.mjs',
          { ...environment, STREAM: 'BARE', CONCURRENCY: String(CONCURRENCY), PORT: '18095' },
          'http://127.0.0.1:18095',
        ),
    ),
    sender: measured(
      (id) => `cmd.send.${id}.whatsapp`,
      () =>
        startProgram(
          'services/sender/dist/main.js',
          { ...environment, SECRETS_KEYS, PORT: '18096', SENDER_CONCURRENCY: String(CONCURRENCY), LOG_LEVEL: 'warn' },
          'http://127.0.0.1:18096',
        ),
    ),
  },
  'commands/s',
)
await graph.stop()
await nats.close()
await server.stop()
