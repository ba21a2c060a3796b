// Events per second of a rebuild of the whole read model, against a loop that only reads the log and parses what it reads, and
// against the projector's store fed by the same log.   node bench/rebuild.mjs [rounds] [messages]
// Each message is four events: created, sent, delivered, read. A rebuild is measured whole: from the first event to the
// commit, into tables that were emptied; and once more with nothing to mend, which is what a check costs.
import { decodeEvent, eventId, newEvent } from '@cloudapi2/contracts'
import { startNats, startPostgres } from '@cloudapi2/embedded'
import { jetStreamLog } from '@cloudapi2/event-log'
import { applyTopology, connectNats, createPublisher } from '@cloudapi2/nats'
import { createProjectionStore, fold, migrate, openDatabase, rebuild } from '@cloudapi2/read-model'
import { COMPANY, inTurn, quiet } from './session.mjs'

const [rounds = 1, messages = 250_000] = process.argv.slice(2).map(Number)
const EVENTS = messages * 4
const COMPANIES = [COMPANY, 'b1f0a0de-0000-4000-8000-00000000000b']

const server = await startNats()
const postgres = await startPostgres({ durable: true })
const nats = await connectNats({ url: server.url, name: 'bench', log: quiet })
await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
const publisher = createPublisher(nats, { timeoutMs: 30_000 })

const publish = async (type, n, data) => {
  const companyId = COMPANIES[n % 2]
  const messageId = `wamid.HBgLMzQ2MDg2ODQ0OTUVAgARGBI${n.toString(16).toUpperCase().padStart(20, '0')}`
  const time = new Date(1_788_000_000_000 + n * 1_000).toISOString()
  const chat_id = String(34_600_000_000 + (n % 50_000))
  const event = newEvent({
    id: eventId(companyId, type, messageId, data.status ?? ''),
    source: '/bench',
    type,
    subject: messageId,
    time,
    companyId,
    channel: 'whatsapp',
    recordedTime: time,
    data: { message_id: messageId, phone_number_id: '674372385752523', chat_id, raw: { id: messageId }, ...data },
  })
  await publisher.publish({
    subject: `evt.${companyId}.whatsapp.${type}`,
    msgId: event.id,
    data: JSON.stringify(event),
  })
}
for (let n = 0; n < messages; n += 500)
  await Promise.all(
    Array.from({ length: Math.min(500, messages - n) }, async (_, i) => {
      const created = { direction: 'outbound', kind: 'text', text: 'Your order is ready.', status: 'accepted' }
      await publish('message.created', n + i, created)
      for (const status of ['sent', 'delivered', 'read']) await publish('status.updated', n + i, { status })
    }),
  )
publisher.close()
console.log(`${EVENTS} events in the log`)

await migrate(postgres.url)
const database = openDatabase({ databaseUrl: postgres.url, poolSize: 4, applicationName: 'bench', log: quiet })
const empty = () =>
  database.query(
    'truncate external_messages, gateway.message_states, gateway.message_details, gateway.message_timeline, gateway.sends, gateway.contacts, gateway.projections',
  )
const events = jetStreamLog({ nats })
const log = { extent: events.extent, read: (range) => events.read(range) }

const perSecond = (startedAt) => (EVENTS / (performance.now() - startedAt)) * 1_000

const reading = async () => {
  const startedAt = performance.now()
  for await (const { body } of log.read({ after: 0, upTo: EVENTS })) JSON.parse(Buffer.from(body).toString())
  return perSecond(startedAt)
}

const projecting = async () => {
  await empty()
  const store = createProjectionStore(database)
  // The projector's batches, on an eighth of the log: it is the slow one.
  const some = Math.ceil(EVENTS / 8)
  const startedAt = performance.now()
  let batch = []
  for await (const { body, position } of log.read({ after: 0, upTo: some })) {
    if (batch.push({ event: decodeEvent(body), sequence: position }) < 500) continue
    await store.apply(fold(batch))
    batch = []
  }
  await store.apply(fold(batch))
  return (some / (performance.now() - startedAt)) * 1_000
}

/** Megabytes of this process, looked at four times a second, by quarter of the folding. */
const memory = []
const rebuilding = (name) => async () => {
  if (name === 'lost') await empty()
  const quarters = [0, 0, 0, 0]
  let done = 0
  const timer = setInterval(() => {
    const quarter = Math.min(3, Math.floor((done / EVENTS) * 4))
    quarters[quarter] = Math.max(quarters[quarter], process.memoryUsage().rss / 2 ** 20)
  }, 250)
  const startedAt = performance.now()
  let foldedAt = 0
  const report = await rebuild({
    databaseUrl: postgres.url,
    log,
    listed: 0,
    onProgress: (progress) => {
      done = progress.done
      if (done === EVENTS && foldedAt === 0) foldedAt = performance.now()
    },
  })
  clearInterval(timer)
  const rows = report.tables.map((table) => table.missing).reduce((a, b) => a + b)
  console.log(
    `  ${name}: folded ${((foldedAt - startedAt) / 1_000).toFixed(1)} s, whole ${((performance.now() - startedAt) / 1_000).toFixed(1)} s, ` +
      `writers waited ${(report.lockedMs / 1_000).toFixed(1)} s, ${rows} rows put back; MB by quarter ${quarters.map(Math.round).join(' ')}`,
  )
  memory.push(quarters)
  return perSecond(startedAt)
}

await inTurn(
  rounds,
  {
    'reads and parses': reading,
    'projector’s store': projecting,
    'rebuild of a lost read model': rebuilding('lost'),
    'rebuild with nothing to mend': rebuilding('whole'),
  },
  'events/s',
)
await database.end()
await nats.close()
await postgres.stop()
await server.stop()
