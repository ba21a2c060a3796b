import { startNats } from '@cloudapi2/embedded'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectNats, type Nats } from './connection.ts'
import { createRequester } from './requester.ts'

const silent = { info: () => {}, warn: () => {}, error: () => {} }

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
beforeAll(async () => {
  server = await startNats({})
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
})
afterAll(async () => {
  await nats?.close()
  await server?.stop()
})

const asker = (timeoutMs: number) => {
  const requester = createRequester(nats, { timeoutMs })
  const ask = (subject: string) =>
    new Promise<string>((resolve) =>
      requester.ask(
        { subject, data: '' },
        (reply) => resolve(reply.string()),
        (_reason, code) => resolve(code ?? 'NOT_SENT'),
      ),
    )
  return { ...requester, ask }
}

test('a reply after its time-out settles nobody, though its place is taken by another request', async () => {
  const requester = asker(1_000)
  const late: (() => void)[] = []
  const replies: string[] = []
  nats.raw.subscribe('late', { callback: (_error, message) => late.push(() => message.respond('of the first')) })
  nats.raw.subscribe('held', {
    callback: (_error, message) => {
      replies.push(message.reply as string)
      // The first one's reply arrives while the second waits, and before its own.
      for (const respond of late) respond()
      message.respond('of the second')
    },
  })
  expect(await requester.ask('late')).toBe('PUBLISH_TIMED_OUT')
  expect(late).toHaveLength(1)
  expect(await requester.ask('held')).toBe('of the second')
  expect(replies[0]).toMatch(/\.0-1$/) // the place of the first, and a token of its own
  requester.close()
})

test('requests under way are counted, whatever becomes of them, and their places are used again', async () => {
  const requester = asker(60_000)
  nats.raw.subscribe('echo', { callback: (_error, message) => message.respond('echo') })
  nats.raw.subscribe('silent', { callback: () => {} })
  for (let round = 0; round < 3; round++) {
    const asked = Array.from({ length: 100 }, () => requester.ask('echo'))
    expect(requester.inFlight()).toBe(100)
    expect(await Promise.all(asked)).toEqual(Array(100).fill('echo'))
    expect(requester.inFlight()).toBe(0)
  }
  const unanswered = [requester.ask('silent'), requester.ask('silent')]
  expect(requester.inFlight()).toBe(2)
  requester.close()
  expect(await Promise.all(unanswered)).toEqual(['NOT_SENT', 'NOT_SENT'])
  expect(requester.inFlight()).toBe(0)
})
