import { randomInt, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, json, type Product, startProduct } from './product.ts'

/** What a company that wants every message out has, with times in which a test can see the whole of it. */
let product: Product
beforeAll(async () => {
  product = await startProduct({
    GRAPH_TIMEOUT_MS: '1500',
    UNCERTAIN_GRACE_MS: '8000',
    RETRY_BASE_MS: '100',
    RETRY_CAP_MS: '1000',
    MAX_ATTEMPTS: '12',
  })
  const { urls, demo, admin_token } = product.runtime()
  await json(`${urls.tenant_config}/companies/${demo.company_id}`, {
    method: 'PATCH',
    token: admin_token,
    body: {
      custom_properties: {
        ON_UNCERTAIN: 'resend',
        WHATSAPP_PHONE_NUMBERS: [{ id: demo.phone_number_id, messages_per_second: 1000 }],
      },
    },
  })
  await json(`${urls.graph_simulator}/simulate/limits`, { method: 'PUT', body: { enforce: false } })
})
afterAll(() => product?.stop())

const kill = async (name: string) => {
  const pid = await eventually(() => product.runtime().pids[name])
  process.kill(pid, 'SIGKILL')
  await eventually(() => {
    const now = product.runtime().pids[name]
    return now !== undefined && now !== pid
  })
}

const publish = (id: string, to: string) =>
  eventually(() =>
    product.nats
      .jetstream()
      .publish(
        `cmd.send.${product.runtime().demo.company_id}.whatsapp`,
        JSON.stringify({ id, channel: 'whatsapp', to, message: { type: 'text', text: 'under fire' } }),
        { msgID: id },
      )
      .catch(() => undefined),
  )

/** How often the channel accepted each command. */
const acceptances = async (): Promise<Map<string, number>> => {
  const { body } = await json(`${product.runtime().urls.graph_simulator}/simulate/calls?outcome=accepted&limit=100000`)
  const counts = new Map<string, number>()
  for (const { callback_data } of body.calls ?? body) counts.set(callback_data, (counts.get(callback_data) ?? 0) + 1)
  return counts
}

const standingOf = async (ids: string[]): Promise<Map<string, string>> => {
  const { rows } = await product.database.query<{ command_id: string; status: string }>(
    'select command_id, status from gateway.sends where company_id = $1 and command_id = any ($2)',
    [product.runtime().demo.company_id, ids],
  )
  return new Map(rows.map(({ command_id, status }) => [command_id, status]))
}

test('a thousand commands, each accepted exactly once and each a message, while the sender and NATS are killed and answers are lost', async () => {
  const { urls, demo } = product.runtime()
  await json(`${urls.graph_simulator}/simulate/faults`, {
    body: {
      resets: 0.03,
      timeouts: 0.01,
      errors_5xx: 0.03,
      duplicates: 0.05,
      reordering: 0.05,
      affects: ['graph', 'webhooks'],
    },
  })
  const ids = Array.from({ length: 1_000 }, () => `once-${randomUUID()}`)
  const publishing = (async () => {
    for (let from = 0; from < ids.length; from += 50)
      await Promise.all(ids.slice(from, from + 50).map((id, n) => publish(id, `6084${String(11_000 + from + n)}`)))
  })()
  const accepted = async () => [...(await acceptances()).keys()].filter((id) => id.startsWith('once-')).length
  // At moments that nobody chose: after so many acceptances, wherever each command then is.
  let seen = 0
  for (const victim of ['sender', 'sender', 'nats-server', 'sender']) {
    const goal = seen + randomInt(60, 160)
    await eventually(async () => (await accepted()) >= goal)
    await kill(victim)
    seen = goal
  }
  await publishing
  await json(`${urls.graph_simulator}/simulate/faults`, { method: 'DELETE' })

  await eventually(async () => {
    const standing = await standingOf(ids)
    return ids.every((id) => standing.get(id) === 'sent')
  }, 250)
  const counts = await acceptances()
  expect(ids.filter((id) => counts.get(id) !== 1).map((id) => [id, counts.get(id)])).toEqual([])
  const { rows } = await product.database.query(
    `select count(distinct d.command_id)::int as commands, count(*)::int as messages from external_messages e
     join gateway.message_details d on d.company_id = e.company_id and d.message_id = e.last_message_uid
     where e.company_id = $1 and d.command_id = any ($2)`,
    [demo.company_id, ids],
  )
  expect(rows).toEqual([{ commands: 1_000, messages: 1_000 }])
}, 300_000)

test('a command given up as uncertain becomes a message when its status comes at last', async () => {
  const { urls, demo, admin_token } = product.runtime()
  await json(`${urls.tenant_config}/companies/${demo.company_id}`, {
    method: 'PATCH',
    token: admin_token,
    body: { custom_properties: { ON_UNCERTAIN: 'park' } },
  })
  // The webhooks of the simulator are held back until the command has been parked.
  await json(`${urls.graph_simulator}/simulate/faults`, {
    body: { delay: 1, delay_ms: 20_000, affects: ['webhooks'] },
  })
  const id = `late-${randomUUID()}`
  await publish(id, '600110004') // accepted, and never answered
  await eventually(async () => (await standingOf([id])).get(id) === 'parked', 100)
  await eventually(async () => (await standingOf([id])).get(id) === 'sent', 100)
  expect((await acceptances()).get(id)).toBe(1)
  await json(`${urls.graph_simulator}/simulate/faults`, { method: 'DELETE' })
}, 120_000)
