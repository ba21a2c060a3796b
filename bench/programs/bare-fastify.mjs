// The yardstick of the gateway: reads the body, checks the HMAC, parses, answers. It stores nothing.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { fastify } from 'fastify'

const app = fastify({ logger: false, bodyLimit: 4_194_304 })
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
app.get('/readyz', () => ({ ready: true }))
app.post('/:company_id/webhook', (request, reply) => {
  const given = Buffer.from(String(request.headers['x-hub-signature-256']).slice(7), 'hex')
  const wanted = createHmac('sha256', process.env.APP_SECRET).update(request.body).digest()
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return reply.code(401).send()
  JSON.parse(request.body.toString('utf8'))
  return reply.header('content-type', 'application/json; charset=utf-8').send('{"status":"ok"}')
})
process.on('SIGTERM', () => process.exit(0))
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
