import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, type Product, postWebhook, type Runtime, startProduct, status, text, webhook } from './product.ts'

const CLI = fileURLToPath(new URL('../cli/dist/main.js', import.meta.url))
const TABLES = {
  external_messages: 'company_id, last_message_uid',
  'gateway.message_states': 'company_id, message_id',
  'gateway.message_details': 'company_id, message_id',
  'gateway.message_timeline': 'company_id, message_id, event_id',
  'gateway.contacts': 'company_id, contact_key',
  'gateway.sends': 'company_id, command_id',
}

let product: Product
let runtime: Runtime
const ids = Array.from({ length: 40 }, () => `wamid.${randomUUID()}`)

beforeAll(async () => {
  product = await startProduct()
  runtime = product.runtime()
  await receive({ messages: ids.map((id, i) => text(id, `Hola ${i}`)) })
  await receive({ statuses: ids.slice(0, 10).map((id) => status(id, 'read')) })
  await eventually(async () => (await product.database.query('select from external_messages')).rowCount === ids.length)
  await caughtUp()
})
afterAll(() => product?.stop())

const receive = (value: Parameters<typeof webhook>[1]) =>
  postWebhook(
    `${runtime.urls.webhook_gateway}/${runtime.demo.company_id}/webhook`,
    runtime.demo.app_secret,
    webhook(runtime.demo.phone_number_id, value),
  )

const caughtUp = () =>
  eventually(async () => {
    const manager = await product.nats.jetstreamManager()
    const { num_pending, num_ack_pending } = await manager.consumers.info('EVENTS', 'projector')
    return num_pending === 0 && num_ack_pending === 0
  })

const everything = async () => {
  const all: Record<string, unknown[]> = {}
  for (const [table, key] of Object.entries(TABLES))
    all[table] = (await product.database.query(`select * from ${table} order by ${key}`)).rows
  return all
}

const start = (args: string[]) => {
  const child = spawn(process.execPath, [CLI, 'rebuild', ...args], {
    env: { ...process.env, NATS_URL: undefined, DATABASE_URL: undefined, DATA_DIR: product.dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', (chunk) => {
    said.out += chunk
  })
  child.stderr.on('data', (chunk) => {
    said.err += chunk
  })
  const done = new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, ...said })),
  )
  return { child, done }
}
const rebuild = (...args: string[]) => start(args).done

describe('cloudapi rebuild --check', () => {
  test('of an installation that is well ends with 0', async () => {
    expect(await rebuild('--check')).toMatchObject({ code: 0, out: '', err: expect.stringContaining('every row is') })
  })
  test('names a corrupted row and its column, and a rebuild mends it', async () => {
    const before = await everything()
    const id = ids[3] as string
    await product.database.query(
      `update external_messages set status = 'failed', message = 'forged' where last_message_uid = $1`,
      [id],
    )
    const checked = await rebuild('--check', '-o', 'json')
    expect(checked.code).toBe(1)
    expect(JSON.parse(checked.out)).toMatchObject([
      { table: 'external_messages', key: [id], kind: 'differs', column: 'message', is_hidden: true, live: null },
      {
        table: 'external_messages',
        key: [id],
        kind: 'differs',
        column: 'status',
        live: 'failed',
        expected: 'received',
      },
    ])
    expect(checked.out + checked.err).not.toMatch(/forged|Hola|34608684495/)
    const table = await rebuild('--check')
    expect(table.out).toMatch(
      new RegExp(`external_messages +${runtime.demo.company_id} +${id} +differs +message +\\(not shown\\)`),
    )
    expect(await rebuild()).toMatchObject({ code: 0, err: expect.stringContaining('1 rows replaced') })
    expect(await everything()).toEqual(before)
  })
  test('waits for nobody who does not come, and says so', async () => {
    // Stopped in the middle of its work: what it has in hand is neither done nor given back.
    const projector = product.runtime().pids.projector as number
    process.kill(projector, 'SIGSTOP')
    await receive({ messages: [text(`wamid.${randomUUID()}`, 'Hola')] })
    const manager = await product.nats.jetstreamManager()
    await eventually(async () => (await manager.consumers.info('EVENTS', 'projector')).num_ack_pending > 0)
    const refused = await rebuild('--check', '--drain', '1')
    process.kill(projector, 'SIGCONT')
    expect(refused).toMatchObject({ code: 4, err: expect.stringContaining('CONSUMER_NOT_DRAINED') })
    await caughtUp()
  })
  test('of a company that the log does not know ends with 3', async () => {
    expect(await rebuild('--check', '--company', randomUUID())).toMatchObject({ code: 3, out: '' })
  })
  test('explains itself', async () => {
    expect(await rebuild('--help')).toMatchObject({ code: 0, out: expect.stringContaining('Examples:') })
  })
})

describe('cloudapi rebuild', () => {
  test('brings a lost read model back as it was', async () => {
    const before = await everything()
    await product.database.query(
      `drop table gateway.message_timeline cascade; truncate external_messages, gateway.message_states`,
    )
    expect((await rebuild()).code).toBe(0)
    expect(await everything()).toEqual(before)
    expect((await rebuild('--check')).code).toBe(0)
  })

  test('loses nothing of the traffic that goes on, and checks find nothing wrong meanwhile', async () => {
    let isOver = false
    let sent = 0
    const traffic = async () => {
      while (!isOver) {
        const some = Array.from({ length: 5 }, () => `wamid.${randomUUID()}`)
        const body = {
          messages: some.map((id) => text(id, 'live')),
          statuses: some.map((id) => status(id, 'delivered')),
        }
        if ((await receive(body)) === 200) sent += some.length
        // A steady rate: as fast as it goes would leave nothing of the machine for what is tested.
        await new Promise((resolve) => setTimeout(resolve, 40))
      }
    }
    const before = (await product.database.query('select from external_messages')).rowCount as number
    const running = traffic()
    const results: { code: number | null; out: string; err: string }[] = []
    for (const args of [['--check'], [], ['--check']]) results.push(await rebuild(...args))
    isOver = true
    await running
    for (const result of results) expect(result, result.err).toMatchObject({ code: 0 })
    await eventually(
      async () => (await product.database.query('select from external_messages')).rowCount === before + sent,
    )
    await caughtUp()
    expect(await rebuild('--check')).toMatchObject({ code: 0, out: '' })
  }, 300_000)

  test('killed at any moment leaves the rows as they were or mended, and never something between', async () => {
    await caughtUp()
    const whole = await everything()
    await product.database.query(
      `update external_messages set status = 'forged'; update gateway.contacts set name = 'forged'`,
    )
    const damaged = await everything()
    for (let i = 0; i < 8; i++) {
      const { child, done } = start([])
      await eventually(async () => {
        const { rowCount } = await product.database.query(
          `select from pg_stat_activity where application_name = 'cloudapi rebuild'`,
        )
        return (rowCount ?? 0) > 0 || child.exitCode !== null
      }, 2)
      // Any moment of its work will do.
      const timer = setTimeout(() => child.kill('SIGKILL'), Math.random() * 600)
      await done
      clearTimeout(timer)
      const now = await everything()
      expect([damaged, whole]).toContainEqual(now)
    }
    expect((await rebuild()).code).toBe(0)
    expect(await everything()).toEqual(whole)
    expect((await product.database.query(`select from pg_namespace where nspname = 'gateway_shadow'`)).rowCount).toBe(0)
  }, 300_000)
})
