import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ChainState, extendChain, startChain } from '@cloudapi2/audit'
import { encodeEvent, eventId, subjects } from '@cloudapi2/contracts'
import { startNats } from '@cloudapi2/embedded'
import { connectEventStore, jetStreamLog } from '@cloudapi2/event-log'
import { type EventStoreServer, startEventStoreServer } from '@cloudapi2/eventstore-server'
import {
  applyTopology,
  asServerPermissions,
  BUCKETS,
  connectNats,
  createPublisher,
  EVENTS,
  lookUpMessage,
  openKv,
  permissions,
} from '@cloudapi2/nats'
import { expect, test } from 'vitest'
import { eventually, json, postWebhook, startProduct, text, webhook } from './product.ts'

const ARCHIVER = fileURLToPath(new URL('../services/archiver/dist/main.js', import.meta.url))
const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const COMPANIES = ['a9242a58-4f5d-494c-8a74-45f8cee150e6', 'b0000000-0000-4000-8000-000000000002']
/** More of them with ARCHIVE_KILLS; each takes some seconds. */
const KILLS = Number(process.env.ARCHIVE_KILLS ?? 10)

type Log = Pick<ReturnType<typeof connectEventStore>, 'read'>
const eventsOf = async (log: Log, companyId: string) => {
  const events: { position: number; body: Uint8Array; id: string; type: string }[] = []
  for await (const { position, body } of log.read({ companyId })) {
    const { id, type } = JSON.parse(Buffer.from(body).toString()) as { id: string; type: string }
    events.push({ position, body, id, type })
  }
  return events
}
const lines = (events: { position: number; id: string }[]) => events.map(({ position, id }) => `${position} ${id}`)

/** Says of each anchor in the log whether a chain from the first event agrees; returns how many there are. */
const expectAnchorsToHold = (companyId: string, events: Awaited<ReturnType<typeof eventsOf>>): number => {
  let chain: ChainState = startChain(companyId)
  const heads = new Map<number, ChainState>()
  const told: number[] = []
  for (const event of events) {
    if (event.type === 'audit.anchored') {
      const { position, events: count, head } = JSON.parse(Buffer.from(event.body).toString()).data
      expect(heads.get(position)).toEqual({ position, events: count, head })
      told.push(position)
    }
    chain = extendChain(chain, event)
    heads.set(chain.position, chain)
  }
  expect(new Set(told).size).toBe(told.length)
  return told.length
}

test(`${KILLS} times SIGKILL of the archiver, two at once, replies lost, the archive restarted: nothing missing, double or out of order`, async () => {
  const server = await startNats({
    users: [
      { user: 'operator', password: 'o' },
      { user: 'archiver', password: 'a', permissions: asServerPermissions(permissions.archiver) },
    ],
  })
  const nats = await connectNats({ url: `nats://operator:o@127.0.0.1:${server.port}`, name: 'operator', log: quiet })
  await applyTopology(nats, { replicas: 1, eventsMaxAgeMs: 0 })
  const publisher = createPublisher(nats, { timeoutMs: 10_000 })
  const leases = await openKv(nats, BUCKETS.leases, quiet)
  const dir = mkdtempSync(join(tmpdir(), 'cloudapi2-archive-'))
  let eventStore: EventStoreServer = await startEventStoreServer({ dir, recentIds: 8 })
  const { port, url } = eventStore

  let output = ''
  const start = (): ChildProcess => {
    const child = spawn(process.execPath, [ARCHIVER], {
      env: {
        ...process.env,
        PORT: '0',
        NATS_URL: `nats://archiver:a@127.0.0.1:${server.port}`,
        EVENTSTORE_URL: url,
        ANCHOR_INTERVAL_MS: '100',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        output += chunk
      })
    return child
  }
  const kill = async (child: ChildProcess) => {
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  let isOver = false
  const isOverNow = () => isOver
  let stored = 0
  const traffic = (async () => {
    while (!isOverNow()) {
      const some = Array.from({ length: 20 }, async () => {
        const n = stored++
        const companyId = COMPANIES[n % 2] as string
        const channel = n % 7 === 0 ? 'system' : 'whatsapp'
        const id = eventId(companyId, 'message.created', `wamid.${n}`)
        const event = {
          specversion: '1.0' as const,
          id,
          source: '/webhook-gateway',
          type: 'message.created' as const,
          subject: `wamid.${n}`,
          time: '2026-11-24T08:15:30.000Z',
          companyid: companyId,
          channel,
          recordedtime: new Date().toISOString(),
          dataschema: 'message.created/1',
          data: { message_id: `wamid.${n}`, direction: 'inbound' as const, kind: 'text', status: 'received', raw: {} },
        }
        const subject = subjects.event(companyId, channel, event.type)
        await publisher.publish({ subject, msgId: id, data: encodeEvent(event) })
      })
      await Promise.all(some)
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  })()

  const children = [start(), start()]
  const linesOf = (event: string) => output.split(event).length - 1
  try {
    for (let n = 0; n < KILLS; n++) {
      // The moment of the kill is counted from when somebody is at work.
      const before = linesOf('archive.copying')
      await leases.delete('archiver') // nobody waits for the lease of a dead one here; a living one may lose it as well
      await eventually(() => linesOf('archive.copying') > before)
      if (n % 2 === 0) eventStore.faults.dropReplies(2)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 150))
      if (n % 10 === 9) {
        await eventStore.kill()
        eventStore = await startEventStoreServer({ dir, port, recentIds: 8 })
      }
      const victim = n % 2
      await kill(children[victim] as ChildProcess)
      children[victim] = start()
    }
    isOver = true
    await traffic
    eventStore.faults.dropReplies(0)
    await leases.delete('archiver')
    await eventually(async () => {
      const answer = await nats.request(subjects.archivePosition, '', 1_000).catch(() => undefined)
      return answer !== undefined && JSON.parse(Buffer.from(answer).toString()).caught_up === true
    }, 100)
    for (const companyId of COMPANIES)
      await eventually(() =>
        lookUpMessage(nats, EVENTS, { lastOn: subjects.event(companyId, 'system', 'audit.anchored') }),
      )
    await Promise.all(children.splice(0).map(kill))

    const archive = connectEventStore(url)
    const log = jetStreamLog({ nats, publisher })
    for (const companyId of COMPANIES) {
      const inLog = await eventsOf(log, companyId)
      const inArchive = await eventsOf(archive, companyId)
      // What came after the last question, anchors perhaps, is not there yet.
      const end = inArchive.at(-1)?.position ?? 0
      expect(lines(inArchive)).toEqual(lines(inLog.filter(({ position }) => position <= end)))
      expect(inArchive.filter(({ type }) => type !== 'audit.anchored')).toHaveLength(stored / 2)
      expect(expectAnchorsToHold(companyId, inLog)).toBeGreaterThan(0)
    }
    expect(output).not.toMatch(/permissions violation/i)
    await archive.close()
  } finally {
    isOver = true
    await traffic.catch(() => {})
    await Promise.all(children.map(kill))
    publisher.close()
    await nats.close()
    await eventStore.stop()
    await server.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}, 400_000)

test('the product with an archive: what a webhook brings is archived and anchored; without the archive all else goes on', async () => {
  const eventStore = await startEventStoreServer()
  const product = await startProduct({ EVENTSTORE_URL: eventStore.url, ANCHOR_INTERVAL_MS: '300' })
  const archive = connectEventStore(eventStore.url)
  try {
    const { urls, demo } = product.runtime()
    const post = (id: string) =>
      postWebhook(
        `${urls.webhook_gateway}/${demo.company_id}/webhook`,
        demo.app_secret,
        webhook(demo.phone_number_id, { messages: [text(id, 'to be kept')] }),
      )
    const archived = async (id: string) =>
      (await eventsOf(archive, demo.company_id)).some(({ body }) => Buffer.from(body).includes(id))

    expect(await post('wamid.first')).toBe(200)
    await eventually(() => archived('wamid.first'), 100)
    const anchored = await eventually(async () => {
      const events = await eventsOf(archive, demo.company_id)
      return events.some(({ type }) => type === 'audit.anchored') ? events : undefined
    }, 100)
    expect(expectAnchorsToHold(demo.company_id, anchored)).toBeGreaterThan(0)
    expect(await json(`${urls.archiver}/readyz`)).toMatchObject({ status: 200 })
    const metrics = await (await fetch(`${urls.archiver}/metrics`)).text()
    expect(metrics).toMatch(/^archiver_events_total\{service="archiver"\} [1-9]/m)

    eventStore.faults.unavailable(true)
    expect(await post('wamid.meanwhile')).toBe(200)
    await eventually(async () => (await json(`${urls.archiver}/readyz`)).status === 503, 100)
    for (const name of ['webhook_gateway', 'sender', 'projector', 'media', 'tenant_config'] as const)
      expect(await json(`${urls[name]}/readyz`)).toMatchObject({ status: 200 })
    eventStore.faults.unavailable(false)
    await eventually(() => archived('wamid.meanwhile'), 100)
    await eventually(async () => (await json(`${urls.archiver}/readyz`)).status === 200, 100)
  } finally {
    await archive.close()
    await product.stop()
    await eventStore.stop()
  }
})
