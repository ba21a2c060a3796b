// Events per second of the projector, against a bare loop that consumes, parses, folds and upserts the same events into the
// same tables with nothing around it.   node bench/projector.mjs [rounds] [messages]
// Each message is four events: created, sent, delivered, read.
import { decodeEvent, eventId, newEvent } from '@cloudapi2/contracts'
import { startNats, startPostgres } from '@cloudapi2/embedded'
import { applyTopology, connectNats, createPublisher } from '@cloudapi2/nats'
import { createProjectionStore, fold, migrate, openDatabase } from '@cloudapi2/read-model'
import { COMPANY, inTurn, quiet, SECRETS_KEYS, startProgram } from './session.mjs'

const [rounds = 3, messages = 20_000] = process.argv.slice(2).map(Number)
const EVENTS = messages * 4

const server = await startNats()
const postgres = await startPostgres({ durable: true })
const nats = await connectNats({ url: server.url, name: 'bench', log: quiet })
await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
const publisher = createPublisher(nats, { timeoutMs: 30_000 })

const publish = async (type, messageId, n, data) => {
  const time = new Date(1_788_000_000_000 + n * 1_000).toISOString()
  const event = newEvent({
    id: eventId(COMPANY, type, messageId, data.status ?? ''),
    source: '/bench',
    type,
    subject: messageId,
    time,
    companyId: COMPANY,
    channel: 'whatsapp',
    recordedTime: time,
    data: {
      message_id: messageId,
      phone_number_id: '674372385752523',
      chat_id: '34608684495',
      raw: { id: messageId },
      ...data,
    },
  })
  await publisher.publish({ subject: `evt.${COMPANY}.whatsapp.${type}`, msgId: event.id, data: JSON.stringify(event) })
}
for (let n = 0; n < messages; n += 500)
  await Promise.all(
    Array.from({ length: Math.min(500, messages - n) }, async (_, i) => {
      const id = `wamid.bench${n + i}`
      const created = { direction: 'outbound', kind: 'text', text: 'Your order is ready.', status: 'accepted' }
      await publish('message.created', id, n, created)
      for (const status of ['sent', 'delivered', 'read']) await publish('status.updated', id, n + 1, { status })
    }),
  )
publisher.close()
console.log(`${EVENTS} events in the log`)

await migrate(postgres.url)
const database = openDatabase({ databaseUrl: postgres.url, poolSize: 4, applicationName: 'bench', log: quiet })
const manager = await nats.raw.jetstreamManager()
const empty = async () => {
  await database.query(
    'truncate external_messages, gateway.message_states, gateway.message_details, gateway.message_timeline, gateway.sends, gateway.contacts, gateway.projections',
  )
}

const bare = async (round) => {
  await empty()
  const store = createProjectionStore(database)
  await manager.consumers.add('EVENTS', {
    durable_name: `bare${round}`,
    ack_policy: 'explicit',
    max_ack_pending: 5_000,
  })
  const consumer = await nats.raw.jetstream().consumers.get('EVENTS', `bare${round}`)
  const startedAt = performance.now()
  let done = 0
  while (done < EVENTS) {
    const batch = []
    for await (const message of await consumer.fetch({ max_messages: 500, expires: 1_000 })) batch.push(message)
    await store.apply(fold(batch.map((message) => ({ event: decodeEvent(message.data), sequence: message.seq }))))
    for (const message of batch) message.ack()
    done += batch.length
  }
  await manager.consumers.delete('EVENTS', `bare${round}`)
  return (EVENTS / (performance.now() - startedAt)) * 1_000
}

const projector = async () => {
  await empty()
  await manager.consumers.delete('EVENTS', 'projector').catch(() => {}) // the first time there is none
  const program = await startProgram(
    'services/projector/dist/main.js',
    { PORT: '18093', NATS_URL: server.url, DATABASE_URL: postgres.url, SECRETS_KEYS },
    'http://127.0.0.1:18093',
  )
  // From the first event folded to the last: starting the process is not what is measured.
  const folded = async () =>
    Number((await database.query('select coalesce(max(position), 0) as p from gateway.projections')).rows[0].p)
  const first = await folded()
  const startedAt = performance.now()
  while ((await folded()) < EVENTS) await new Promise((resolve) => setTimeout(resolve, 10))
  const perSecond = ((EVENTS - first) / (performance.now() - startedAt)) * 1_000
  await program.stop()
  return perSecond
}

await inTurn(rounds, { 'bare loop': bare, projector }, 'events/s')
await database.end()
await nats.close()
await postgres.stop()
await server.stop()
