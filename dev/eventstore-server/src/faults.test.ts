import { ErrorType } from '@eventstore/db-client'
import { describe, expect, test } from 'vitest'
import { event, events, numbersOf, startAndConnect } from './eventstore-server.rig.ts'

const isUnavailable = { type: ErrorType.UNAVAILABLE }

describe.each([
  ['in batches', true],
  ['call by call', false],
])('a dropped reply, appending %s', (_name, batchAppend) => {
  test('leaves the events stored; the same append again stores nothing more', async () => {
    const { client, server } = await startAndConnect({ batchAppend })
    await client.appendToStream('orders-1', event(0))
    server.faults.dropReplies(1)
    const written = [event(1), event(2)]
    await expect(client.appendToStream('orders-1', written)).rejects.toMatchObject(isUnavailable)
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1, 2])
    expect((await client.appendToStream('orders-1', written)).nextExpectedRevision).toBe(2n)
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1, 2])
  })

  test('leaves a duplicate, if the id is forgotten by the time of the second append', async () => {
    const { client, server } = await startAndConnect({ batchAppend, recentIds: 1 })
    server.faults.dropReplies(1)
    const written = event(1)
    await expect(client.appendToStream('orders-1', written)).rejects.toMatchObject(isUnavailable)
    await client.appendToStream('orders-2', event(0))
    await client.appendToStream('orders-1', written)
    expect(await numbersOf(client, 'orders-1')).toEqual([1, 1])
  })
})

test('as many replies are dropped as were asked for', async () => {
  const { client, server } = await startAndConnect()
  await client.appendToStream('orders-1', event(0))
  server.faults.dropReplies(2)
  const append = () => client.appendToStream('orders-1', event(1))
  await expect(append()).rejects.toMatchObject(isUnavailable)
  await expect(append()).rejects.toMatchObject(isUnavailable)
  expect((await append()).nextExpectedRevision).toBe(3n)
})

test('a server that is away refuses everything and cuts what is open, until it is back', async () => {
  const { client, server } = await startAndConnect()
  await client.appendToStream('orders-1', event(0))
  const subscription = client.subscribeToStream('orders-1')
  const failed = new Promise((resolve) => subscription.once('error', resolve))
  await new Promise((resolve) => subscription.once('data', resolve))
  server.faults.unavailable(true)
  expect(await failed).toMatchObject(isUnavailable)
  // Asking what the server can do fails as gRPC's own error, before the client makes it one of its kinds.
  await expect(client.appendToStream('orders-1', event(1))).rejects.toMatchObject({ code: 14 })
  await expect(numbersOf(client, 'orders-1')).rejects.toMatchObject(isUnavailable)
  await expect(client.deleteStream('orders-1')).rejects.toMatchObject(isUnavailable)
  server.faults.unavailable(false)
  await client.appendToStream('orders-1', event(2))
  expect(await numbersOf(client, 'orders-1')).toEqual([0, 2])
})

describe.each([
  ['in batches', true],
  ['call by call', false],
])('a delay, appending %s', (_name, batchAppend) => {
  test('holds the answer back', async () => {
    const { client, server } = await startAndConnect({ batchAppend })
    await client.appendToStream('orders-1', event(0))
    server.faults.delay(150)
    const started = performance.now()
    await client.appendToStream('orders-1', event(1))
    expect(performance.now() - started).toBeGreaterThan(140)
  })

  test('longer than the deadline ends the append unanswered, its events stored', async () => {
    const { client, server } = await startAndConnect({ batchAppend })
    await client.appendToStream('orders-1', event(0))
    server.faults.delay(60_000)
    await expect(client.appendToStream('orders-1', event(1), { deadline: 200 })).rejects.toMatchObject({
      type: ErrorType.DEADLINE_EXCEEDED,
    })
    server.faults.delay(0)
    expect(await numbersOf(client, 'orders-1')).toEqual([0, 1])
  })
})

test('a reader that hangs up early leaves the server serving', async () => {
  const { client } = await startAndConnect()
  for (let batch = 0; batch < 4; batch += 1) await client.appendToStream('orders-1', events(500))
  for await (const _ of client.readStream('orders-1')) break
  expect(await numbersOf(client, 'orders-1', { maxCount: 2 })).toEqual([0, 1])
})
