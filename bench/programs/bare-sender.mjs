// Takes commands from a stream and calls the Graph API with undici, nothing else.   NATS_URL, GRAPH_BASE_URL, STREAM, CONCURRENCY, PORT
import { createServer } from 'node:http'
import { connectNats, consumeEach, createPublisher } from '@cloudapi2/nats'
import { Agent } from 'undici'

const { NATS_URL, GRAPH_BASE_URL, STREAM, PORT } = process.env
const concurrency = Number(process.env.CONCURRENCY)
const log = { info: () => {}, warn: () => {}, error: () => {} }
const nats = await connectNats({ url: NATS_URL, name: 'bare-sender', log })
const agent = new Agent({ connections: concurrency })
const consumer = await consumeEach({
  nats,
  log,
  publisher: createPublisher(nats, { timeoutMs: 5_000 }),
  service: 'sender',
  stream: STREAM,
  durable: 'bare',
  filterSubjects: ['bare.>'],
  concurrency,
  handler: async ({ data }) => {
    const command = JSON.parse(Buffer.from(data))
    const { body } = await agent.request({
      origin: GRAPH_BASE_URL,
      path: `/v22.0/${command.phone_number_id}/messages`,
      method: 'POST',
      headers: { authorization: 'Bearer EAAbench', 'content-type': 'application/json' },
      body: JSON.stringify({
        messaging_product: 'whatsapp',
        to: command.to,
        type: 'text',
        text: { body: command.message.text },
      }),
    })
    await body.json()
    return { kind: 'ack' }
  },
})
createServer((_request, response) => response.end()).listen(Number(PORT), '127.0.0.1')
process.on('SIGTERM', async () => {
  await consumer.stop()
  await nats.close()
  process.exit(0)
})
