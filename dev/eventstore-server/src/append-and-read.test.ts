import { ErrorType, START } from '@eventstore/db-client'
import { describe, expect, test } from 'vitest'
import { connect, event, events, numberOf, numbersOf, startAndConnect } from './eventstore-server.rig.ts'

describe.each([
  ['in batches', true],
  ['call by call', false],
])('appending %s', (_name, batchAppend) => {
  const start = () => startAndConnect({ batchAppend })

  test('revisions count from 0, and positions grow', async () => {
    const { client } = await start()
    const first = await client.appendToStream('orders-1', events(3))
    const second = await client.appendToStream('orders-1', event(3))
    expect([first.nextExpectedRevision, second.nextExpectedRevision]).toEqual([2n, 3n])
    expect(second.position?.commit).toBeGreaterThan(first.position?.commit ?? 0n)
  })

  test('an event comes back as it was written, with its metadata, its time and its place', async () => {
    const { client } = await start()
    const written = event(7)
    const before = Date.now()
    await client.appendToStream('orders-1', written)
    for await (const { event: read } of client.readStream('orders-1')) {
      expect(read).toMatchObject({
        id: written.id,
        streamId: 'orders-1',
        type: 'counted',
        data: { number: 7 },
        metadata: { source: 7 },
        isJson: true,
        revision: 0n,
      })
      expect(read?.created.getTime()).toBeGreaterThanOrEqual(before)
      expect(read?.created.getTime()).toBeLessThanOrEqual(Date.now())
      expect(read?.position?.commit).toBeGreaterThan(0n)
    }
  })

  test('a writer that expects the wrong revision is told the right one, and stores nothing', async () => {
    const { client } = await start()
    await client.appendToStream('orders-1', events(2))
    const refusal = { type: ErrorType.WRONG_EXPECTED_VERSION, streamName: 'orders-1', actualVersion: 1n }
    const append = (expectedRevision: bigint | 'no_stream') =>
      client.appendToStream('orders-1', event(9), { expectedRevision })
    await expect(append(0n)).rejects.toMatchObject({ ...refusal, expectedVersion: 0n })
    await expect(append(5n)).rejects.toMatchObject({ ...refusal, expectedVersion: 5n })
    await expect(append('no_stream')).rejects.toMatchObject({ ...refusal, expectedVersion: 'no_stream' })
    await expect(
      client.appendToStream('orders-2', event(9), { expectedRevision: 'stream_exists' }),
    ).rejects.toMatchObject({ type: ErrorType.WRONG_EXPECTED_VERSION, actualVersion: 'no_stream' })
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1])
  })

  test('a writer that expects the right revision writes', async () => {
    const { client } = await start()
    await client.appendToStream('orders-1', event(0), { expectedRevision: 'no_stream' })
    await client.appendToStream('orders-1', event(1), { expectedRevision: 'stream_exists' })
    await client.appendToStream('orders-1', event(2), { expectedRevision: 1n })
    await client.appendToStream('orders-1', event(3), { expectedRevision: 'any' })
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1, 2, 3])
  })

  test('more than 1 MiB at once is refused with the limit', async () => {
    const { client } = await start()
    const large = { ...event(1), data: { text: 'x'.repeat(1024 * 1024) } }
    await expect(client.appendToStream('orders-1', large)).rejects.toMatchObject({
      type: ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED,
      maxAppendSize: 1024 * 1024,
    })
    const half = () => ({ ...event(1), data: { text: 'x'.repeat(500 * 1024) } })
    await client.appendToStream('orders-1', [half(), half()])
    await expect(client.appendToStream('orders-1', [half(), half(), half()])).rejects.toMatchObject({
      type: ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED,
    })
    await client.appendToStream('orders-1', event(2)) // the refusals left the connection as it was
  })

  test('bytes that are no JSON stay what they are', async () => {
    const { client } = await start()
    const bytes = Uint8Array.from([0, 255, 10, 123])
    const binary = { ...event(1), contentType: 'application/octet-stream' as const, data: bytes, metadata: bytes }
    await client.appendToStream('blobs', binary)
    for await (const { event: read } of client.readStream('blobs')) {
      expect(read).toMatchObject({ isJson: false })
      expect(Buffer.from(read?.data as unknown as Uint8Array)).toEqual(Buffer.from(bytes))
      expect(Buffer.from(read?.metadata as unknown as Uint8Array)).toEqual(Buffer.from(bytes))
    }
  })
})

describe('repeats', () => {
  test('the same events again store nothing and are answered as the first time', async () => {
    const { client } = await startAndConnect()
    const written = events(3)
    const first = await client.appendToStream('orders-1', written)
    await client.appendToStream('orders-1', event(3))
    expect(await client.appendToStream('orders-1', written)).toEqual(first)
    expect(await client.appendToStream('orders-1', written, { expectedRevision: 'no_stream' })).toEqual(first)
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1, 2, 3])
  })

  test('known events with a new one behind them are a conflict', async () => {
    const { client } = await startAndConnect()
    const written = events(2)
    await client.appendToStream('orders-1', written)
    for (const expectedRevision of ['any', 'no_stream'] as const)
      await expect(
        client.appendToStream('orders-1', [...written, event(2)], { expectedRevision }),
      ).rejects.toMatchObject({ type: ErrorType.WRONG_EXPECTED_VERSION })
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1])
  })

  test('an id the server has forgotten is stored again with any, and not with a revision', async () => {
    const { client } = await startAndConnect({ recentIds: 2 })
    const written = events(4)
    for (const one of written) await client.appendToStream('orders-1', one)
    await client.appendToStream('orders-1', written[3] ?? event(3))
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1, 2, 3])
    await client.appendToStream('orders-1', written[0] ?? event(0), { expectedRevision: 'no_stream' })
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1, 2, 3])
    await client.appendToStream('orders-1', written[0] ?? event(0))
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1, 2, 3, 0])
  })

  test('the same id in another stream is another event', async () => {
    const { client } = await startAndConnect()
    const written = event(1)
    await client.appendToStream('orders-1', written)
    await client.appendToStream('orders-2', written)
    expect(await numbersOf(client, 'orders-2')).toEqual([1])
  })
})

describe('reading a stream', () => {
  test('both ways, from anywhere, and no more than asked for', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('orders-1', events(5))
    await client.appendToStream('orders-2', event(99))
    const read = (options: Parameters<typeof numbersOf>[2]) => numbersOf(client, 'orders-1', options)
    expect(await read({})).toEqual([0, 1, 2, 3, 4])
    expect(await read({ fromRevision: 3n })).toEqual([3, 4])
    expect(await read({ fromRevision: 1n, maxCount: 2 })).toEqual([1, 2])
    expect(await read({ fromRevision: 7n })).toEqual([])
    expect(await read({ fromRevision: 'end' })).toEqual([])
    expect(await read({ fromRevision: 'end', direction: 'backwards' })).toEqual([4, 3, 2, 1, 0])
    expect(await read({ fromRevision: 'end', direction: 'backwards', maxCount: 1 })).toEqual([4])
    expect(await read({ fromRevision: 2n, direction: 'backwards' })).toEqual([2, 1, 0])
    expect(await read({ fromRevision: 70n, direction: 'backwards', maxCount: 2 })).toEqual([4, 3])
    expect(await read({ fromRevision: 'start', direction: 'backwards' })).toEqual([0])
  })

  test('a stream that nobody wrote to is not found', async () => {
    const { client } = await startAndConnect()
    await expect(numbersOf(client, 'nothing')).rejects.toMatchObject({ type: ErrorType.STREAM_NOT_FOUND })
  })
})

test('$all gives every stream in the order written, both ways, from any position', async () => {
  const { client } = await startAndConnect()
  for (const number of [0, 1, 2, 3]) await client.appendToStream(`orders-${number % 2}`, event(number))
  const read = async (options: Parameters<typeof client.readAll>[0]) => {
    const found = []
    for await (const { event } of client.readAll(options)) if (event) found.push(event)
    return found
  }
  const all = await read({})
  expect(all.map(numberOf)).toEqual([0, 1, 2, 3])
  const [, second, third] = all.map(({ position }) => position)
  if (second === undefined || third === undefined) throw new Error('four events were written')
  expect((await read({ fromPosition: third })).map(numberOf)).toEqual([2, 3])
  expect((await read({ fromPosition: second, maxCount: 2 })).map(numberOf)).toEqual([1, 2])
  expect((await read({ fromPosition: third, direction: 'backwards' })).map(numberOf)).toEqual([1, 0])
  expect((await read({ fromPosition: 'end', direction: 'backwards' })).map(numberOf)).toEqual([3, 2, 1, 0])
  expect(await read({ fromPosition: 'end' })).toEqual([])
  expect(await read({ fromPosition: START, direction: 'backwards' })).toEqual([])
})

test('a client that looks for a cluster finds this server as its leader', async () => {
  const { server, client } = await startAndConnect()
  const discovering = connect(`esdb://127.0.0.1:${server.port},127.0.0.1:${server.port}?tls=false`)
  await discovering.appendToStream('orders-1', event(1))
  expect(await numbersOf(client, 'orders-1')).toEqual([1])
})

test('ten thousand events appended in batches are read whole and in order, though the reader pauses', async () => {
  const { client } = await startAndConnect()
  for (let batch = 0; batch < 20; batch += 1) await client.appendToStream('orders-1', events(500))
  let next = 0n
  for await (const { event } of client.readStream('orders-1')) {
    expect(event?.revision).toBe(next)
    next += 1n
    if (next % 1000n === 0n) await numbersOf(client, 'orders-1', { maxCount: 100 })
  }
  expect(next).toBe(10_000n)
})
