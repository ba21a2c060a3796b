import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, json, type Product, postWebhook, rowOf, startProduct, text, webhook } from './product.ts'

let product: Product
beforeAll(async () => {
  product = await startProduct()
})
afterAll(() => product?.stop())

const pidOf = (name: string) => product.runtime().pids[name]

const kill = async (name: string) => {
  const pid = await eventually(() => pidOf(name))
  process.kill(pid, 'SIGKILL')
  await eventually(() => {
    const now = pidOf(name)
    return now !== undefined && now !== pid
  })
}

/** Posts webhooks, two messages each, until told to stop. Notes the ids of those that were answered 200. */
const flood = () => {
  const { urls, demo } = product.runtime()
  const accepted: string[] = []
  let refused = 0
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const ids = [`wamid.${randomUUID()}`, `wamid.${randomUUID()}`]
      const body = webhook(demo.phone_number_id, { messages: ids.map((id) => text(id, 'under fire')) })
      const code = await postWebhook(`${urls.webhook_gateway}/${demo.company_id}/webhook`, demo.app_secret, body).catch(
        () => 0,
      )
      if (code === 200) accepted.push(...ids)
      else {
        refused++
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }
  const clients = Array.from({ length: 8 }, client)
  return {
    accepted,
    refused: () => refused,
    more: (count: number) => {
      const goal = accepted.length + count
      return eventually(() => accepted.length >= goal)
    },
    stop: async () => {
      isOver = true
      await Promise.all(clients)
    },
  }
}

const missing = async (ids: string[]): Promise<string[]> => {
  const { rows } = await product.database.query<{ id: string }>(
    'select u.id from unnest($1::text[]) u(id) where not exists (select 1 from external_messages where company_id = $2 and last_message_uid = u.id)',
    [ids, product.runtime().demo.company_id],
  )
  return rows.map(({ id }) => id)
}

test.each(['nats-server', 'postgres', 'webhook-gateway', 'projector', 'tenant-config'])(
  'SIGKILL of %s loses nothing that was answered 200, and all goes on by itself',
  async (name) => {
    const traffic = flood()
    await traffic.more(100)
    await kill(name)
    await traffic.more(100)
    await kill(name)
    await traffic.more(100)
    await traffic.stop()
    await eventually(async () => (await missing(traffic.accepted).catch(() => ['not back yet'])).length === 0, 100)
    const { rows } = await product.database.query(
      'select count(*)::int as n, count(distinct last_message_uid)::int as d from external_messages',
    )
    expect(rows[0].n).toBe(rows[0].d)
  },
)

test('SIGKILL of the sender loses no command, and a repeated key is not sent again', async () => {
  const { demo, urls } = product.runtime()
  const js = product.nats.jetstream()
  const ids = Array.from({ length: 60 }, (_, n) => ({ id: `kill-${randomUUID()}`, to: `6086845${String(10 + n)}` }))
  const publish = ({ id, to }: { id: string; to: string }) =>
    js.publish(
      `cmd.send.${demo.company_id}.whatsapp`,
      JSON.stringify({ id, channel: 'whatsapp', to, message: { type: 'text', text: id } }),
      { msgID: id },
    )
  await Promise.all(ids.slice(0, 30).map(publish))
  await kill('sender')
  await Promise.all(ids.slice(30).map(publish))
  const outcomes = await Promise.all(
    ids.map(({ id }) =>
      eventually(async () => {
        const answer = await json(`${urls.sender}/commands/${id}`, { token: demo.api_key }).catch(() => undefined)
        return answer?.status === 200 && answer.body.status !== 'queued' ? answer.body : undefined
      }, 100),
    ),
  )
  for (const { status, message_id } of outcomes.filter((outcome) => outcome.status === 'accepted')) {
    expect(status).toBe('accepted')
    await eventually(() => rowOf(product, demo.company_id, message_id))
  }
  // Those that were under way when it was killed are of unknown outcome: parked, not sent twice.
  const { body } = await json(`${urls.graph_simulator}/simulate/calls?limit=10000`)
  const accepted = (Array.isArray(body) ? body : body.calls).filter(
    (call: { outcome: string }) => call.outcome === 'accepted',
  )
  for (const { to } of ids)
    expect(
      accepted.filter((call: { to: string }) => call.to.replace('+', '') === `34${to}`).length,
      to,
    ).toBeLessThanOrEqual(1)
})

test('PostgreSQL away: webhooks are still receipted, and their rows appear when it is back', async () => {
  const { urls, demo } = product.runtime()
  const pid = pidOf('postgres') as number
  // Stopped, not killed: nobody starts it again meanwhile.
  process.kill(pid, 'SIGSTOP')
  const ids = Array.from({ length: 20 }, () => `wamid.${randomUUID()}`)
  for (const id of ids)
    expect(
      await postWebhook(
        `${urls.webhook_gateway}/${demo.company_id}/webhook`,
        demo.app_secret,
        webhook(demo.phone_number_id, { messages: [text(id, 'x')] }),
      ),
    ).toBe(200)
  process.kill(pid, 'SIGCONT')
  await eventually(async () => (await missing(ids)).length === 0)
})

test('NATS away: the edge says come again at once, nothing crashes', async () => {
  const { urls, demo, pids } = product.runtime()
  const pid = pids['nats-server'] as number
  process.kill(pid, 'SIGSTOP')
  const post = () =>
    postWebhook(
      `${urls.webhook_gateway}/${demo.company_id}/webhook`,
      demo.app_secret,
      webhook(demo.phone_number_id, { messages: [text(`wamid.${randomUUID()}`, 'x')] }),
    )
  expect(await post()).toBe(503)
  process.kill(pid, 'SIGCONT')
  await eventually(async () => (await post()) === 200)
  const after = product.runtime().pids
  for (const name of ['webhook-gateway', 'projector', 'sender', 'tenant-config']) expect(after[name]).toBe(pids[name])
})
