import {
  type AllStreamSubscription,
  ErrorType,
  eventTypeFilter,
  type Position,
  type StreamSubscription,
  streamNameFilter,
} from '@eventstore/db-client'
import { expect, test } from 'vitest'
import { event, events, numberOf, startAndConnect } from './eventstore-server.rig.ts'

/** The next so many events a subscription gives. */
const take = async (subscription: StreamSubscription | AllStreamSubscription, count: number) => {
  const taken: { streamId: string; type: string; number: number; position?: Position }[] = []
  for await (const { event } of subscription as AllStreamSubscription) {
    if (event === undefined) throw new Error('no link is written here')
    taken.push({ streamId: event.streamId, type: event.type, number: numberOf(event), position: event.position })
    if (taken.length === count) break
  }
  return taken
}
const numbers = (taken: { number: number }[]) => taken.map(({ number }) => number)
const emitted = (
  subscription: StreamSubscription | AllStreamSubscription,
  name: 'confirmation' | 'caughtUp' | 'error',
) =>
  new Promise<unknown>((resolve) => {
    ;(subscription as AllStreamSubscription).once(name as 'error', resolve)
  })

test('a subscription to a stream gives what is there, then what comes, without a gap', async () => {
  const { client } = await startAndConnect()
  await client.appendToStream('orders-1', events(3))
  const subscription = client.subscribeToStream('orders-1')
  const taken = take(subscription, 6)
  await emitted(subscription, 'caughtUp')
  await client.appendToStream('orders-2', event(50))
  for (const number of [3, 4, 5]) await client.appendToStream('orders-1', event(number))
  expect(numbers(await taken)).toEqual([0, 1, 2, 3, 4, 5])
})

test('a subscription may wait for a stream that is not there yet', async () => {
  const { client } = await startAndConnect()
  const subscription = client.subscribeToStream('later')
  const taken = take(subscription, 1)
  await emitted(subscription, 'caughtUp')
  await client.appendToStream('later', event(1))
  expect(numbers(await taken)).toEqual([1])
})

test('a subscription resumes behind the revision it is given, and from the end sees only what comes', async () => {
  const { client } = await startAndConnect()
  await client.appendToStream('orders-1', events(3))
  expect(numbers(await take(client.subscribeToStream('orders-1', { fromRevision: 1n }), 1))).toEqual([2])
  const fromEnd = client.subscribeToStream('orders-1', { fromRevision: 'end' })
  const taken = take(fromEnd, 1)
  await emitted(fromEnd, 'caughtUp')
  await client.appendToStream('orders-1', event(3))
  expect(numbers(await taken)).toEqual([3])
})

test('a subscription to $all resumes behind the position it is given', async () => {
  const { client } = await startAndConnect()
  for (const number of [0, 1, 2, 3]) await client.appendToStream(`orders-${number % 2}`, event(number))
  const first = await take(client.subscribeToAll(), 2)
  expect(numbers(first)).toEqual([0, 1])
  const fromPosition = first[1]?.position ?? 'start'
  const rest = client.subscribeToAll({ fromPosition })
  const taken = take(rest, 3)
  await emitted(rest, 'caughtUp')
  await client.appendToStream('orders-0', event(4))
  expect(numbers(await taken)).toEqual([2, 3, 4])
})

test.each([
  ['stream names by prefix', streamNameFilter({ prefixes: ['invoices-', 'orders-'] }), [0, 1]],
  ['stream names by regular expression', streamNameFilter({ regex: '^orders-\\d+$' }), [0]],
  ['event types by prefix', eventTypeFilter({ prefixes: ['paid.'] }), [1, 2]],
  ['event types by regular expression', eventTypeFilter({ regex: 'late$' }), [2]],
])('a filter on %s lets through what it names', async (_name, filter, expected) => {
  const { client } = await startAndConnect()
  await client.appendToStream('orders-1', event(0, 'placed'))
  await client.appendToStream('invoices-1', event(1, 'paid.at.once'))
  await client.appendToStream('reminders-1', event(2, 'paid.late'))
  const subscription = client.subscribeToAll({ filter })
  const taken = take(subscription, expected.length)
  expect(numbers(await taken)).toEqual(expected)
})

test('a filtered subscription reports checkpoints of what it passed over, and resumes from one', async () => {
  const { client } = await startAndConnect()
  await client.appendToStream('noise', events(25, 'noise'))
  await client.appendToStream('orders-1', event(1))
  const checkpoints: Position[] = []
  const filter = streamNameFilter({
    prefixes: ['orders-'],
    maxSearchWindow: 5,
    checkpointInterval: 2,
    checkpointReached: (_subscription, position) => {
      checkpoints.push(position)
    },
  })
  expect(numbers(await take(client.subscribeToAll({ filter }), 1))).toEqual([1])
  expect(checkpoints).toHaveLength(2) // after 10 and 20 of the 25
  const [, last] = checkpoints
  if (last === undefined) throw new Error('a checkpoint was reported')
  const resumed: string[] = []
  for await (const { event } of client.subscribeToAll({ fromPosition: last })) {
    resumed.push(event?.streamId ?? '')
    if (resumed.length === 6) break
  }
  expect(resumed).toEqual(['noise', 'noise', 'noise', 'noise', 'noise', 'orders-1'])
})

test('a subscription to a stream ends with an error when the stream is deleted for good', async () => {
  const { client } = await startAndConnect()
  await client.appendToStream('orders-1', event(1))
  const subscription = client.subscribeToStream('orders-1')
  const failed = emitted(subscription, 'error')
  subscription.resume()
  await emitted(subscription, 'caughtUp')
  await client.tombstoneStream('orders-1')
  expect(await failed).toMatchObject({ type: ErrorType.STREAM_DELETED })
})
