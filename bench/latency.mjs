// From the answer-less moment a webhook is sent to the moment its row can be read, at a steady rate, on the whole product.
//   node bench/latency.mjs [rate per second] [seconds]
import { createHmac, randomUUID } from 'node:crypto'
import pg from 'pg'
import { Agent, request } from 'undici'
import { startProduct } from './product.mjs'

const [rate = 500, seconds = 20] = process.argv.slice(2).map(Number)
const product = await startProduct()
const { urls, demo, database_url } = product.runtime
const url = `${urls.webhook_gateway}/${demo.company_id}/webhook`
const agent = new Agent({ connections: 128, pipelining: 1 })
const database = new pg.Client({ connectionString: database_url })
await database.connect()

/** What is sent in the first seconds warms up fresh processes and is not counted. */
const WARM_UP_MS = 5_000
const countFrom = performance.now() + WARM_UP_MS

const sentAt = new Map()
const visible = []
const answered = []
let refused = 0

const send = async () => {
  const id = `wamid.${randomUUID()}`
  const body = JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [
      {
        id: demo.waba_id,
        changes: [
          {
            field: 'messages',
            value: {
              messaging_product: 'whatsapp',
              metadata: { display_phone_number: '34910000000', phone_number_id: demo.phone_number_id },
              contacts: [{ wa_id: '34608684495', profile: { name: 'Nora' } }],
              messages: [
                {
                  from: '34608684495',
                  id,
                  timestamp: String(Math.floor(Date.now() / 1000)),
                  type: 'text',
                  text: { body: 'How late are you open?' },
                },
              ],
            },
          },
        ],
      },
    ],
  })
  const signature = `sha256=${createHmac('sha256', demo.app_secret).update(body).digest('hex')}`
  const at = performance.now()
  sentAt.set(id, at)
  const response = await request(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', 'x-hub-signature-256': signature },
    dispatcher: agent,
  })
  await response.body.dump()
  if (response.statusCode !== 200) {
    refused++
    sentAt.delete(id)
  }
  if (at >= countFrom) answered.push(performance.now() - at)
}

let isOver = false
// One reader that asks every few milliseconds which of those on their way have arrived: its own round trip and pause are
// part of the figure. Without the pause it would take a core from what it measures.
const watch = (async () => {
  while (!isOver || sentAt.size > 0) {
    const ids = [...sentAt.keys()]
    if (ids.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      continue
    }
    const { rows } = await database.query({
      name: 'seen',
      text: 'select last_message_uid as id from external_messages where company_id = $1 and last_message_uid = any($2)',
      values: [demo.company_id, ids],
    })
    const now = performance.now()
    for (const { id } of rows) {
      if (sentAt.get(id) >= countFrom) visible.push(now - sentAt.get(id))
      sentAt.delete(id)
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
})()

const startedAt = performance.now()
let started = 0
await new Promise((resolve) => {
  const timer = setInterval(() => {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - startedAt) / 1000) * rate))
    while (started < due) {
      started++
      void send()
    }
    if (started >= rate * seconds) {
      clearInterval(timer)
      resolve()
    }
  }, 2)
})
isOver = true
await watch
const at = (values, p) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))].toFixed(1)
console.log(`${started} webhooks at ${rate}/s, ${refused} refused`)
console.log(`answered:       p50 ${at(answered, 0.5)} ms   p99 ${at(answered, 0.99)} ms   max ${at(answered, 1)} ms`)
console.log(`visible as row: p50 ${at(visible, 0.5)} ms   p99 ${at(visible, 0.99)} ms   max ${at(visible, 1)} ms`)
await database.end()
await product.stop()
