import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'

/** The little of the NATS protocol that the tests of a server need: https://docs.nats.io/reference/reference-protocols/nats-protocol */
export const natsWire = async (port: number, credentials: { user: string; pass: string } | undefined = undefined) => {
  const socket = connect({ host: '127.0.0.1', port })
  let received = ''
  const looks = new Set<() => void>()
  socket.on('data', (chunk) => {
    received += chunk.toString('utf8')
    for (const look of looks) look()
  })
  socket.on('error', () => {}) // the server was killed: `close` tells the one who waits
  const seen = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(received)
        if (match === null) return
        looks.delete(look)
        resolve(match)
      }
      looks.add(look)
      socket.once('close', () => reject(new Error(`closed before ${pattern}: ${received}`)))
      look()
    })
  await once(socket, 'connect')
  socket.write(
    `CONNECT ${JSON.stringify({ verbose: false, pedantic: false, headers: true, ...credentials })}\r\nPING\r\n`,
  )
  await seen(/PONG\r\n|-ERR/)

  return {
    received: () => received,
    close: (): void => {
      socket.destroy()
    },
    /** Publishes and returns what the server says to it before the PONG. */
    publish: async (subject: string, body: string): Promise<string> => {
      received = ''
      socket.write(`PUB ${subject} ${Buffer.byteLength(body)}\r\n${body}\r\nPING\r\n`)
      await seen(/PONG\r\n/)
      return received.replace(/PONG\r\n/, '').trim()
    },
    request: async (subject: string, body: string): Promise<Record<string, unknown>> => {
      const inbox = `_INBOX.${randomUUID()}`
      received = ''
      socket.write(`SUB ${inbox} 1\r\nUNSUB 1 1\r\nPUB ${subject} ${inbox} ${Buffer.byteLength(body)}\r\n${body}\r\n`)
      const [, reply = ''] = await seen(/MSG \S+ 1 \d+\r\n(.*)\r\n/)
      return JSON.parse(reply) as Record<string, unknown>
    },
  }
}
