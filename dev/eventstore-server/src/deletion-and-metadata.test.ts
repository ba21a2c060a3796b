import { ErrorType } from '@eventstore/db-client'
import { describe, expect, test } from 'vitest'
import { event, events, numberOf, numbersOf, startAndConnect } from './eventstore-server.rig.ts'

describe('a stream deleted softly', () => {
  test('is not found, and begins anew with the revision after its last', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('orders-1', events(3))
    expect((await client.deleteStream('orders-1')).position?.commit).toBeGreaterThan(0n)
    await expect(numbersOf(client, 'orders-1')).rejects.toMatchObject({ type: ErrorType.STREAM_NOT_FOUND })
    const { nextExpectedRevision } = await client.appendToStream('orders-1', event(3), {
      expectedRevision: 'no_stream',
    })
    expect(nextExpectedRevision).toBe(3n)
    expect(await numbersOf(client, 'orders-1')).toEqual([3])
  })

  test('is there for nobody who expects it', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('orders-1', event(1))
    await client.deleteStream('orders-1')
    await expect(
      client.appendToStream('orders-1', event(2), { expectedRevision: 'stream_exists' }),
    ).rejects.toMatchObject({ type: ErrorType.STREAM_DELETED })
  })

  test('stays in $all', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('orders-1', event(1))
    await client.deleteStream('orders-1')
    const types: string[] = []
    for await (const { event } of client.readAll()) types.push(event?.type ?? '')
    expect(types).toEqual(['counted', '$metadata'])
  })

  test('revives when its metadata is written, from the next event on', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('orders-1', events(2))
    await client.deleteStream('orders-1')
    await client.setStreamMetadata('orders-1', { maxCount: 10 })
    expect((await client.getStreamMetadata('orders-1')).metadata).toEqual({ maxCount: 10, truncateBefore: 2 })
    await client.appendToStream('orders-1', event(2))
    expect(await numbersOf(client, 'orders-1')).toEqual([2])
  })
})

describe('a stream with a tombstone', () => {
  test('can be neither read nor written to, ever', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('orders-1', event(1))
    await client.tombstoneStream('orders-1', { expectedRevision: 0n })
    const deleted = { type: ErrorType.STREAM_DELETED, streamName: 'orders-1' }
    await expect(numbersOf(client, 'orders-1')).rejects.toMatchObject(deleted)
    await expect(client.appendToStream('orders-1', event(2))).rejects.toMatchObject(deleted)
    await expect(client.tombstoneStream('orders-1')).rejects.toMatchObject(deleted)
    await expect(client.setStreamMetadata('orders-1', { maxCount: 1 })).rejects.toMatchObject({
      type: ErrorType.STREAM_DELETED,
    })
  })

  test('answers so when appends are single calls, too', async () => {
    const { client } = await startAndConnect({ batchAppend: false })
    await client.tombstoneStream('orders-1')
    await expect(client.appendToStream('orders-1', event(2))).rejects.toMatchObject({
      type: ErrorType.STREAM_DELETED,
      streamName: 'orders-1',
    })
  })

  test('may have a name in any script', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('bestellung-ä-注文', event(1))
    expect(await numbersOf(client, 'bestellung-ä-注文')).toEqual([1])
    await client.tombstoneStream('bestellung-ä-注文')
    await expect(numbersOf(client, 'bestellung-ä-注文')).rejects.toMatchObject({ type: ErrorType.STREAM_DELETED })
  })

  test('shows in $all', async () => {
    const { client } = await startAndConnect()
    await client.tombstoneStream('orders-1')
    for await (const { event } of client.readAll())
      expect(event).toMatchObject({ streamId: 'orders-1', type: '$streamDeleted', revision: 9223372036854775807n })
  })
})

test('a deletion that expects another revision is refused', async () => {
  const { client } = await startAndConnect()
  await client.appendToStream('orders-1', events(2))
  const refusal = {
    type: ErrorType.WRONG_EXPECTED_VERSION,
    streamName: 'orders-1',
    expectedVersion: 0n,
    actualVersion: 1n,
  }
  await expect(client.deleteStream('orders-1', { expectedRevision: 0n })).rejects.toMatchObject(refusal)
  await expect(client.tombstoneStream('orders-1', { expectedRevision: 0n })).rejects.toMatchObject(refusal)
  expect(await numbersOf(client, 'orders-1')).toEqual([0, 1])
})

describe('metadata', () => {
  test('is kept, and the last one counts', async () => {
    const { client } = await startAndConnect()
    expect(await client.getStreamMetadata('orders-1')).toEqual({ streamName: 'orders-1' })
    await client.setStreamMetadata('orders-1', { maxCount: 3, owner: 'billing' })
    await client.setStreamMetadata('orders-1', { maxCount: 2, owner: 'billing' })
    expect((await client.getStreamMetadata('orders-1')).metadata).toEqual({ maxCount: 2, owner: 'billing' })
    expect(await numbersOfTypes(client, '$$orders-1')).toEqual(['$metadata'])
  })

  test('leaves the latest events, those from a revision on, or those that are young', async () => {
    const { client } = await startAndConnect()
    await client.appendToStream('orders-1', events(5))
    await client.setStreamMetadata('orders-1', { maxCount: 2 })
    expect(await numbersOf(client, 'orders-1')).toEqual([3, 4])
    await client.setStreamMetadata('orders-1', { truncateBefore: 4 })
    expect(await numbersOf(client, 'orders-1')).toEqual([4])
    await client.setStreamMetadata('orders-1', { maxAge: 3600 })
    expect(await numbersOf(client, 'orders-1', { direction: 'backwards', fromRevision: 'end' })).toEqual([
      4, 3, 2, 1, 0,
    ])
    await client.setStreamMetadata('orders-1', { maxAge: -3600 }) // younger than an hour from now: none is
    expect(await numbersOf(client, 'orders-1')).toEqual([])
    const all: number[] = []
    for await (const { event } of client.readAll()) if (event?.type === 'counted') all.push(numberOf(event))
    expect(all).toEqual([0, 1, 2, 3, 4])
  })
})

const numbersOfTypes = async (client: Awaited<ReturnType<typeof startAndConnect>>['client'], stream: string) => {
  const types: string[] = []
  for await (const { event } of client.readStream(stream)) types.push(event?.type ?? '')
  return types
}
