// Yardsticks between the bare Fastify server and the gateway: the same work on node:http, and with STORE=true the body is
// stored as it came, by the publisher the gateway uses, before the answer. Nothing is understood, logged or counted.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { connectNats, createPublisher } from '@cloudapi2/nats'
import { quiet } from '../session.mjs'

const OK = '{"status":"ok"}'
const HEADERS = { 'content-type': 'application/json; charset=utf-8', 'content-length': String(OK.length) }
const { APP_SECRET, NATS_URL, PORT, STORE } = process.env

const nats = STORE === 'true' ? await connectNats({ url: NATS_URL, name: 'bench-bare', log: quiet }) : undefined
const publisher = nats && createPublisher(nats, { timeoutMs: 5_000 })
const run = Date.now().toString(36)
let count = 0

const receive = (request, response, body) => {
  const given = Buffer.from(String(request.headers['x-hub-signature-256']).slice(7), 'hex')
  const wanted = createHmac('sha256', APP_SECRET).update(body).digest()
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return response.writeHead(401).end()
  JSON.parse(body.toString('utf8'))
  const answer = () => response.writeHead(200, HEADERS).end(OK)
  if (publisher === undefined) return answer()
  publisher
    .publish({ subject: 'evt._.whatsapp.bench', msgId: `${run}-${count++}`, data: body })
    .then(answer, () => response.writeHead(503).end())
}

createServer((request, response) => {
  if (request.method === 'GET') return response.end('{"ready":true}')
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => receive(request, response, Buffer.concat(chunks)))
}).listen(Number(PORT), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))
