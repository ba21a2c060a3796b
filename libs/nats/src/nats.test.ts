import { startNats } from '@cloudapi2/embedded'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addressOf, connectNats, type Nats, type NatsLog } from './connection.ts'
import { consumeBatches, consumeEach, type Delivery } from './consumer.ts'
import { KvConflict, openKv } from './kv.ts'
import { ack, dead, type Outcome } from './outcome.ts'
import { asServerPermissions, permissions, SERVICES } from './permissions.ts'
import { createPublisher, PublishFailed } from './publisher.ts'
import { applyTopology, differs, requireTopology, streams } from './topology.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const silent: NatsLog = { info: () => {}, warn: () => {}, error: () => {} }
const options = { replicas: 1, eventsMaxAgeMs: 0 }

/** Waits for a fact. The test's own time-out ends it. */
const until = async (fact: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await fact())) await new Promise((resolve) => setTimeout(resolve, 10))
}

let server: Awaited<ReturnType<typeof startNats>>
let nats: Nats
let names = 0
const unique = (prefix: string) => `${prefix}${process.pid}${names++}`

beforeAll(async () => {
  server = await startNats({ syncAlways: true })
  nats = await connectNats({ url: server.url, name: 'test', log: silent })
  await applyTopology(nats, options)
})
afterAll(async () => {
  await nats?.close()
  await server?.stop()
})

const event = (n: number | string) => ({
  subject: `evt.${COMPANY}.whatsapp.message.created`,
  msgId: `m-${n}`,
  data: JSON.stringify({ n }),
})
const storedCount = async (stream = 'EVENTS') =>
  (await (await nats.raw.jetstreamManager()).streams.info(stream)).state.messages

describe('the address', () => {
  test('of a server carries user and password apart', () => {
    expect(addressOf('nats://sender:p%40ss@a:4222,nats://b')).toEqual({
      servers: ['a:4222', 'b:4222'],
      user: 'sender',
      pass: 'p@ss',
    })
  })
  test('without credentials has none', () => expect(addressOf('nats://a')).toEqual({ servers: ['a:4222'] }))
})

describe('the topology', () => {
  test('is the same after a second time', async () => {
    const before = await storedCount()
    await applyTopology(nats, options)
    expect(await storedCount()).toBe(before)
  })
  test('is brought to what this version wants', async () => {
    const manager = await nats.raw.jetstreamManager()
    const { config } = await manager.streams.info('DEADLETTERS')
    await manager.streams.update('DEADLETTERS', { ...config, max_age: 1_000 * 1e9 })
    await applyTopology(nats, options)
    expect((await manager.streams.info('DEADLETTERS')).config.max_age).toBe(90 * 86_400 * 1e9)
  })
  test('keeps events for ever, undeletable, compressed, and refuses repeats within two minutes', async () => {
    const { config } = await (await nats.raw.jetstreamManager()).streams.info('EVENTS')
    expect(differs(config, streams(options)[0] as object)).toBe(false)
    expect(config).toMatchObject({ deny_delete: true, compression: 's2', retention: 'limits', duplicate_window: 120e9 })
  })
})

describe('the publisher', () => {
  test('resolves when the message is stored, and a repeat is stored once', async () => {
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    const before = await storedCount()
    await Promise.all([
      publisher.publish(event('once')),
      publisher.publish(event('twice')),
      publisher.publish(event('twice')),
    ])
    expect(await storedCount()).toBe(before + 2)
    expect(publisher.inFlight()).toBe(0)
    publisher.close()
  })
  test('rejects when no stream takes the subject', async () => {
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    const lost = publisher.publish({ subject: 'nobody.listens', msgId: 'x', data: '{}' })
    await expect(lost).rejects.toThrow('no stream takes this subject')
    publisher.close()
  })
  test('rejects what is larger than the server takes', async () => {
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    const large = publisher.publish({ ...event('large'), data: Buffer.alloc(nats.maxPayloadBytes() + 1) })
    await expect(large).rejects.toBeInstanceOf(PublishFailed)
    publisher.close()
  })
  test('keeps its promise over SIGKILL of the server: what resolved is there, what did not rejects at once', async () => {
    const publisher = createPublisher(nats, { timeoutMs: 10_000 })
    const confirmed: string[] = []
    let failed = 0
    let next = 0
    let isOver = false
    const flood = async () => {
      while (!isOver) {
        const id = `kill-${next++}`
        await publisher.publish(event(id)).then(
          () => confirmed.push(id),
          async () => {
            failed++
            await until(() => nats.isConnected())
          },
        )
      }
    }
    const floods = Array.from({ length: 32 }, flood)
    await until(() => confirmed.length > 200)
    await server.kill()
    await until(() => !nats.isConnected())
    await expect(publisher.publish(event('while-away'))).rejects.toThrow('no connection')
    await server.restart()
    const after = confirmed.length
    await until(() => confirmed.length > after + 200)
    isOver = true
    await Promise.all(floods)
    publisher.close()
    expect(failed).toBeGreaterThan(0)

    const stored = new Set<string>()
    const subscription = await nats.raw.jetstream().consumers.get('EVENTS')
    const info = await (await nats.raw.jetstreamManager()).streams.info('EVENTS')
    for await (const message of await subscription.consume()) {
      stored.add((JSON.parse(message.string()) as { n: string }).n)
      if (message.seq === info.state.last_seq) break
    }
    expect(confirmed.filter((id) => !stored.has(id))).toEqual([])
  })
})

describe('the consumer loop', () => {
  const consumer = () => ({ nats, log: silent, service: 'sender', stream: 'COMMANDS' })
  const command = (subject: string, n: number | string) => ({ subject, msgId: `${subject}-${n}`, data: String(n) })
  const text = (delivery: Delivery) => Buffer.from(delivery.data).toString()

  test('gives each message to the handler and takes it off the queue', async () => {
    const subject = `cmd.${unique('each')}`
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    await Promise.all([1, 2, 3].map((n) => publisher.publish(command(subject, n))))
    const seen: string[] = []
    const running = await consumeEach({
      ...consumer(),
      publisher,
      durable: unique('each'),
      filterSubjects: [subject],
      concurrency: 2,
      handler: async (delivery) => {
        seen.push(text(delivery))
        return ack
      },
    })
    await until(() => seen.length === 3)
    await until(async () => (await storedCount('COMMANDS')) === 0)
    expect(seen.sort()).toEqual(['1', '2', '3'])
    await running.stop()
    publisher.close()
  })

  test('tries again after a failure that may pass, counting the deliveries', async () => {
    const subject = `cmd.${unique('retry')}`
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    await publisher.publish(command(subject, 1))
    const counts: number[] = []
    const running = await consumeEach({
      ...consumer(),
      publisher,
      durable: unique('retry'),
      filterSubjects: [subject],
      concurrency: 1,
      handler: async (delivery) => {
        counts.push(delivery.deliveryCount)
        if (counts.length < 3) throw new Error('not yet')
        return ack
      },
    })
    await until(() => counts.length === 3)
    expect(counts).toEqual([1, 2, 3])
    await running.stop()
    publisher.close()
  })

  test('keeps a dead letter whole, with its reason, once', async () => {
    const subject = `cmd.send.${COMPANY}.${unique('dead')}`
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    await publisher.publish(command(subject, 'poison'))
    const running = await consumeEach({
      ...consumer(),
      publisher,
      durable: unique('dead'),
      filterSubjects: [subject],
      concurrency: 1,
      handler: async () => dead({ code: 'POISON', reason: 'cannot be read\nat all' }),
    })
    await until(async () => (await storedCount('DEADLETTERS')) === 1)
    const manager = await nats.raw.jetstreamManager()
    const letter = await manager.streams.getMessage('DEADLETTERS', { last_by_subj: `dlq.sender.${COMPANY}` })
    expect(Buffer.from(letter.data).toString()).toBe('poison')
    expect(letter.header.get('Reason')).toBe('cannot be read at all')
    expect(letter.header.get('Code')).toBe('POISON')
    expect(letter.header.get('Stream')).toBe('COMMANDS')
    expect(letter.header.get('Subject')).toBe(subject)
    await until(async () => (await storedCount('COMMANDS')) === 0)
    await running.stop()
    publisher.close()
  })

  test('hands back at a stop what nobody has begun, and finishes what somebody has', async () => {
    const subject = `cmd.${unique('stop')}`
    const durable = unique('stop')
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    await Promise.all([1, 2, 3, 4].map((n) => publisher.publish(command(subject, n))))
    let finish: () => void = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    const done: string[] = []
    const one = { ...consumer(), publisher, durable, filterSubjects: [subject], concurrency: 1 }
    const first = await consumeEach({
      ...one,
      handler: async (delivery) => {
        await finished
        done.push(text(delivery))
        return ack
      },
    })
    await until(() => first.inHand() === 1)
    const stopped = first.stop()
    finish()
    await stopped
    expect(done).toHaveLength(1)
    const second = await consumeEach({
      ...one,
      handler: async (delivery) => {
        done.push(text(delivery))
        return ack
      },
    })
    await until(() => done.length === 4)
    expect([...done].sort()).toEqual(['1', '2', '3', '4'])
    await second.stop()
    publisher.close()
  })

  test('works off every message once its server is back, with nobody starting it again', async () => {
    const subject = `cmd.${unique('away')}`
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    const seen = new Set<string>()
    const running = await consumeBatches({
      ...consumer(),
      publisher,
      durable: unique('away'),
      filterSubjects: [subject],
      maxBatch: 10,
      handler: async (deliveries) => {
        for (const delivery of deliveries) seen.add(text(delivery))
        return deliveries.map((): Outcome => ack)
      },
    })
    await publisher.publish(command(subject, 'before'))
    await until(() => seen.size === 1)
    await server.kill()
    await until(() => !nats.isConnected())
    await server.restart()
    await until(() => nats.isConnected())
    await Promise.all(Array.from({ length: 100 }, (_, n) => publisher.publish(command(subject, n))))
    await until(() => seen.size === 101)
    await running.stop()
    publisher.close()
  })

  test('takes over a consumer that another version made, with its place in the stream', async () => {
    const subject = `cmd.${unique('upgrade')}`
    const durable = unique('upgrade')
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    const seen: string[] = []
    const options = { ...consumer(), publisher, durable, filterSubjects: [subject], concurrency: 1 }
    const handler = async (delivery: Delivery) => {
      seen.push(text(delivery))
      return ack
    }
    await publisher.publish(command(subject, 1))
    const old = await consumeEach({ ...options, handler })
    await until(() => seen.length === 1)
    await old.stop()
    const young = await consumeEach({
      ...options,
      filterSubjects: [subject, `${subject}.more`],
      ackWaitMs: 5_000,
      handler,
    })
    await publisher.publish(command(`${subject}.more`, 2))
    await until(() => seen.length === 2)
    expect(seen).toEqual(['1', '2'])
    await young.stop()
    publisher.close()
  })

  test('tries a batch again from memory for as long as its handler throws', async () => {
    const subject = `cmd.${unique('batch')}`
    const publisher = createPublisher(nats, { timeoutMs: 5_000 })
    await Promise.all([1, 2, 3].map((n) => publisher.publish(command(subject, n))))
    const counts: number[] = []
    let tries = 0
    const running = await consumeBatches({
      ...consumer(),
      publisher,
      durable: unique('batch'),
      filterSubjects: [subject],
      maxBatch: 10,
      handler: async (deliveries) => {
        if (++tries < 4) throw new Error('the database is away')
        counts.push(...deliveries.map((delivery) => delivery.deliveryCount))
        return deliveries.map((): Outcome => ack)
      },
    })
    await until(() => counts.length === 3)
    expect(counts).toEqual([1, 1, 1])
    await running.stop()
    publisher.close()
  })
})

describe('a bucket', () => {
  test('lets one of two writers win', async () => {
    const kv = await openKv(nats, 'send-ledger', silent)
    const key = unique('k')
    const revision = await kv.create(key, 'a')
    await expect(kv.create(key, 'b')).rejects.toBeInstanceOf(KvConflict)
    await kv.update(key, 'c', revision)
    await expect(kv.update(key, 'd', revision)).rejects.toBeInstanceOf(KvConflict)
    expect(Buffer.from((await kv.get(key))?.value ?? []).toString()).toBe('c')
    await kv.delete(key)
    expect(await kv.get(key)).toBeUndefined()
  })

  test('tells a watcher everything there is, every change, and goes on after the server was away', async () => {
    const kv = await openKv(nats, 'tenants', silent)
    const key = unique('w')
    await kv.put(key, 'first')
    const seen = new Map<string, string | undefined>()
    let snapshots = 0
    const stop = await kv.watch({
      onValue: (name, value) => seen.set(name, value && Buffer.from(value.value).toString()),
      onCurrent: () => snapshots++,
    })
    await until(() => snapshots === 1)
    expect(seen.get(key)).toBe('first')
    await kv.put(key, 'second')
    await until(() => seen.get(key) === 'second')
    await server.kill()
    await until(() => !nats.isConnected())
    await server.restart()
    await until(() => snapshots === 2)
    await kv.put(key, 'third')
    await until(() => seen.get(key) === 'third')
    await kv.delete(key)
    await until(() => seen.get(key) === undefined)
    stop()
  })
})

describe('a service', () => {
  test.each(SERVICES)('%s may not do what is none of its business', async (service) => {
    const users = [
      { user: 'operator', password: 'operator' },
      {
        user: service,
        password: 'p',
        permissions: asServerPermissions(permissions[service]),
      },
    ]
    const guarded = await startNats({ users })
    const url = (user: string, password: string) => `nats://${user}:${password}@127.0.0.1:${guarded.port}`
    const operator = await connectNats({ url: url('operator', 'operator'), name: 'operator', log: silent })
    await applyTopology(operator, options)
    const errors: string[] = []
    const log = { ...silent, error: (line: Record<string, unknown>) => void errors.push(String(line.reason)) }
    const own = await connectNats({ url: url(service, 'p'), name: service, log })
    await requireTopology(own, options)
    own.subscribe('_INBOX.operator.>', () => {})
    own.publish('$JS.API.STREAM.DELETE.EVENTS', '')
    await until(() => errors.length >= 2)
    expect(errors.join()).toMatch(/permissions violation/i)
    await own.close()
    await operator.close()
    await guarded.stop()
  })
})
