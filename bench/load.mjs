// A load of signed webhooks, each with a message of its own, from a process of its own. The requests are made and signed
// before the clock starts, and leave over bare sockets: what is measured is the server.
//   node bench/load.mjs URL SECRET SECONDS CONNECTIONS PREFIX [RATE]
// Prints one JSON line: {requests, seconds, perSecond, non200, errors, p50, p99}; latencies in milliseconds.
import { createHmac } from 'node:crypto'
import { connect } from 'node:net'

const [url, secret, secondsText, connectionsText, prefix, rateText] = process.argv.slice(2)
const { hostname, port, pathname } = new URL(url)
const seconds = Number(secondsText)
const connections = Number(connectionsText)
const rate = rateText === undefined ? undefined : Number(rateText)

const body = (n) =>
  JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [
      {
        id: '819743285752511',
        changes: [
          {
            value: {
              messaging_product: 'whatsapp',
              metadata: { display_phone_number: '34910000000', phone_number_id: '674372385752523' },
              contacts: [{ profile: { name: 'Nora Feld' }, wa_id: '34608684495', user_id: 'ES.74920185533160284415' }],
              messages: [
                {
                  from: '34608684495',
                  from_user_id: 'ES.74920185533160284415',
                  id: `wamid.${prefix}${n}`,
                  timestamp: String(1_788_000_000 + (n % 100_000)),
                  type: 'text',
                  text: { body: 'Do you deliver on Saturdays?' },
                },
              ],
            },
            field: 'messages',
          },
        ],
      },
    ],
  })
let made = 0
const requestOf = () => {
  const text = body(made++)
  const signature = createHmac('sha256', secret).update(text).digest('hex')
  return Buffer.from(
    `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\nx-hub-signature-256: sha256=${signature}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
}

// More than can be sent; at a given rate they are made as they go.
const stock = rate === undefined ? Array.from({ length: Math.ceil(seconds * 16_000) }, requestOf) : []
let next = 0
const take = () => (rate === undefined ? stock[next++] : requestOf())

const latencies = []
let requests = 0
let non200 = 0
let errors = 0
let isOver = false
const idle = []
let due = 0
const startedAt = performance.now()

const client = () => {
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  let sentAt = 0
  let answer = ''
  const send = () => {
    if (rate !== undefined && due <= 0) return void idle.push(send)
    const request = take()
    if (isOver || request === undefined) return socket.end()
    due--
    sentAt = performance.now()
    socket.write(request)
  }
  socket.on('connect', send)
  socket.on('data', (chunk) => {
    answer += chunk.latin1Slice()
    // Answers are one small JSON object each, and there is one at a time.
    if (!answer.endsWith('}')) return
    latencies.push(performance.now() - sentAt)
    if (answer.startsWith('HTTP/1.1 200')) requests++
    else non200++
    answer = ''
    send()
  })
  socket.on('error', () => errors++)
  return new Promise((resolve) => socket.on('close', resolve))
}

const clients = Array.from({ length: connections }, client)
let granted = 0
const pace =
  rate === undefined
    ? undefined
    : setInterval(() => {
        const wanted = Math.floor(((performance.now() - startedAt) / 1_000) * rate)
        due += wanted - granted
        granted = wanted
        for (const send of idle.splice(0, Math.max(0, due))) send()
      }, 5)
setTimeout(() => {
  isOver = true
  clearInterval(pace)
  due = connections
  for (const send of idle.splice(0)) send()
}, seconds * 1_000)
await Promise.all(clients)
const elapsed = (performance.now() - startedAt) / 1_000
latencies.sort((a, b) => a - b)
const at = (p) => Number((latencies[Math.floor(latencies.length * p)] ?? 0).toFixed(1))
console.log(
  JSON.stringify({
    requests,
    seconds: elapsed,
    perSecond: Math.round(requests / elapsed),
    non200,
    errors,
    p50: at(0.5),
    p99: at(0.99),
  }),
)
