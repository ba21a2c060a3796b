import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fixture, PHONE, type Rig, SECRET, shapeOf, startReceiver, startRig, tenantA, text } from './simulator.rig.ts'

let rig: Rig
const COMPANY = tenantA('http://x').company_id
beforeEach(async () => {
  rig = await startRig()
})
afterEach(() => rig.close())

const changeOf = (body: { entry: { changes: { value: unknown }[] }[] }) => body.entry[0]?.changes[0]?.value

describe('a webhook', () => {
  test('is signed over the very bytes that arrive, which are ASCII with the slash escaped', async () => {
    const name = 'Nóra 😀 </a>'
    await rig.call('POST', '/simulate/inbound', {
      company_id: COMPANY,
      from: '34608684495',
      text: 'ñ/x',
      profile_name: name,
    })
    const [webhook] = rig.receiver.received
    expect(webhook?.isSigned).toBe(true)
    expect(webhook?.bytes.toString('latin1')).toMatch(/^[\x20-\x7e]+$/)
    expect(webhook?.bytes.toString()).toContain('N\\u00f3ra \\ud83d\\ude00 <\\/a>')
    expect(webhook?.body.entry[0].changes[0].value.contacts[0].profile.name).toBe(name)
    expect(webhook?.headers['content-type']).toBe('application/json')
  })
  test('is delivered again until it is answered 200', async () => {
    rig.receiver.respondWith((_, response, nth) => response.writeHead([503, 404, 204, 302][nth - 1] ?? 200).end())
    const { body } = await rig.call('POST', '/simulate/inbound', {
      company_id: COMPANY,
      from: '34608684495',
      text: 'hi',
    })
    expect(body).toMatchObject({ delivered: false, status: 503 })
    await rig.receiver.until(() => rig.receiver.received.length === 5)
    const ids = rig.receiver.received.map(({ body: { entry } }) => entry[0].changes[0].value.messages[0].id)
    expect(new Set(ids)).toEqual(new Set([body.message_id]))
    expect(rig.receiver.received.every(({ isSigned }) => isSigned)).toBe(true)
  })
  test('waits for a tenant that is down, and reaches it when it is back', async () => {
    const gone = await startReceiver(SECRET)
    await gone.close()
    await rig.call('PUT', '/simulate/tenants', tenantA(gone.url))
    const { body } = await rig.call('POST', '/simulate/inbound', {
      company_id: COMPANY,
      from: '34608684495',
      text: 'hi',
    })
    expect(body).toMatchObject({ delivered: false, status: null })
    expect((await rig.call('GET', '/simulate/stats')).body.webhooks.pending).toBe(1)
    await rig.call('PUT', '/simulate/tenants', tenantA(rig.receiver.url))
    await rig.receiver.until(() => rig.receiver.received.length === 1)
  })
  test('of a tenant that is down does not hold up the others', async () => {
    await rig.call('PUT', '/simulate/timing', { retry_first_ms: 60_000, retry_longest_ms: 60_000 })
    const gone = await startReceiver(SECRET)
    await gone.close()
    await rig.call('PUT', '/simulate/tenants', {
      ...tenantA(gone.url),
      company_id: 'down',
      access_token: 'down',
      phone_numbers: [{ id: '1', display_phone_number: '15550000000' }],
    })
    await rig.call('POST', '/simulate/inbound', { company_id: 'down', from: '34608684495', text: 'hi', count: 200 })
    const { body } = await rig.call('POST', '/simulate/inbound', {
      company_id: COMPANY,
      from: '34608684495',
      text: 'hi',
    })
    expect(body.delivered).toBe(true)
    expect((await rig.call('GET', '/simulate/stats')).body.webhooks.waiting_for_retry).toBe(200)
    expect((await rig.call('POST', '/simulate/retry')).body).toEqual({ retried: 200 })
  })
})

describe('a status', () => {
  const statusNamed = async (name: string) => {
    const find = () =>
      rig.receiver.received.find(({ body }) => body.entry[0].changes[0].value.statuses[0].status === name)
    await rig.receiver.until(() => find() !== undefined)
    return find()?.body
  }
  test('has the shape of Meta’s, callback data and price included', async () => {
    await rig.call('POST', `/v24.0/${PHONE}/messages`, fixture('outbound/text-callback-data'))
    expect(shapeOf(await statusNamed('delivered'))).toEqual(
      shapeOf(fixture('webhooks/statuses.delivered-callback-data')),
    )
  })
  test('carries the conversation up to version 23, and no longer from 24 on', async () => {
    const expected = shapeOf(changeOf(fixture('webhooks/statuses.sent-with-conversation-v23'))) as {
      statuses: object[]
    }
    await rig.send(text('+16285550137'))
    expect(shapeOf(changeOf(await statusNamed('sent')))).toMatchObject(expected)
    await rig.call('POST', `/v24.0/${PHONE}/messages`, text('+16285550138'))
    await rig.receiver.until(() => rig.receiver.received.length === 6)
    const later = rig.receiver
      .statuses()
      .filter((status: { recipient_id: string }) => status.recipient_id === '16285550138')
    expect(later.some((status: object) => 'conversation' in status)).toBe(false)
  })
  test('of a template is priced in its category', async () => {
    await rig.send(fixture('outbound/template-header-image'))
    const { pricing } = (await statusNamed('sent')).entry[0].changes[0].value.statuses[0]
    expect(pricing).toEqual({ billable: true, pricing_model: 'PMP', type: 'regular', category: 'marketing' })
  })
  test('read is as Meta’s', async () => {
    await rig.send(text('+16285550137'))
    expect(shapeOf(await statusNamed('read'))).toEqual(shapeOf(fixture('webhooks/statuses.read')))
  })
  test('for a user without a phone names no phone', async () => {
    await rig.send(fixture('outbound/text-to-bsuid'))
    const value = (await statusNamed('delivered')).entry[0].changes[0].value
    expect(value.statuses[0]).not.toHaveProperty('recipient_id')
    expect(value.statuses[0].recipient_user_id).toBe('GB.20561934877402915563')
    expect(value.contacts[0]).not.toHaveProperty('wa_id')
  })
})

describe('an inbound message', () => {
  test('arrives as Meta sends it, and the order is answered after the first delivery', async () => {
    const { body } = await rig.call('POST', '/simulate/inbound', {
      phone_number_id: PHONE,
      from: '+16285550137',
      text: 'Hi, do you deliver on Sundays?',
      profile_name: 'Nora Feld',
    })
    expect(body).toMatchObject({ delivered: true, status: 200 })
    const received = rig.receiver.received[0]?.body
    expect(shapeOf(received)).toEqual(shapeOf(fixture('webhooks/messages.text')))
    expect(received.entry[0].changes[0].value.messages[0]).toMatchObject({ id: body.message_id, from: '16285550137' })
  })
  test('can be any message of Meta’s', async () => {
    const message = { type: 'image', image: { id: '1', mime_type: 'image/jpeg', sha256: 'x', caption: 'Bread' } }
    await rig.call('POST', '/simulate/inbound', { company_id: COMPANY, from: '16285550137', message })
    expect(rig.receiver.received[0]?.body.entry[0].changes[0].value.messages[0]).toMatchObject(message)
  })
  test('can come from somebody whose phone is hidden', async () => {
    await rig.call('POST', '/simulate/inbound', { company_id: COMPANY, from: 'GB.20561934877402915563', text: 'hi' })
    const { messages, contacts } = rig.receiver.received[0]?.body.entry[0].changes[0].value ?? {}
    expect(messages[0]).not.toHaveProperty('from')
    expect(messages[0].from_user_id).toBe('GB.20561934877402915563')
    expect(contacts[0]).not.toHaveProperty('wa_id')
  })
  test('can come many times, each with its own id', async () => {
    const order = { company_id: COMPANY, from: '16285550137', text: 'hi', count: 20 }
    const { body } = await rig.call('POST', '/simulate/inbound', order)
    expect(new Set(body.message_ids).size).toBe(20)
    expect(rig.receiver.received).toHaveLength(20)
  })
  test('can come in one batch', async () => {
    const order = { company_id: COMPANY, from: '16285550137', text: 'hi', count: 20, batch: true }
    const { body } = await rig.call('POST', '/simulate/inbound', order)
    const { messages } = rig.receiver.received[0]?.body.entry[0].changes[0].value ?? {}
    expect(messages.map(({ id }: { id: string }) => id)).toEqual(body.message_ids)
  })
  test.each([
    ['nobody to', { from: '1628555', text: 'hi' }, 400],
    ['an unknown company', { company_id: 'x', from: '1628555', text: 'hi' }, 404],
    ['no content', { company_id: COMPANY, from: '1628555' }, 400],
    ['no author', { company_id: COMPANY, text: 'hi' }, 400],
  ])('with %s is refused', async (_name, order, status) => {
    const answer = await rig.call('POST', '/simulate/inbound', order)
    expect(answer.status).toBe(status)
    expect(answer.body.error.code).toBe('SIMULATION_REFUSED')
    expect(rig.receiver.received).toEqual([])
  })
})

describe('a webhook of any body', () => {
  test('is signed and posted, once', async () => {
    rig.receiver.respondWith((_, response) => response.writeHead(400).end())
    const body = { object: 'page', x: [null, 'ñ'] }
    const answer = await rig.call('POST', '/simulate/webhook', { company_id: COMPANY, body })
    expect(answer.body).toEqual({ delivered: false, status: 400 })
    expect(rig.receiver.received).toMatchObject([{ body, isSigned: true }])
    expect((await rig.call('GET', '/simulate/stats')).body.webhooks).toMatchObject({ pending: 0, given_up: 1 })
  })
})

test('the handshake verifies the tenant’s address with its token', async () => {
  const handshake = () => rig.call('POST', '/simulate/handshake', { company_id: COMPANY })
  expect((await handshake()).body).toEqual({ verified: true, status: 200 })
  await rig.call('PUT', '/simulate/tenants', { ...tenantA(rig.receiver.url), verify_token: 'wrong' })
  expect((await handshake()).body).toEqual({ verified: false, status: 403 })
})

describe('faults of webhooks:', () => {
  const inbound = (count = 1) =>
    rig.call('POST', '/simulate/inbound', { company_id: COMPANY, from: '16285550137', text: 'hi', count })
  const idsReceived = () =>
    rig.receiver.received.map(({ body }) => body.entry[0].changes[0].value.messages[0].id as string)

  test('duplicates deliver once more what was delivered', async () => {
    await rig.call('POST', '/simulate/faults', { duplicates: 1 })
    await inbound(3)
    await rig.receiver.until(() => rig.receiver.received.length === 6)
    expect(new Set(idsReceived()).size).toBe(3)
  })
  test('reordering lets later ones overtake', async () => {
    await rig.call('POST', '/simulate/faults', { reordering: 0.5, reordering_ms: 50 })
    const { body } = await inbound(30)
    expect(idsReceived()).not.toEqual(body.message_ids)
    expect([...idsReceived()].sort()).toEqual([...body.message_ids].sort())
  })
  test('resets and timeouts lose the answer, so that the webhook comes again', async () => {
    await rig.call('POST', '/simulate/faults', { resets: 0.25, timeouts: 0.25, affects: ['webhooks'] })
    const { body } = await inbound(30)
    await rig.call('DELETE', '/simulate/faults')
    await rig.receiver.until(() => new Set(idsReceived()).size === 30)
    expect(body.delivered).toBe(false)
    expect(rig.receiver.received.length).toBeGreaterThan(30)
  })
})
