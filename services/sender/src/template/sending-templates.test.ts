import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Company, type Rig, startRig } from '../meta-api/sender.rig.ts'

const COVER = 'https://media.example.com/cover.png'

let rig: Rig
let company: Company
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig?.stop())
beforeEach(async () => {
  company = await rig.newCompany({ WHATSAPP_COVER: COVER })
})

const atMeta = (...templates: object[]) => rig.control('PUT', 'templates', { company_id: company.id, templates })
const welcome = (text: string, more: object = {}) => ({
  name: 'welcome',
  language: 'es_ES',
  components: [{ type: 'BODY', text }],
  ...more,
})
const post = async (path: string, body: object) => {
  const answer = await fetch(`${rig.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${company.key}` },
    body: JSON.stringify(body),
  })
  // biome-ignore lint/suspicious/noExplicitAny: an answer is whatever came
  return { status: answer.status, body: (await answer.json()) as any }
}
const send = (template_data: object = {}, more: object = {}) =>
  post('/send_template_direct', {
    phone: '608684495',
    template_name: 'welcome',
    language: 'es_ES',
    template_data,
    ...more,
  })
const sendRaw = (template: object) =>
  post(`/v22.0/${company.number}/messages`, {
    messaging_product: 'whatsapp',
    to: '+34608684495',
    type: 'template',
    template,
  })
const callsOf = async (type: string) => (await rig.callsOf(company)).filter((call) => call.type === type)
const outcomes = async () => (await callsOf('template')).map(({ outcome }) => outcome)

describe('a template is refused before Meta is asked', () => {
  test('when it does not exist in the language, naming those it has', async () => {
    await atMeta(welcome('Hola'), welcome('Hello', { language: 'en_US' }))
    const { status, body } = await send({}, { language: 'de' })
    expect(status).toBe(422)
    expect(body).toMatchObject({ code: 'UNKNOWN_TEMPLATE', detail: 'welcome: it exists in en_US, es_ES' })
    expect(await outcomes()).toEqual([])
  })
  test('when there is none of its name, under the route of Meta as well', async () => {
    expect((await send()).body).toMatchObject({ code: 'UNKNOWN_TEMPLATE' })
    const { status, body } = await sendRaw({ name: 'welcome', language: { code: 'es_ES' } })
    expect([status, body.error.code, body.error.error_data.gateway_code]).toEqual([404, 132001, 'UNKNOWN_TEMPLATE'])
    expect(await outcomes()).toEqual([])
  })
  test('when it is paused', async () => {
    await atMeta(welcome('Hola', { status: 'PAUSED' }))
    expect((await send()).body).toMatchObject({ code: 'TEMPLATE_PAUSED', detail: expect.stringContaining('PAUSED') })
    expect(await outcomes()).toEqual([])
  })
  test('when parameters are missing, or too many, naming each', async () => {
    await atMeta(
      welcome('Hola {{1}}, {{2}}', {
        components: [
          { type: 'BODY', text: 'Hola {{1}}, {{2}}' },
          { type: 'BUTTONS', buttons: [{ type: 'URL', url: 'https://example.com/{{1}}' }] },
        ],
      }),
    )
    const { status, body } = await send({ '1': 'Confidential', '3': 'Confidential' })
    expect(status).toBe(422)
    expect(body).toMatchObject({
      code: 'TEMPLATE_DATA_MISMATCH',
      fields: [{ path: 'template_data.2' }, { path: 'template_data.buttons.0' }, { path: 'template_data.3' }],
    })
    expect(JSON.stringify(body)).not.toContain('Confidential')
    const raw = await sendRaw({ name: 'welcome', language: { code: 'es_ES' } })
    expect([raw.status, raw.body.error.code]).toEqual([400, 132000])
    expect(raw.body.error.error_data.details).toContain('missing: 1, 2')
    expect(await outcomes()).toEqual([])
  })
})

describe('a template goes out', () => {
  const rich = welcome('', {
    components: [
      { type: 'HEADER', format: 'IMAGE' },
      { type: 'BODY', text: 'Hola {{1}}' },
      { type: 'BUTTONS', buttons: [{ type: 'QUICK_REPLY' }, { type: 'URL', url: 'https://example.com/{{1}}' }] },
    ],
  })
  test('with the cover of the company, and with its buttons', async () => {
    await atMeta(rich)
    expect((await send({ '1': 'Paco', buttons: ['YES', '5521'] })).status).toBe(200)
    expect(rig.logged.join('')).toContain(`"cover":"${COVER}"`)
    expect(await outcomes()).toEqual(['accepted'])
  })
  test('whose definition was fetched once for all messages', async () => {
    await atMeta(rich)
    for (const name of ['Paco', 'Nora', 'Owen']) expect((await send({ '1': name, 'buttons.1': 'x' })).status).toBe(200)
    expect(await callsOf('templates')).toHaveLength(1)
  })
  test('as it is given, when its definition cannot be had', async () => {
    company = await rig.newCompany({ WHATSAPP_BUSINESS_ID: undefined })
    await atMeta(welcome('Hola {{1}}'))
    expect((await send({ '1': 'Paco' })).status).toBe(200)
    expect((await send({ '1': 'Paco', 'buttons.0': 'x' })).body).toMatchObject({ code: 'TEMPLATE_DEFINITION_NEEDED' })
    expect(await callsOf('templates')).toEqual([])
  })
})

describe('a template that has changed at Meta', () => {
  beforeEach(async () => {
    await atMeta(welcome('Hola {{1}}'))
    expect((await send({ '1': 'Paco' })).status).toBe(200)
  })

  test('is known anew once a webhook has told of it', async () => {
    await atMeta(welcome('Hola {{1}}, {{2}}'))
    rig.notify(company, 'message_template_components_update', {
      message_template_name: 'welcome',
      message_template_language: 'es-ES',
    })
    await vi.waitFor(() => expect(rig.logged.join('')).toMatch(/"template.changed".*"welcome"/), { timeout: 20_000 })
    await vi.waitFor(
      async () => expect((await send({ '1': 'Paco' })).body).toMatchObject({ code: 'TEMPLATE_DATA_MISMATCH' }),
      { timeout: 20_000 },
    )
    expect((await send({ '1': 'Paco', '2': 'Nora' })).status).toBe(200)
    expect((await outcomes()).filter((outcome) => outcome === 'refused')).toEqual([])
  })

  test('is found out by Meta’s refusal, and what is missing is named then', async () => {
    await atMeta(welcome('Hola {{1}}, {{2}}'))
    expect((await send({ '1': 'Paco' })).body).toMatchObject({
      code: 'TEMPLATE_DATA_MISMATCH',
      fields: [{ path: 'template_data.2' }],
    })
    expect(await outcomes()).toEqual(['accepted', 'refused'])
    expect((await send({ '1': 'Paco', '2': 'Nora' })).status).toBe(200)
  })

  test('is sent with what fits it now, in the same command', async () => {
    await atMeta(
      welcome('', {
        components: [
          { type: 'HEADER', format: 'IMAGE' },
          { type: 'BODY', text: 'Hola {{1}}' },
        ],
      }),
    )
    expect((await send({ '1': 'Paco' })).status).toBe(200)
    expect(await outcomes()).toEqual(['accepted', 'refused', 'accepted'])
  })

  test('and is gone is refused by its name, once Meta has said so', async () => {
    await fetch(`${rig.graphUrl}/simulate/templates?company_id=${company.id}&name=welcome`, { method: 'DELETE' })
    expect((await send({ '1': 'Paco' })).body).toMatchObject({ code: 'UNKNOWN_TEMPLATE' })
    expect(await outcomes()).toEqual(['accepted', 'refused'])
    expect((await send({ '1': 'Paco' })).body).toMatchObject({ code: 'UNKNOWN_TEMPLATE' })
    expect(await outcomes()).toEqual(['accepted', 'refused'])
  })
})

test('what Meta refuses although the template is as it was known stays refused', async () => {
  await atMeta(welcome('Hola {{1}}'))
  const components = [
    { type: 'header', parameters: [{ type: 'image', image: { link: COVER } }] },
    { type: 'body', parameters: [{ type: 'text', text: 'Paco' }] },
  ]
  const { body } = await sendRaw({ name: 'welcome', language: { code: 'es_ES' }, components })
  expect(body.error.code).toBe(132000)
  expect(await outcomes()).toEqual(['refused'])
})
