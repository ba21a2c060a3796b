// A Graph API that accepts every message after 50 ms.   PORT, ANSWER_MS
import { createServer } from 'node:http'

const answerMs = Number(process.env.ANSWER_MS ?? 50)
let count = 0
createServer((request, response) => {
  const answer = (body) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  if (request.method === 'GET') return answer({ count })
  request.resume()
  setTimeout(() => {
    const id = `wamid.bench${count++}`
    answer({ messaging_product: 'whatsapp', contacts: [{ input: '1', wa_id: '34608684495' }], messages: [{ id }] })
  }, answerMs)
}).listen(Number(process.env.PORT), '127.0.0.1')
