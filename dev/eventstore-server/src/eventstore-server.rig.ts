import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EventStoreDBClient, jsonEvent, type ReadRevision } from '@eventstore/db-client'
import { afterEach } from 'vitest'
import { type EventStoreServer, type EventStoreServerOptions, startEventStoreServer } from './server.app.ts'

const cleanups: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export const startServer = async (options: EventStoreServerOptions = {}): Promise<EventStoreServer> => {
  const server = await startEventStoreServer(options)
  cleanups.push(server.stop)
  return server
}

/** The genuine client. */
export const connect = (url: string): EventStoreDBClient => {
  const client = EventStoreDBClient.connectionString(url)
  cleanups.push(() => client.dispose())
  return client
}

export const startAndConnect = async (options: EventStoreServerOptions = {}) => {
  const server = await startServer(options)
  return { server, client: connect(server.url) }
}

export const temporaryFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'eventstore-server-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const event = (number: number, type = 'counted') =>
  jsonEvent({ id: randomUUID(), type, data: { number }, metadata: { source: number } })

export const events = (count: number, type = 'counted') =>
  Array.from({ length: count }, (_, number) => event(number, type))

/** The numbers of a stream's events, in the order read. */
export const numbersOf = async (
  client: EventStoreDBClient,
  stream: string,
  options: { fromRevision?: ReadRevision; maxCount?: number; direction?: 'forwards' | 'backwards' } = {},
): Promise<number[]> => {
  const numbers: number[] = []
  for await (const { event } of client.readStream(stream, options)) numbers.push(numberOf(event))
  return numbers
}

export const numberOf = (event: { data: unknown } | undefined): number => {
  if (event === undefined) throw new Error('no link is written here')
  return (event.data as { number: number }).number
}
