import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  eventually,
  json,
  type Product,
  postWebhook,
  type Runtime,
  rowOf,
  startProduct,
  status,
  text,
  webhook,
} from './product.ts'

let product: Product
let runtime: Runtime
const unique = () => `wamid.${randomUUID()}`

beforeAll(async () => {
  product = await startProduct()
  runtime = product.runtime()
})
afterAll(() => product?.stop())

const demoWebhook = (value: Parameters<typeof webhook>[1]) =>
  postWebhook(
    `${runtime.urls.webhook_gateway}/${runtime.demo.company_id}/webhook`,
    runtime.demo.app_secret,
    webhook(runtime.demo.phone_number_id, value),
  )
const row = (id: string) => rowOf(product, runtime.demo.company_id, id)
const send = (route: string, body: object, headers: Record<string, string> = {}) =>
  json(`${runtime.urls.sender}${route}`, {
    token: runtime.demo.api_key,
    body: { company_id: runtime.demo.company_id, ...body },
    headers,
  })
const reaches = (id: string, wanted: string) => eventually(async () => (await row(id))?.status === wanted)

describe('receiving', () => {
  test('a message becomes a row', async () => {
    const id = unique()
    expect(
      await demoWebhook({
        messages: [text(id, 'Do you deliver?')],
        contacts: [{ wa_id: '34608684495', profile: { name: 'Nora' } }],
      }),
    ).toBe(200)
    expect(await eventually(() => row(id))).toMatchObject({
      message: 'Do you deliver?',
      sender_phone: '34608684495',
      chat_id: '34608684495',
      from_me: false,
      status: 'received',
      is_deleted: false,
      created_at: new Date(1_788_000_000_000),
    })
  })

  test('every message of a batch becomes a row, in every change', async () => {
    const ids = Array.from({ length: 20 }, unique)
    const body = webhook(runtime.demo.phone_number_id, { messages: ids.slice(0, 10).map((id) => text(id, 'a')) })
    const second = webhook(runtime.demo.phone_number_id, { messages: ids.slice(10).map((id) => text(id, 'b')) })
    body.entry.push(...second.entry)
    const url = `${runtime.urls.webhook_gateway}/${runtime.demo.company_id}/webhook`
    expect(await postWebhook(url, runtime.demo.app_secret, body)).toBe(200)
    for (const id of ids) await eventually(() => row(id))
  })

  test('an edit replaces the text, a deletion marks it, whichever comes first', async () => {
    const [edited, deleted] = [unique(), unique()]
    await demoWebhook({
      messages: [
        {
          ...text(unique(), ''),
          timestamp: '1788000050',
          type: 'edit',
          edit: { original_message_id: edited, message: { type: 'text', text: { body: 'after' } } },
        },
        { ...text(unique(), ''), timestamp: '1788000060', type: 'revoke', revoke: { original_message_id: deleted } },
      ],
    })
    await demoWebhook({ messages: [text(edited, 'before'), text(deleted, 'gone soon')] })
    await eventually(async () => (await row(edited))?.message === 'after')
    await eventually(async () => (await row(deleted))?.is_deleted)
    expect((await row(edited))?.updated_at).toEqual(new Date(1_788_000_050_000))
  })
})

describe('sending', () => {
  test('a text over HTTP is accepted by Graph and read by its recipient', async () => {
    const { status: code, body } = await send('/send_text_direct', { phone: '608684495', text: 'Hello' })
    expect(code, JSON.stringify(body)).toBe(200)
    expect(body).toMatchObject({
      status: 'accepted',
      message_id: expect.stringMatching(/^wamid\./),
      command_id: expect.any(String),
    })
    await reaches(body.message_id, 'read')
    expect(await row(body.message_id)).toMatchObject({ message: 'Hello', from_me: true, chat_id: '34608684495' })
  })

  test('a template gets the cover of its company, and its parameters by name', async () => {
    const { status: code, body } = await send('/send_template_direct', {
      phone: '608684495',
      template_name: 'agendar_llamada_inicial',
      template_data: { first_name: 'Paco', deal_id: 'b5078967' },
      phone_number_id: runtime.demo.phone_number_id,
      language: 'es_ES',
    })
    expect(code, JSON.stringify(body)).toBe(200)
    await eventually(() => row(body.message_id))
    const timeline = await json(
      `${runtime.urls.projector}/companies/${runtime.demo.company_id}/messages/${body.message_id}`,
      { token: runtime.demo.api_key },
    )
    expect(timeline.status).toBe(200)
    expect(JSON.stringify(timeline.body)).toContain('message.created')
    const manager = await product.nats.jetstreamManager()
    const stored = await manager.streams.getMessage('EVENTS', {
      last_by_subj: `evt.${runtime.demo.company_id}.whatsapp.message.created`,
    })
    const { components } = JSON.parse(new TextDecoder().decode(stored.data)).data.raw.request.template
    expect(components).toEqual([
      { type: 'header', parameters: [{ type: 'image', image: { link: expect.stringMatching(/^https:/) } }] },
      {
        type: 'body',
        parameters: [
          { type: 'text', parameter_name: 'first_name', text: 'Paco' },
          { type: 'text', parameter_name: 'deal_id', text: 'b5078967' },
        ],
      },
    ])
  })

  test('a file by link', async () => {
    const { status: code, body } = await send('/send_media_direct', {
      phone: '608684495',
      kind: 'image',
      link: 'https://media.example.com/rye.jpg',
      caption: 'Rye',
    })
    expect(code, JSON.stringify(body)).toBe(200)
    expect(await eventually(() => row(body.message_id))).toMatchObject({ message: 'Rye', from_me: true })
  })

  test('a command over plain NATS, of which only the number tells the company', async () => {
    const id = `nats-${randomUUID()}`
    const command = {
      id,
      channel: 'whatsapp',
      phone_number_id: runtime.demo.phone_number_id,
      to: '608684411',
      message: { type: 'text', text: 'from NATS' },
    }
    await product.nats.jetstream().publish('cmd.send._.whatsapp', JSON.stringify(command), { msgID: id })
    const found = await eventually(async () => {
      const { rows } = await product.database.query(
        "select last_message_uid, status from external_messages where chat_id = '34608684411' and from_me",
      )
      return rows[0]
    })
    await reaches(found.last_message_uid, 'read')
    const outcome = await json(`${runtime.urls.sender}/commands/${id}`, { token: runtime.demo.api_key })
    expect(outcome.body).toMatchObject({ status: 'accepted', message_id: found.last_message_uid })
  })

  test('a command that names nobody goes out from the number the recipient last talked to', async () => {
    const id = unique()
    await demoWebhook({ messages: [text(id, 'Hi', 1_788_000_000, '34608684422')] })
    await eventually(() => row(id))
    const command = {
      id: `conversation-${randomUUID()}`,
      channel: 'whatsapp',
      to: '+34 608 68 44 22',
      message: { type: 'text', text: 'An answer' },
    }
    await product.nats.jetstream().publish('cmd.send._.whatsapp', JSON.stringify(command), { msgID: command.id })
    await eventually(async () => {
      const { rowCount } = await product.database.query(
        "select 1 from external_messages where chat_id = '34608684422' and from_me",
      )
      return rowCount === 1
    })
  })

  test.each([
    ['0001', 'accepted, then failed', 'failed'],
    ['0006', 'read before delivered', 'read'],
    ['0007', 'every status twice', 'read'],
    ['0008', 'a status before the answer', 'read'],
    ['0005', 'a 500, then accepted', 'read'],
  ])('a recipient ending in %s (%s) ends as it should', async (suffix, _what, wanted) => {
    const { body } = await send('/send_text_direct', { phone: `60868${suffix}`, text: 'x' })
    expect(body.status, JSON.stringify(body)).toBe('accepted')
    await reaches(body.message_id, wanted)
  })

  test("Meta's refusal comes back with its code and what to do", async () => {
    const { status: code, headers, body } = await send('/send_text_direct', { phone: '608680002', text: 'x' })
    expect(code).toBeGreaterThanOrEqual(400)
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(JSON.stringify(body)).toContain('131047')
  })

  test('the same key is the same message', async () => {
    const key = `key-${randomUUID()}`
    const first = await send('/send_text_direct', { phone: '608684433', text: 'once' }, { 'idempotency-key': key })
    const second = await send('/send_text_direct', { phone: '608684433', text: 'once' }, { 'idempotency-key': key })
    expect(second.body.message_id).toBe(first.body.message_id)
    expect(second.headers.get('idempotency-replayed')).toBe('true')
    const other = await send('/send_text_direct', { phone: '608684433', text: 'twice' }, { 'idempotency-key': key })
    expect(other.status).toBe(422)
    const calls = await json(`${runtime.urls.graph_simulator}/simulate/calls?to=34608684433`)
    expect(JSON.stringify(calls.body).match(/"outcome":"accepted"/g)).toHaveLength(1)
  })

  test.each([
    ['no key', undefined, 401],
    ['a made-up key', 'ck_made-up-0123456789abcdef', 401],
  ])('with %s is refused', async (_name, token, wanted) => {
    const { status: code, body } = await json(`${runtime.urls.sender}/send_text_direct`, {
      body: { company_id: runtime.demo.company_id, phone: '608684495', text: 'x' },
      ...(token === undefined ? {} : { token }),
    })
    expect(code).toBe(wanted)
    expect(body.code).toEqual(expect.any(String))
  })
})

describe('a second company', () => {
  const company = randomUUID()
  const secret = 'the-second-app-secret-of-the-test'
  const admin = (path: string, options: { method?: string; body?: unknown } = {}) =>
    json(`${runtime.urls.tenant_config}${path}`, { token: runtime.admin_token, ...options })

  test('can send and receive as soon as it is created, and its secrets are never shown', async () => {
    const created = await admin(`/companies/${company}`, {
      method: 'PUT',
      body: {
        name: 'Second',
        custom_properties: {
          WHATSAPP_ACCESS_TOKEN: 'EAA-second-token-of-the-test',
          WHATSAPP_APP_SECRET: secret,
          WHATSAPP_VERIFY_TOKEN: 'second-verify',
          WHATSAPP_PHONE_NUMBER_ID: '111222333444555',
          WHATSAPP_BUSINESS_ID: '555444333222111',
        },
      },
    })
    expect(created.status).toBe(201)
    expect(JSON.stringify(created.body)).not.toContain(secret)
    const { body: key } = await admin(`/companies/${company}/api-keys`, {
      body: { name: 'test', scopes: ['send', 'read'] },
    })

    const id = unique()
    const url = `${runtime.urls.webhook_gateway}/${company}/webhook`
    await eventually(
      async () =>
        (await postWebhook(url, secret, webhook('111222333444555', { messages: [text(id, 'to the second')] }))) === 200,
    )
    await eventually(() => rowOf(product, company, id))

    const sent = await eventually(async () => {
      const answer = await json(`${runtime.urls.sender}/send_text_direct`, {
        token: key.key,
        body: { phone: '608684444', text: 'from the second' },
      })
      return answer.status === 200 ? answer.body : undefined
    })
    await eventually(async () => (await rowOf(product, company, sent.message_id))?.status === 'read')

    // One company's key opens nothing of another's.
    const foreign = await json(`${runtime.urls.projector}/companies/${runtime.demo.company_id}/messages`, {
      token: key.key,
    })
    expect(foreign.status).toBe(403)
    const forged = await json(`${runtime.urls.sender}/send_text_direct`, {
      token: key.key,
      body: { company_id: runtime.demo.company_id, phone: '608684444', text: 'x' },
    })
    expect(forged.status).toBe(403)
  })

  test('that another program wrote into the table is known to all, its secret sealed', async () => {
    const id = randomUUID()
    await product.database.query('insert into companies (id, name, custom_properties) values ($1, $2, $3)', [
      id,
      'By SQL',
      { WHATSAPP_APP_SECRET: 'plain-secret-by-sql', WHATSAPP_PHONE_NUMBER_ID: '99887766' },
    ])
    const url = `${runtime.urls.webhook_gateway}/${id}/webhook`
    const message = unique()
    await eventually(
      async () =>
        (await postWebhook(url, 'plain-secret-by-sql', webhook('99887766', { messages: [text(message, 'x')] }))) ===
        200,
    )
    await eventually(() => rowOf(product, id, message))
    const { rows } = await product.database.query('select custom_properties::text as p from companies where id = $1', [
      id,
    ])
    expect(rows[0].p).not.toContain('plain-secret-by-sql')
  })

  test('that is removed is unknown from then on, its messages stay', async () => {
    expect((await admin(`/companies/${company}`, { method: 'DELETE' })).status).toBe(204)
    const url = `${runtime.urls.webhook_gateway}/${company}/webhook`
    await eventually(async () => (await postWebhook(url, secret, webhook('1', { messages: [] }))) === 404)
    const { rowCount } = await product.database.query('select 1 from external_messages where company_id = $1', [
      company,
    ])
    expect(rowCount).toBeGreaterThan(0)
  })
})

test('statuses in any order, twice, and before their message end the same', async () => {
  const ids = Array.from({ length: 6 }, unique)
  const names = ['sent', 'failed', 'delivered', 'read']
  for (const [n, id] of ids.entries()) {
    const order = names.map((_, i) => names[(i * 3 + n) % 4] as string)
    for (const name of [...order, order[0] as string])
      await demoWebhook({ statuses: [status(id, name, 1_788_000_000 + names.indexOf(name))] })
    expect(await row(id)).toBeUndefined() // a status never makes a row
  }
  const { body } = await send('/send_text_direct', { phone: '608684455', text: 'x' })
  await reaches(body.message_id, 'read')
  await demoWebhook({ statuses: [status(body.message_id, 'failed', 1_788_900_000)] })
  // Whoever folded this one has folded the failure before it.
  const marker = unique()
  await demoWebhook({ messages: [text(marker, 'marker')] })
  await eventually(() => row(marker))
  expect((await row(body.message_id))?.status).toBe('read')
})

test('what no command is becomes a dead letter with its reason, and an answer where one was asked for', async () => {
  const inbox = `_INBOX.test.${randomUUID()}`
  const answer = new Promise<string>((resolve) => {
    product.nats.subscribe(inbox, { max: 1, callback: (_error, message) => resolve(message.string()) })
  })
  const { headers } = await import('nats')
  const withReply = headers()
  withReply.set('Reply-To', inbox)
  await product.nats
    .jetstream()
    .publish(`cmd.send.${runtime.demo.company_id}.whatsapp`, '{"id":"bad","to":7}', { headers: withReply })
  expect(JSON.parse(await answer)).toMatchObject({ status: 'failed', error: { code: expect.any(String) } })
  const letter = await eventually(() =>
    product.nats
      .jetstreamManager()
      .then((manager) =>
        manager.streams.getMessage('DEADLETTERS', { last_by_subj: `dlq.sender.${runtime.demo.company_id}` }),
      )
      .catch(() => undefined),
  )
  expect(new TextDecoder().decode(letter.data)).toBe('{"id":"bad","to":7}')
  expect(letter.header.get('Reason')).toContain('to')
})
