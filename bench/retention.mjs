// From when an event is stored to when its rows are, while retention removes old messages and while it does not.
//   node bench/retention.mjs [rounds] [events/s] [seconds]
import { eventId, newEvent } from '@cloudapi2/contracts'
import { startNats, startPostgres } from '@cloudapi2/embedded'
import { applyTopology, BUCKETS, connectNats, createPublisher, EVENTS, openKv } from '@cloudapi2/nats'
import { createProjectionStore, fold, migrate, openDatabase } from '@cloudapi2/read-model'
import { encodeCompanyRecord } from '@cloudapi2/tenants'
import { COMPANY, inTurn, quiet, startProgram } from './session.mjs'

const [rounds = 3, rate = 300, seconds = 15] = process.argv.slice(2).map(Number)
/** More than a round removes, so that it goes on to the end of it. */
const OLD_MESSAGES = seconds * 6_000
const OLD_COMPANY = 'b1f0a0de-0000-4000-8000-00000000000b'

const server = await startNats()
const postgres = await startPostgres({ durable: true })
const nats = await connectNats({ url: server.url, name: 'bench', log: quiet })
await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
const publisher = createPublisher(nats, { timeoutMs: 30_000 })
const tenants = await openKv(nats, BUCKETS.tenants, quiet)
await migrate(postgres.url)
const database = openDatabase({ databaseUrl: postgres.url, poolSize: 2, applicationName: 'bench', log: quiet })
const manager = await nats.raw.jetstreamManager()

const keeps = (custom_properties) =>
  tenants.put(
    OLD_COMPANY,
    encodeCompanyRecord({ company_id: OLD_COMPANY, name: '', custom_properties, api_keys: [], updated_at: '' }),
  )

const eventOf = (company, type, messageId, time, data) =>
  newEvent({
    id: eventId(company, type, messageId, data.status ?? ''),
    source: '/bench',
    type,
    subject: messageId,
    time,
    companyId: company,
    channel: 'whatsapp',
    recordedTime: time,
    data: { message_id: messageId, phone_number_id: '674372385752523', chat_id: '34608684495', raw: {}, ...data },
  })
const CREATED = { direction: 'outbound', kind: 'text', text: 'Your order is ready.', status: 'accepted' }

/** Old messages of four events each, put there as the projection does it. */
const fillUp = async (round) => {
  const store = createProjectionStore(database)
  const there = await database.query('select count(*)::int as n from gateway.message_states where company_id = $1', [
    OLD_COMPANY,
  ])
  for (let n = there.rows[0].n; n < OLD_MESSAGES; n += 1_000) {
    const events = []
    for (let i = n; i < n + 1_000; i++) {
      const id = `wamid.old.${round}.${i}`
      const time = new Date(1_700_000_000_000 + i * 1_000).toISOString()
      events.push(eventOf(OLD_COMPANY, 'message.created', id, time, CREATED))
      for (const status of ['sent', 'delivered', 'read'])
        events.push(eventOf(OLD_COMPANY, 'status.updated', id, time, { status }))
    }
    await store.apply({ ...fold(events.map((event, i) => ({ event, sequence: i + 1 }))), position: 0 })
  }
  await database.query('vacuum analyze gateway.message_states')
  await database.query('vacuum analyze gateway.message_timeline')
}

const left = async () =>
  (await database.query('select count(*)::int as n from public.external_messages where company_id = $1', [OLD_COMPANY]))
    .rows[0].n

let count = 0
/** The 99th percentile of all events of a round, milliseconds. */
const lag = async (round, withRetention) => {
  await keeps({})
  await fillUp(`${round}.${withRetention}`)
  if (withRetention) await keeps({ RETENTION_DAYS: 14 })
  const program = await startProgram(
    'services/projector/dist/main.js',
    { PORT: '18094', NATS_URL: server.url, DATABASE_URL: postgres.url, RETENTION_INTERVAL_MS: '100' },
    'http://127.0.0.1:18094',
  )
  const before = await left()
  const sentAt = new Map()
  const lags = []
  const total = rate * seconds
  let sequence = (await manager.streams.info(EVENTS)).state.last_seq
  const last = sequence + total
  let folded = sequence
  const watch = (async () => {
    while (folded < last) {
      const { rows } = await database.query('select coalesce(max(position), 0)::int as p from gateway.projections')
      const now = performance.now()
      for (; folded < Math.min(rows[0].p, last); ) lags.push(now - sentAt.get(++folded))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })()
  const startedAt = performance.now()
  const stored = []
  for (let i = 0; i < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1_000) * rate))
    for (; i < due; i++) {
      const event = eventOf(COMPANY, 'message.created', `wamid.new${count++}`, new Date().toISOString(), CREATED)
      sentAt.set(++sequence, performance.now())
      stored.push(
        publisher.publish({
          subject: `evt.${COMPANY}.whatsapp.${event.type}`,
          msgId: event.id,
          data: JSON.stringify(event),
        }),
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await Promise.all(stored)
  await watch
  const removed = before - (await left())
  await program.stop()
  if (withRetention) console.log(`  ${removed} messages removed meanwhile, ${Math.round(removed / seconds)}/s`)
  lags.sort((a, b) => a - b)
  return lags[Math.floor(lags.length * 0.99)]
}

await inTurn(
  rounds,
  { 'without retention': (round) => lag(round, false), 'while it removes': (round) => lag(round, true) },
  'ms (p99)',
)
publisher.close()
await database.end()
await nats.close()
await postgres.stop()
await server.stop()
