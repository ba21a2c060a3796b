// Messages per second into JetStream: the client's js.publish against our lean publisher, 64 in flight each.
//   node bench/publisher.mjs [rounds] [seconds]
import { startNats } from '@cloudapi2/embedded'
import { applyTopology, connectNats, createPublisher } from '@cloudapi2/nats'
import { headers } from 'nats'
import { COMPANY, inTurn, quiet } from './session.mjs'

const [rounds = 5, seconds = 3] = process.argv.slice(2).map(Number)
const IN_FLIGHT = 64
const data = Buffer.from(JSON.stringify({ text: 'x'.repeat(1_000) }))
const subject = `evt.${COMPANY}.whatsapp.message.created`

const server = await startNats()
const nats = await connectNats({ url: server.url, name: 'bench', log: quiet })
await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
const js = nats.raw.jetstream()
const publisher = createPublisher(nats, { timeoutMs: 5_000 })

let id = 0
const flood = async (publish) => {
  const until = performance.now() + seconds * 1_000
  let count = 0
  const one = async () => {
    while (performance.now() < until) {
      await publish(`m${id++}`)
      count++
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, one))
  return count / seconds
}
const withId = (msgId) => {
  const result = headers()
  result.set('Nats-Msg-Id', msgId)
  return result
}
await inTurn(
  rounds,
  {
    'js.publish': () => flood((msgId) => js.publish(subject, data, { headers: withId(msgId) })),
    'lean publisher': () => flood((msgId) => publisher.publish({ subject, msgId, data })),
  },
  'messages/s',
)
publisher.close()
await nats.close()
await server.stop()
