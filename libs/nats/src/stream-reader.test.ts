import { startNats } from '@cloudapi2/embedded'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectNats, type Nats, type NatsLog } from './connection.ts'
import {
  followStream,
  readStream,
  readStreamPermissions,
  type StoredMessage,
  StreamUnreadable,
  storedAt,
  streamExtent,
} from './stream-reader.ts'

const silent: NatsLog = { info: () => {}, warn: () => {}, error: () => {} }

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let names = 0

beforeAll(async () => {
  server = await startNats()
  nats = await connectNats({ url: server.url, name: 'reader', log: silent })
})
afterAll(async () => {
  await nats?.close()
  await server?.stop()
})

const manager = () => nats.raw.jetstreamManager({ checkAPI: false })

/** A stream with the subjects `<name>.>`. */
const newStream = async (subjects: readonly string[] = [], data: (n: number) => string = String) => {
  const name = `S${names++}`
  await (await manager()).streams.add({ name, subjects: [`${name}.>`], allow_direct: true })
  await publish(name, subjects, data)
  return name
}

const publish = async (stream: string, subjects: readonly string[], data: (n: number) => string = String) => {
  const js = nats.raw.jetstream({ checkAPI: false })
  for (let at = 0; at < subjects.length; at += 2_000)
    await Promise.all(subjects.slice(at, at + 2_000).map((s, i) => js.publish(`${stream}.${s}`, data(at + i))))
}

const repeat = (count: number, subject: string) => Array.from({ length: count }, () => subject)

const sequencesOf = async (batches: AsyncIterable<StoredMessage[]>): Promise<number[]> => {
  const sequences: number[] = []
  for await (const batch of batches) for (const { sequence } of batch) sequences.push(sequence)
  return sequences
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

describe('reading what is stored', () => {
  test('gives every message once, in order, with subject, body and time', async () => {
    const before = Date.now()
    const stream = await newStream(repeat(5_000, 'a'))
    const messages: StoredMessage[] = []
    for await (const batch of readStream(nats, stream)) messages.push(...batch)
    expect(messages.map(({ sequence }) => sequence)).toEqual(range(1, 5_000))
    const { subject, data, storedAtMs } = messages[41] as StoredMessage
    expect([subject, Buffer.from(data).toString()]).toEqual([`${stream}.a`, '41'])
    expect(storedAtMs).toBeGreaterThan(before - 1_000)
    expect(storedAtMs).toBeLessThan(Date.now() + 1_000)
  })

  test('ends when nothing is stored', async () => {
    const stream = await newStream()
    expect(await sequencesOf(readStream(nats, stream))).toEqual([])
    expect(await streamExtent(nats, stream)).toEqual({ first: 0, last: 0, messages: 0 })
  })

  test('ends when nothing fits the filter', async () => {
    const stream = await newStream(repeat(10, 'a'))
    expect(await sequencesOf(readStream(nats, stream, { filterSubjects: [`${stream}.b`] }))).toEqual([])
  })

  test('ends when the last message that fits lies long before the end', async () => {
    const stream = await newStream(['b', 'b', ...repeat(3_000, 'a')])
    const read = readStream(nats, stream, { filterSubjects: [`${stream}.b`] })
    expect(await sequencesOf(read)).toEqual([1, 2])
  })

  test('takes several filters and keeps the order of the stream over them', async () => {
    const stream = await newStream(['a', 'b', 'c', 'b', 'a', 'c'])
    const read = readStream(nats, stream, { filterSubjects: [`${stream}.a`, `${stream}.b`] })
    expect(await sequencesOf(read)).toEqual([1, 2, 4, 5])
  })

  test('begins after a sequence and ends with another', async () => {
    const stream = await newStream(repeat(20, 'a'))
    expect(await sequencesOf(readStream(nats, stream, { after: 5, upTo: 9 }))).toEqual([6, 7, 8, 9])
    expect(await sequencesOf(readStream(nats, stream, { after: 20 }))).toEqual([])
    expect(await sequencesOf(readStream(nats, stream, { after: 900 }))).toEqual([])
    expect(await sequencesOf(readStream(nats, stream, { after: 18, upTo: 900 }))).toEqual([19, 20])
    expect(await sequencesOf(readStream(nats, stream, { upTo: 0 }))).toEqual([])
  })

  test('begins at a time', async () => {
    const stream = await newStream(['a', 'a'])
    const [, second] = await storedAt(nats, stream, [1, 2])
    await new Promise((resolve) => setTimeout(resolve, 5)) // so that the third has another millisecond
    await publish(stream, ['a'])
    const since = new Date(Math.ceil((second as StoredMessage).storedAtMs) + 1)
    expect(await sequencesOf(readStream(nats, stream, { since }))).toEqual([3])
    expect(await sequencesOf(readStream(nats, stream, { since: new Date(Date.now() + 60_000) }))).toEqual([])
    expect(await sequencesOf(readStream(nats, stream, { since, after: 3 }))).toEqual([])
  })

  test('ends where messages were purged, deleted, or are all gone', async () => {
    const stream = await newStream([...repeat(10, 'a'), ...repeat(5, 'b')])
    const { streams } = await manager()
    await streams.purge(stream, { filter: `${stream}.b` })
    expect(await sequencesOf(readStream(nats, stream, { upTo: 15 }))).toEqual(range(1, 10))
    await streams.deleteMessage(stream, 10)
    await streams.purge(stream, { seq: 4 })
    expect(await sequencesOf(readStream(nats, stream))).toEqual(range(4, 9))
    expect(await streamExtent(nats, stream)).toEqual({ first: 4, last: 15, messages: 6 })
    await streams.purge(stream)
    expect(await sequencesOf(readStream(nats, stream))).toEqual([])
  })

  test('does not give what is stored after it began', async () => {
    const stream = await newStream(repeat(3_000, 'a'))
    const read = readStream(nats, stream)
    const first = await read.next()
    await publish(stream, repeat(50, 'a'))
    expect((first.value as StoredMessage[]).length + (await sequencesOf(read)).length).toBe(3_000)
  })

  test('ends quietly when its signal aborts', async () => {
    const stream = await newStream(repeat(5_000, 'a'))
    const stop = new AbortController()
    let count = 0
    for await (const batch of readStream(nats, stream, { signal: stop.signal })) {
      count += batch.length
      stop.abort()
    }
    expect(count).toBeGreaterThan(0)
    expect(count).toBeLessThan(5_000)
  })

  test('leaves no consumer behind, whether it came to the end or was left early', async () => {
    const stream = await newStream(repeat(5_000, 'a'))
    await sequencesOf(readStream(nats, stream))
    for await (const _ of readStream(nats, stream)) break
    const { consumers } = await manager()
    const left = async () => (await consumers.list(stream).next()).length
    while ((await left()) > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    expect(await left()).toBe(0)
  })

  test('holds little, however slowly it is taken', async () => {
    const stream = await newStream(repeat(60, 'a'), () => 'x'.repeat(900_000))
    const before = nats.raw.stats().inBytes
    const read = readStream(nats, stream)
    await read.next()
    // Whatever the server would send by itself is here once it has answered this.
    for (let i = 0; i < 20; i++) await streamExtent(nats, stream)
    expect(nats.raw.stats().inBytes - before).toBeLessThan(12 * 1_048_576)
    let rest = 0
    for await (const batch of read) rest += batch.length
    expect(rest).toBeGreaterThan(30)
  })

  test('gives messages that are larger than what it asks for at once, among small ones', async () => {
    const sizes = [10, 5_000_000, 10, 10, 2_090_000, 7_000_000, 7_000_000, 10]
    const stream = await newStream(repeat(sizes.length, 'a'), (n) => 'x'.repeat(sizes[n] as number))
    const seen: number[] = []
    for await (const batch of readStream(nats, stream)) seen.push(...batch.map(({ data }) => data.length))
    expect(seen).toEqual(sizes)
    const stop = new AbortController()
    const followed: number[] = []
    for await (const batch of followStream(nats, stream, { signal: stop.signal })) {
      followed.push(...batch.map(({ data }) => data.length))
      if (followed.length === sizes.length) stop.abort()
    }
    expect(followed).toEqual(sizes)
  })

  test('goes on where it was when its consumer disappears', async () => {
    const stream = await newStream(repeat(6_000, 'a'))
    const { consumers } = await manager()
    const sequences: number[] = []
    let removed = 0
    for await (const batch of readStream(nats, stream)) {
      sequences.push(...batch.map(({ sequence }) => sequence))
      if (removed === 3) continue
      for (const { name } of await consumers.list(stream).next()) await consumers.delete(stream, name)
      removed++
    }
    expect(removed).toBe(3)
    expect(sequences).toEqual(range(1, 6_000))
  })

  test('of a stream that is not there says so', async () => {
    await expect(sequencesOf(readStream(nats, 'NOWHERE'))).rejects.toThrow(StreamUnreadable)
  })
})

describe('following', () => {
  test('gives what is stored and then what comes, each once, and ends with its signal', async () => {
    const stream = await newStream(repeat(10, 'a'))
    const stop = new AbortController()
    const sequences: number[] = []
    for await (const batch of followStream(nats, stream, { after: 4, signal: stop.signal })) {
      sequences.push(...batch.map(({ sequence }) => sequence))
      if (sequences.at(-1) === 10) void publish(stream, repeat(5, 'a'))
      if (sequences.at(-1) === 15) stop.abort()
    }
    expect(sequences).toEqual(range(5, 15))
  })

  test('ends with its signal although nothing ever comes', async () => {
    const stream = await newStream()
    const stop = new AbortController()
    const ended = sequencesOf(followStream(nats, stream, { signal: stop.signal }))
    await streamExtent(nats, stream)
    stop.abort()
    expect(await ended).toEqual([])
  })

  test('ends with an error when its connection is closed', async () => {
    const stream = await newStream(['a'])
    const own = await connectNats({ url: server.url, name: 'closing', log: silent })
    const follow = followStream(own, stream, { signal: new AbortController().signal })
    await follow.next()
    const next = follow.next()
    await own.close()
    await expect(next).rejects.toThrow(StreamUnreadable)
  })

  test('ends with an error when its stream is removed', async () => {
    const stream = await newStream(['a'])
    const follow = followStream(nats, stream, { signal: new AbortController().signal })
    await follow.next()
    // Expected before it can happen: the reader may hear of the removal before whoever asked for it.
    const ended = expect(follow.next()).rejects.toThrow(StreamUnreadable)
    await (await manager()).streams.delete(stream)
    await ended
  })
})

test('single messages are had by their sequences, and what is not there is left out', async () => {
  const stream = await newStream(repeat(200, 'a'))
  const found = await storedAt(nats, stream, [150, 7, 7, 9_000])
  expect(found.map(({ sequence, data }) => [sequence, Buffer.from(data).toString()])).toEqual([
    [7, '6'],
    [150, '149'],
  ])
})

describe('over a restart of the server', () => {
  test('reading and following lose nothing and repeat nothing', async () => {
    const own = await startNats()
    const other = await connectNats({ url: own.url, name: 'restarting', log: silent })
    try {
      const streams = (await other.raw.jetstreamManager()).streams
      await streams.add({ name: 'R', subjects: ['r.>'], allow_direct: true })
      const js = other.raw.jetstream({ checkAPI: false })
      for (let at = 0; at < 8_000; at += 2_000)
        await Promise.all(range(1, 2_000).map((n) => js.publish('r.a', `${at + n}`)))

      const read: number[] = []
      for await (const batch of readStream(other, 'R')) {
        const isFirst = read.length === 0
        read.push(...batch.map(({ sequence }) => sequence))
        if (!isFirst) continue
        await own.kill()
        await own.restart()
      }
      expect(read).toEqual(range(1, 8_000))

      const stop = new AbortController()
      const followed: number[] = []
      for await (const batch of followStream(other, 'R', { after: 7_990, signal: stop.signal })) {
        followed.push(...batch.map(({ sequence }) => sequence))
        if (followed.at(-1) === 8_000) {
          await own.kill()
          await own.restart()
          void (async () => {
            while (!other.isConnected()) await new Promise((resolve) => setTimeout(resolve, 10))
            await js.publish('r.a', 'after')
          })()
        }
        if (followed.at(-1) === 8_001) stop.abort()
      }
      expect(followed).toEqual(range(7_991, 8_001))
    } finally {
      await other.close()
      await own.stop()
    }
  }, 30_000)
})

test('a user needs no more rights than it says', async () => {
  const own = await startNats({
    users: [
      { user: 'admin', password: 'secret', permissions: { publish: { allow: ['>'] }, subscribe: { allow: ['>'] } } },
      {
        user: 'least',
        password: 'secret',
        permissions: {
          publish: { allow: readStreamPermissions('P') },
          subscribe: { allow: ['_INBOX.least.>'] },
        },
      },
    ],
  })
  const at = (user: string) => own.url.replace('nats://', `nats://${user}:secret@`)
  const admin = await connectNats({ url: at('admin'), name: 'admin', log: silent })
  const refusals: unknown[] = []
  const log: NatsLog = { ...silent, error: (line) => void refusals.push(line) }
  const least = await connectNats({ url: at('least'), name: 'least', log })
  try {
    await (await admin.raw.jetstreamManager()).streams.add({ name: 'P', subjects: ['p.>'], allow_direct: true })
    await admin.raw.jetstream().publish('p.a', '1')
    expect(await sequencesOf(readStream(least, 'P', { filterSubjects: ['p.>'] }))).toEqual([1])
    expect(await sequencesOf(readStream(least, 'P', { since: new Date(0) }))).toEqual([1])
    await least.raw.flush()
    expect(refusals).toEqual([])
  } finally {
    await admin.close()
    await least.close()
    await own.stop()
  }
})
