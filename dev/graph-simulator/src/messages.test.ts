import { readdirSync } from 'node:fs'
import { request } from 'undici'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fixture, type Rig, shapeOf, startRig, tenantA, text } from './simulator.rig.ts'

let rig: Rig
beforeEach(async () => {
  rig = await startRig()
})
afterEach(() => rig.close())

describe('an accepted message', () => {
  test('to a phone is answered as Meta answers', async () => {
    const { status, body } = await rig.send(fixture('outbound/text'))
    expect(status).toBe(200)
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/messages.ok')))
    expect(body.contacts[0]).toEqual({ input: '+16285550137', wa_id: '16285550137' })
    expect(Buffer.from(body.messages[0].id.replace('wamid.', ''), 'base64').toString('latin1')).toContain('16285550137')
  })
  test('to a business-scoped user id names the user, not a phone', async () => {
    const { body } = await rig.send(fixture('outbound/text-to-bsuid'))
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/messages.ok-to-bsuid')))
  })
  test('to a group names the group', async () => {
    const { body } = await rig.send(fixture('outbound/text-to-group'))
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/messages.ok-to-group')))
  })
  test('to a phone and a user goes to the phone', async () => {
    const { body } = await rig.send(fixture('outbound/text-to-phone-and-bsuid'))
    expect(body.contacts[0].wa_id).toBe('16285550137')
  })
  test('made of a template tells that it was accepted', async () => {
    const { body } = await rig.send(fixture('outbound/template-body-positional'))
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/messages.ok-template-accepted')))
    expect(body.messages[0].message_status).toBe('accepted')
  })
  test('gets an id of its own each time', async () => {
    const first = await rig.send(text('+34608684495'))
    const second = await rig.send(text('+34608684495'))
    expect(first.body.messages[0].id).not.toBe(second.body.messages[0].id)
  })
  test('may use any version of the Graph API', async () => {
    for (const version of ['v1.0', 'v9.1', 'v22.0', 'v26.0']) {
      const { status } = await rig.call('POST', `/${version}/284610037551902/messages`, text('+34608684495'))
      expect(status).toBe(200)
    }
    expect((await rig.call('POST', '/v0.9/284610037551902/messages', text('+34608684495'))).body.error.code).toBe(2500)
  })
})

describe('every body Meta documents is taken:', () => {
  const bodies = readdirSync(new URL('../fixtures/outbound', import.meta.url)).map((name) => name.replace('.json', ''))
  test.each(bodies)('%s', async (name) => {
    expect((await rig.send(fixture(`outbound/${name}`))).status).toBe(200)
  })
})

describe('a read receipt', () => {
  test('succeeds and sends nothing', async () => {
    const { body } = await rig.send(fixture('outbound/mark-as-read'))
    expect(body).toEqual(fixture('graph/success-true'))
    expect((await rig.call('GET', '/simulate/stats')).body).toMatchObject({ accepted: 0, answered: 1 })
  })
  test('without a message id is refused', async () => {
    const { status, body } = await rig.send({ messaging_product: 'whatsapp', status: 'read' })
    expect([status, body.error.code]).toEqual([400, 131008])
  })
})

describe('a token', () => {
  test('that nobody has is refused', async () => {
    const { status, body } = await rig.send(text('+34608684495'), 'nobody')
    expect(status).toBe(401)
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/error.190-malformed')))
  })
  test('must be there', async () => {
    const { status, body } = await rig.call('POST', '/v22.0/284610037551902/messages', text('+34608684495'), {})
    expect([status, body.error.code]).toEqual([401, 190])
  })
  test('of another business account opens nothing here', async () => {
    const { status, body } = await rig.send(text('+34608684495'), 'token-b')
    expect(status).toBe(400)
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/error.100-unsupported-get')))
    expect(body.error).toMatchObject({ code: 100, error_subcode: 33 })
  })
  test('that was replaced has expired', async () => {
    await rig.call('PUT', '/simulate/tenants', { ...tenantA(rig.receiver.url), access_token: 'token-new' })
    const { status, body } = await rig.send(text('+34608684495'))
    expect(status).toBe(401)
    expect(shapeOf(body)).toEqual(shapeOf(fixture('graph/error.190-token-expired')))
    expect((await rig.send(text('+34608684495'), 'token-new')).status).toBe(200)
  })
})

describe('a body that Meta would not take is refused:', () => {
  const good = text('+34608684495')
  const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name))
  const template = (name: string, parameters: object[], language = 'en_US', extra: object[] = []) => ({
    ...without('text'),
    type: 'template',
    template: { name, language: { code: language }, components: [{ type: 'body', parameters }, ...extra] },
  })
  const value = (text: string, parameter_name?: string) => ({
    type: 'text',
    text,
    ...(parameter_name ? { parameter_name } : {}),
  })

  test.each([
    ['no messaging_product', without('messaging_product'), 400, 100],
    ['another messaging_product', { ...good, messaging_product: 'sms' }, 400, 100],
    ['no recipient', without('to'), 400, 131008],
    ['a recipient that is no number', { ...good, to: 'Nora' }, 400, 131009],
    ['an unknown type', { ...good, type: 'telegram' }, 400, 131009],
    ['a type whose object is missing', without('text'), 400, 131008],
    ['an empty text', { ...good, text: { body: '' } }, 400, 131009],
    ['a text of 4,097 characters', { ...good, text: { body: 'x'.repeat(4097) } }, 400, 131009],
    ['callback data of 513 characters', { ...good, biz_opaque_callback_data: 'x'.repeat(513) }, 400, 131009],
    ['an image without id or link', { ...without('text'), type: 'image', image: {} }, 400, 131008],
    ['a template nobody made', template('nothing', []), 404, 132001],
    ['a template in another language', template('order_ready', [value('a'), value('b')], 'de'), 404, 132001],
    ['a template that is paused', template('resting', []), 400, 132015],
    ['one parameter of two', template('order_ready', [value('a')]), 400, 132000],
    ['three parameters of two', template('order_ready', [value('a'), value('b'), value('c')]), 400, 132000],
    ['an empty parameter', template('order_ready', [value('a'), value('')]), 400, 131008],
    [
      'a parameter of another name',
      template('order_ready_named', [value('a', 'first_name'), value('b', 'x')]),
      400,
      100,
    ],
    ['a header image that is missing', template('offer_image', [value('a')]), 400, 132012],
    ['a link parameter that is missing', template('track_order', [value('a')]), 400, 131008],
    ['a list', [good], 400, 100],
  ])('%s', async (_name, message, status, code) => {
    const answer = await rig.send(message as Record<string, unknown>)
    expect([answer.status, answer.body.error.code]).toEqual([status, code])
    expect(answer.body.error.fbtrace_id).toMatch(/^A[0-9a-f]{22}$/)
    expect((await rig.call('GET', '/simulate/stats')).body.accepted).toBe(0)
  })
  test('with the details Meta gives', async () => {
    const missing = (await rig.send(without('to'))).body
    expect(missing.error.error_data).toEqual(fixture('graph/error.131008').error.error_data)
    const count = (await rig.send(template('order_ready', [value('a')]))).body
    expect(count.error.error_data).toEqual(fixture('graph/error.132000').error.error_data)
    const unknown = (await rig.send(template('order_ready', [], 'de'))).body
    expect(unknown.error.error_data).toEqual(fixture('graph/error.132001').error.error_data)
    const header = (await rig.send(template('offer_image', [value('a')]))).body
    expect(header.error.error_data).toEqual(fixture('graph/error.132012').error.error_data)
  })
  test('broken JSON', async () => {
    const { statusCode, body } = await request(`${rig.url}/v22.0/284610037551902/messages`, {
      method: 'POST',
      headers: { authorization: 'Bearer token-a', 'content-type': 'application/json' },
      body: '{"messaging_product":',
    })
    expect(statusCode).toBe(400)
    expect(((await body.json()) as { error: { code: number } }).error.code).toBe(100)
  })
})

describe('the limits', () => {
  test('of a number: more than its messages per second are refused with 130429', async () => {
    await rig.call('PUT', '/simulate/limits', { messages_per_second: 2 })
    const codes = []
    for (const to of ['+34608684411', '+34608684412', '+34608684413']) codes.push((await rig.send(text(to))).body)
    expect(codes.map((body) => body.error?.code)).toEqual([undefined, undefined, 130429])
    expect(shapeOf(codes[2])).toEqual(shapeOf(fixture('graph/error.130429')))
  })
  test('of a pair: the 46th message at once to one person is refused with 131056, another person is not', async () => {
    const answers = await Promise.all(Array.from({ length: 46 }, () => rig.send(text('+34608684495'))))
    const refused = answers.filter(({ status }) => status !== 200)
    expect(refused.map(({ body }) => body.error.code)).toEqual([131056])
    expect(shapeOf(refused[0]?.body)).toEqual(shapeOf(fixture('graph/error.131056')))
    expect((await rig.send(text('+34608684496'))).status).toBe(200)
  })
  test('can be switched off', async () => {
    await rig.call('PUT', '/simulate/limits', { messages_per_second: 1, enforce: false })
    const answers = await Promise.all(Array.from({ length: 60 }, () => rig.send(text('+34608684495'))))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
  })
})
