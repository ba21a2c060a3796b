// What the single messages of 24 companies wait while one company has very many commands waiting, against what they wait
// without it; and the sender's memory meanwhile.   node bench/fairness.mjs [commands] [seconds] [--sync]
// From publishing a command to its answer: into the queue, into its lane, ledger, call, event, answer.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { startNats } from '@cloudapi2/embedded'
import { applyTopology, BUCKETS, COMMANDS, connectNats, createPublisher, openKv, storedUnder } from '@cloudapi2/nats'
import { encodeCompanyRecord, parseSecretsKeys, sealProperties } from '@cloudapi2/tenants'
import { quiet, SECRETS_KEYS, startProgram } from './session.mjs'

const [commands = 100_000, seconds = 30] = process.argv
  .slice(2)
  .filter((argument) => /^\d+$/.test(argument))
  .map(Number)
const OTHERS = 24
const GRAPH_URL = 'http://127.0.0.1:18089'
const SENDER_URL = 'http://127.0.0.1:18081'

const server = await startNats({ syncAlways: process.argv.includes('--sync') })
const nats = await connectNats({ url: server.url, name: 'bench', log: quiet })
await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
const publisher = createPublisher(nats, { timeoutMs: 60_000 })

const companies = Array.from({ length: 1 + OTHERS }, (_, n) => ({
  id: randomUUID(),
  number: `6743723857525${String(n).padStart(2, '0')}`,
}))
const tenants = await openKv(nats, BUCKETS.tenants, quiet)
for (const { id, number } of companies) {
  const { properties } = sealProperties(parseSecretsKeys(SECRETS_KEYS), id, {
    WHATSAPP_ACCESS_TOKEN: `token-${number}`,
    WHATSAPP_PHONE_NUMBER_ID: number,
    WHATSAPP_BUSINESS_ID: `8${number}`,
  })
  await tenants.put(
    id,
    encodeCompanyRecord({
      company_id: id,
      name: 'Bench',
      custom_properties: properties,
      api_keys: [],
      updated_at: new Date().toISOString(),
    }),
  )
}
// Takes the simulator's webhooks and does nothing.
const webhooks = createServer((request, response) => request.resume().on('end', () => response.end('{}')))
await new Promise((resolve) => webhooks.listen(0, '127.0.0.1', resolve))
const simulator = await startProgram(
  'dev/graph-simulator/dist/main.js',
  {
    PORT: '18089',
    LOG_LEVEL: 'error',
    GRAPH_SIMULATOR_TENANTS: JSON.stringify(
      companies.map(({ id, number }) => ({
        company_id: id,
        waba_id: `8${number}`,
        phone_numbers: [{ id: number, display_phone_number: '34910000000' }],
        access_token: `token-${number}`,
        app_secret: 'secret',
        verify_token: 'verify',
        webhook_url: `http://127.0.0.1:${webhooks.address().port}/webhook`,
      })),
    ),
  },
  GRAPH_URL,
)
const sender = await startProgram(
  'services/sender/dist/main.js',
  { PORT: '18081', NATS_URL: server.url, SECRETS_KEYS, GRAPH_BASE_URL: GRAPH_URL },
  SENDER_URL,
)

const publish = ({ id }, name, to, headers = {}) =>
  publisher.publish({
    subject: `cmd.send.${id}.whatsapp`,
    msgId: `${id}:${name}`,
    data: JSON.stringify({
      id: name,
      channel: 'whatsapp',
      company_id: id,
      to,
      message: { type: 'text', text: 'Your order is ready.' },
    }),
    headers,
  })

/** One each, and none of those at whose last digits the simulator does something special. */
const recipient = (n) => `346${String(n).padStart(7, '0')}9`

const [busy, ...others] = companies
const inbox = nats.newInbox()
const asked = new Map()
let notAccepted = 0
nats.subscribe(`${inbox}.*`, ({ subject, data }) => {
  const name = subject.slice(inbox.length + 1)
  const { startedAt, took } = asked.get(name)
  asked.delete(name)
  if (JSON.parse(Buffer.from(data).toString()).status !== 'accepted') notAccepted++
  took.push(performance.now() - startedAt)
})
/** One message a second of each of the others, spread over the second, until `until` resolves; how long each took. */
let sent = 0
const singles = async (until) => {
  const took = []
  let isOver = false
  until.then(() => (isOver = true))
  while (!isOver) {
    const name = `single${sent}`
    asked.set(name, { startedAt: performance.now(), took })
    void publish(others[sent % OTHERS], name, recipient(5_000_000 + sent), {
      'Reply-To': `${inbox}.${name}`,
    })
    sent++
    await new Promise((resolve) => setTimeout(resolve, 1_000 / OTHERS))
  }
  while (asked.size > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  return took
}
const pause = (s) => new Promise((resolve) => setTimeout(resolve, s * 1_000))

const residentMb = () =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${sender.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024)
/** Milliseconds of processor time so far; the kernel counts in hundredths of a second. */
const processorMs = () => {
  const [utime, stime] = readFileSync(`/proc/${sender.pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13)
  return (Number(utime) + Number(stime)) * 10
}
let mostMb = 0
const watch = setInterval(() => (mostMb = Math.max(mostMb, residentMb())), 250)
const at = (values, p) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))]
const phase = async (name, until) => {
  mostMb = 0
  const [startedAt, before] = [performance.now(), processorMs()]
  const took = await singles(until)
  const figures = [0.5, 0.99, 1].map((p) => at(took, p).toFixed(0).padStart(5))
  const busy = ((processorMs() - before) / (performance.now() - startedAt)) * 100
  console.log(
    `${name.padEnd(20)} ${String(took.length).padStart(5)} messages   p50 ${figures[0]} ms   p99 ${figures[1]} ms   max ${figures[2]} ms   sender ${busy.toFixed(0).padStart(3)} % of a core, at most ${mostMb} MB`,
  )
  return { p99: at(took, 0.99), mostMb }
}

await phase('warming up', pause(5))
const alone = await phase('alone', pause(seconds))
const dump = async () => {
  let next = 0
  const publishSome = async () => {
    while (next < commands) {
      const n = next++
      await publish(busy, `busy${n}`, recipient(n))
    }
  }
  await Promise.all(Array.from({ length: 256 }, publishSome))
}
const startedAt = performance.now()
const coming = await phase('while they come in', dump())
console.log(`${commands} commands came in at ${Math.round(commands / ((performance.now() - startedAt) / 1_000))}/s`)
const behind = await phase('while they wait', pause(seconds))
const waiting = [...(await storedUnder(nats, COMMANDS, 'cmd.>'))].reduce((sum, [, count]) => sum + count, 0)
clearInterval(watch)
const stats = await (await fetch(`${GRAPH_URL}/simulate/stats`)).json()
console.log(
  `\n${waiting} commands still wait; Graph refused ${stats.codes?.['130429'] ?? 0} calls with 130429; ${notAccepted} single messages were not accepted`,
)
for (const [name, { p99, mostMb: mb }] of Object.entries({ 'while they come in': coming, 'while they wait': behind }))
  console.log(
    `${name.padEnd(20)} p99 ${(p99 / alone.p99).toFixed(2)} times that alone   sender's memory ${(mb / alone.mostMb).toFixed(2)} times that alone`,
  )
await sender.stop()
await simulator.stop()
webhooks.closeAllConnections()
webhooks.close()
publisher.close()
await nats.close()
await server.stop()
