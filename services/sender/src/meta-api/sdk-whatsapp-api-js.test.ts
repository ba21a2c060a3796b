import { afterAll, beforeAll, expect, test } from 'vitest'
import { WhatsAppAPI } from 'whatsapp-api-js'
import {
  ActionButtons,
  Body,
  BodyComponent,
  BodyParameter,
  Button,
  Image,
  Interactive,
  Reaction,
  Template,
  Text,
} from 'whatsapp-api-js/messages'
import { type Company, type Rig, startRig } from './sender.rig.ts'

// The package as npm has it. It knows one address only, and takes the function that fetches: the way it is meant to be
// pointed elsewhere.
const sdk = (url: string, token: string) =>
  new WhatsAppAPI({
    token,
    v: 'v23.0',
    secure: false,
    ponyfill: {
      fetch: (address, options) => fetch(String(address).replace('https://graph.facebook.com', url), options),
    },
  })

const WAMID = 'wamid.HBgLMzQ2MDg2ODQ0OTUVAgASGBQzQUE1RjlFN0Y2QzQ1RjY3QjYzNgA='
const PHONE = '+34608684495'

let rig: Rig
let company: Company
let whatsapp: WhatsAppAPI
beforeAll(async () => {
  rig = await startRig()
  company = await rig.newCompany()
  whatsapp = sdk(rig.url, company.key)
})
afterAll(() => rig?.stop())

const accepted = {
  messaging_product: 'whatsapp',
  contacts: [{ input: PHONE, wa_id: '34608684495' }],
  messages: [{ id: expect.stringMatching(/^wamid\./) }],
}
const lastCall = async () => (await rig.callsOf(company)).at(-1)

test('a text is answered as by Meta', async () => {
  expect(await whatsapp.sendMessage(company.number, PHONE, new Text('Your bread is ready'))).toEqual(accepted)
  expect(await lastCall()).toMatchObject({ type: 'text', outcome: 'accepted', to: '+34608684495' })
})
test('a reply', async () => {
  expect(await whatsapp.sendMessage(company.number, PHONE, new Text('Yes'), WAMID)).toEqual(accepted)
})
test('a template', async () => {
  const template = new Template(
    'order_ready',
    'en_US',
    new BodyComponent(new BodyParameter('Nora'), new BodyParameter('5521')),
  )
  expect(await whatsapp.sendMessage(company.number, PHONE, template)).toMatchObject({
    messages: [{ id: expect.stringMatching(/^wamid\./), message_status: 'accepted' }],
  })
  expect(await lastCall()).toMatchObject({ type: 'template', outcome: 'accepted' })
})
test('an image by its link', async () => {
  const image = new Image('https://media.example.com/rye.jpg', false, 'Rye')
  expect(await whatsapp.sendMessage(company.number, PHONE, image)).toEqual(accepted)
  expect(await lastCall()).toMatchObject({ type: 'image', outcome: 'accepted' })
})
test('buttons', async () => {
  const buttons = new Interactive(
    new ActionButtons(new Button('slot-0900', '09:00'), new Button('slot-1000', '10:00')),
    new Body('When shall we come?'),
  )
  expect(await whatsapp.sendMessage(company.number, PHONE, buttons)).toEqual(accepted)
  expect(await lastCall()).toMatchObject({ type: 'interactive', outcome: 'accepted' })
})
test('a reaction', async () => {
  expect(await whatsapp.sendMessage(company.number, PHONE, new Reaction(WAMID, '👍'))).toEqual(accepted)
  expect(await lastCall()).toMatchObject({ type: 'reaction', outcome: 'accepted' })
})
test('a message to a user id', async () => {
  const bsuid = 'US.74920185533160284415'
  expect(await whatsapp.sendMessage(company.number, { bsuid }, new Text('Hello'))).toMatchObject({
    contacts: [{ input: bsuid }],
    messages: [{ id: expect.stringMatching(/^wamid\./) }],
  })
})
test('a message is marked as read, with and without the sign of typing', async () => {
  expect(await whatsapp.markAsRead(company.number, WAMID)).toEqual({ success: true })
  expect(await whatsapp.markAsRead(company.number, WAMID, 'text')).toEqual({ success: true })
})
test('a file is uploaded, looked up, sent, downloaded and deleted', async () => {
  const bytes = new Uint8Array(70_000).map((_, index) => index % 251)
  const form = new FormData()
  form.set('file', new File([bytes], 'rye.png', { type: 'image/png' }))
  const uploaded = await whatsapp.uploadMedia(company.number, form)
  const { id } = uploaded as { id: string }
  expect(uploaded).toEqual({ id: expect.stringMatching(/^\d+$/) })

  expect(await whatsapp.sendMessage(company.number, PHONE, new Image(id, true))).toEqual(accepted)

  const media = (await whatsapp.retrieveMedia(id)) as { url: string }
  expect(media).toMatchObject({ id, mime_type: 'image/png', url: expect.stringContaining(`${rig.url}/v23.0/${id}/`) })
  const file = await whatsapp.fetchMedia(media.url)
  expect(file.headers.get('content-type')).toBe('image/png')
  expect(new Uint8Array(await file.arrayBuffer())).toEqual(bytes)

  expect(await whatsapp.deleteMedia(id, company.number)).toEqual({ success: true })
  expect(await whatsapp.retrieveMedia(id)).toMatchObject({ error: { code: 100, error_subcode: 33 } })
})
test('a refusal of Meta is the error that the package expects', async () => {
  const answer = await whatsapp.sendMessage(company.number, '+34600000002', new Text('Still there?'))
  expect(answer).toEqual({
    error: {
      message: '(#131047) Re-engagement message',
      type: 'OAuthException',
      code: 131047,
      error_data: { messaging_product: 'whatsapp', details: expect.stringContaining('24 hours') },
      fbtrace_id: expect.stringMatching(/^A/),
    },
  })
})
test('a key that is none is answered as a token that is none', async () => {
  const answer = await sdk(rig.url, 'ck_nobody').sendMessage(company.number, PHONE, new Text('Hello'))
  expect(answer).toMatchObject({ error: { code: 190, type: 'OAuthException', fbtrace_id: expect.any(String) } })
})
