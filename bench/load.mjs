// A load of signed webhooks, each with a message of its own, from a process of its own.
//   node bench/load.mjs URL SECRET SECONDS CONNECTIONS PREFIX [RATE]
// Prints one JSON line: {requests, seconds, perSecond, non200, errors, p50, p99}.
import { createHmac } from 'node:crypto'
import autocannon from 'autocannon'

const [url, secret, seconds, connections, prefix, rate] = process.argv.slice(2)

let next = 0
const body = () =>
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
                  id: `wamid.${prefix}${next++}`,
                  timestamp: String(1_788_000_000 + (next % 100_000)),
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
const sign = (text) => `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`

const result = await autocannon({
  url,
  method: 'POST',
  duration: Number(seconds),
  connections: Number(connections),
  ...(rate === undefined ? {} : { overallRate: Number(rate) }),
  setupClient: (client) => {
    const renew = () => {
      const text = body()
      client.setHeadersAndBody({ 'content-type': 'application/json', 'x-hub-signature-256': sign(text) }, text)
    }
    renew()
    client.on('response', renew)
  },
})
console.log(
  JSON.stringify({
    requests: result['2xx'],
    seconds: result.duration,
    perSecond: Math.round(result['2xx'] / result.duration),
    non200: result.non2xx,
    errors: result.errors + result.timeouts,
    p50: result.latency.p50,
    p99: result.latency.p99,
  }),
)
