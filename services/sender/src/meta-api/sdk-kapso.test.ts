import { buildTemplateSendPayload, GraphApiError, WhatsAppClient } from '@kapso/whatsapp-cloud-api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Company, type Rig, startRig } from './sender.rig.ts'

// The package as npm has it, with another base URL and our key.
const sdk = (url: string, accessToken: string) => new WhatsAppClient({ baseUrl: url, accessToken })

const WAMID = 'wamid.HBgLMzQ2MDg2ODQ0OTUVAgASGBQzQUE1RjlFN0Y2QzQ1RjY3QjYzNgA='
const TO = '+34608684495'

let rig: Rig
let company: Company
let client: WhatsAppClient
let phoneNumberId: string
beforeAll(async () => {
  rig = await startRig()
  company = await rig.newCompany()
  phoneNumberId = company.number
  client = sdk(rig.url, company.key)
})
afterAll(() => rig?.stop())

const accepted = {
  messagingProduct: 'whatsapp',
  contacts: [{ input: TO, waId: '34608684495' }],
  messages: [{ id: expect.stringMatching(/^wamid\./) }],
}
const lastCall = async () => (await rig.callsOf(company)).at(-1)
const refusal = (promise: Promise<unknown>): Promise<GraphApiError> =>
  promise.then(
    () => expect.unreachable('it was accepted'),
    (error: unknown) => {
      expect(error).toBeInstanceOf(GraphApiError)
      return error as GraphApiError
    },
  )

test('a text is answered as by Meta', async () => {
  expect(await client.messages.sendText({ phoneNumberId, to: TO, body: 'Your bread is ready' })).toEqual(accepted)
  expect(await lastCall()).toMatchObject({ type: 'text', outcome: 'accepted', to: TO })
})
test('a template', async () => {
  const template = buildTemplateSendPayload({
    name: 'order_ready',
    language: 'en_US',
    body: [
      { type: 'text', text: 'Nora' },
      { type: 'text', text: '5521' },
    ],
  })
  expect(await client.messages.sendTemplate({ phoneNumberId, to: TO, template: template as never })).toMatchObject({
    messages: [{ id: expect.stringMatching(/^wamid\./), messageStatus: 'accepted' }],
  })
})
test('an image by its link', async () => {
  const image = { link: 'https://media.example.com/rye.jpg', caption: 'Rye' }
  expect(await client.messages.sendImage({ phoneNumberId, to: TO, image })).toEqual(accepted)
})
test('buttons', async () => {
  const buttons = [
    { id: 'slot-0900', title: '09:00' },
    { id: 'slot-1000', title: '10:00' },
  ]
  const bodyText = 'When shall we come?'
  expect(await client.messages.sendInteractiveButtons({ phoneNumberId, to: TO, bodyText, buttons })).toEqual(accepted)
  expect(await lastCall()).toMatchObject({ type: 'interactive', outcome: 'accepted' })
})
test('a reaction', async () => {
  const reaction = { messageId: WAMID, emoji: '👍' }
  expect(await client.messages.sendReaction({ phoneNumberId, to: TO, reaction })).toEqual(accepted)
})
test('a message to a user id', async () => {
  const recipient = 'US.74920185533160284415'
  expect(await client.messages.sendText({ phoneNumberId, recipient, body: 'Hello' })).toMatchObject({
    contacts: [{ input: recipient }],
  })
})
test('a message is marked as read, with and without the sign of typing', async () => {
  expect(await client.messages.markRead({ phoneNumberId, messageId: WAMID })).toEqual({ success: true })
  expect(
    await client.messages.markRead({ phoneNumberId, messageId: WAMID, typingIndicator: { type: 'text' } }),
  ).toEqual({ success: true })
})
test('a file is uploaded, looked up, sent, downloaded and deleted', async () => {
  const bytes = new Uint8Array(70_000).map((_, index) => index % 251)
  const file = new Blob([bytes], { type: 'image/png' })
  const { id: mediaId } = await client.media.upload({ phoneNumberId, type: 'image', file, fileName: 'rye.png' })
  expect(await client.messages.sendImage({ phoneNumberId, to: TO, image: { id: mediaId } })).toEqual(accepted)

  const media = await client.media.get({ mediaId, phoneNumberId })
  expect(media).toMatchObject({ id: mediaId, mimeType: 'image/png', url: expect.stringContaining(`${rig.url}/`) })
  // By default the package sends no token with a download; `always` makes it.
  for (const auth of ['auto', 'always'] as const)
    expect(new Uint8Array((await client.media.download({ mediaId, auth })) as ArrayBuffer)).toEqual(bytes)

  expect(await client.media.delete({ mediaId })).toEqual({ success: true })
  expect((await refusal(client.media.get({ mediaId }))).errorSubcode).toBe(33)
})
test('templates are listed page by page', async () => {
  const first = await client.templates.list({ businessAccountId: company.waba, limit: 1 })
  expect(first.data.map(({ name }) => name)).toEqual(['order_ready'])
  const { after } = (first.paging as { cursors: { after: string } }).cursors
  const second = await client.templates.list({ businessAccountId: company.waba, limit: 1, after })
  expect(second.data.map(({ name }) => name)).toEqual(['order_late'])
})
test('a refusal of Meta is the error that the package throws', async () => {
  const error = await refusal(client.messages.sendText({ phoneNumberId, to: '+34600000002', body: 'Still there?' }))
  expect(error).toMatchObject({
    httpStatus: 400,
    code: 131047,
    category: 'reengagementWindow',
    details: expect.stringContaining('24 hours'),
    fbtraceId: expect.stringMatching(/^A/),
  })
})
test('a key that is none is answered as a token that is none', async () => {
  const error = await refusal(sdk(rig.url, 'ck_nobody').messages.sendText({ phoneNumberId, to: TO, body: 'Hello' }))
  expect(error).toMatchObject({ httpStatus: 401, code: 190 })
  expect(error.isAuthError()).toBe(true)
})
