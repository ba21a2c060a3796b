import { expect, test } from 'vitest'
import {
  headersBack,
  isNoSuchObject,
  passedMedia,
  passedPage,
  passedQuery,
  passedText,
  readMedia,
} from './passed-answer.ts'

const TOKEN = 'EAA|token+with/signs'

test('the caller’s query goes on, without what would make another request of it', () => {
  const query = passedQuery('?name=order_ready&fields=name,status&method=delete&access_token=x&Access_Token=y&ids=1,2')
  expect([...query]).toEqual([
    ['name', 'order_ready'],
    ['fields', 'name,status'],
  ])
})
test('the next page is asked at ours, and Graph’s link to it does not show the token it contains', () => {
  const page = {
    data: [{ name: 'order_ready' }],
    paging: {
      cursors: { after: 'MjQ' },
      next: `https://graph.facebook.com/v22.0/102/message_templates?access_token=${encodeURIComponent(TOKEN)}&limit=1&after=MjQ`,
    },
  }
  const passed = passedPage(JSON.stringify(page), TOKEN, 'https://gw.example/v22.0/102/message_templates')
  expect(JSON.parse(passed)).toEqual({
    ...page,
    paging: { ...page.paging, next: 'https://gw.example/v22.0/102/message_templates?limit=1&after=MjQ' },
  })
})
test('the token is in no answer, wherever Graph wrote it', () => {
  for (const form of [TOKEN, encodeURIComponent(TOKEN)]) {
    expect(passedText(JSON.stringify({ error: { message: `Bad token ${form}` } }), TOKEN)).not.toContain(form)
    expect(passedPage(JSON.stringify({ data: [], paging: { first: form } }), TOKEN, 'https://gw')).not.toContain(form)
  }
})
test('what is no page comes back as it came', () =>
  expect(passedPage('<html>Bad gateway</html>', TOKEN, 'https://gw')).toBe('<html>Bad gateway</html>'))
test('of the headers those come back that speak of the answer', () =>
  expect(
    headersBack({
      'content-type': 'application/json',
      'x-business-use-case-usage': '{}',
      'set-cookie': ['a=b'],
      connection: 'close',
      'transfer-encoding': 'chunked',
      'www-authenticate': 'OAuth',
    }),
  ).toEqual({ 'content-type': 'application/json', 'x-business-use-case-usage': '{}' }))
test('a file is what has an address and a type', () => {
  expect(readMedia('{"url":"https://x","mime_type":"image/png","id":"1"}')).toMatchObject({ id: '1' })
  expect(readMedia('{"id":"102","name":"Bakery"}')).toBeUndefined()
  expect(readMedia('[1]')).toBeUndefined()
})
test('a file keeps what Graph says of it, but its address', () => {
  const media = { url: 'https://lookaside.fbsbx.com/x', mime_type: 'image/png', id: '1', file_size: 5 }
  const passed = JSON.parse(
    passedMedia(media, { companyId: 'c', mediaId: '1' }, { here: 'https://gw/v22.0/1', token: TOKEN, now: 0 }),
  )
  expect(passed).toEqual({ ...media, url: expect.stringMatching(/^https:\/\/gw\/v22\.0\/1\/content\?company_id=c&/) })
})
test('only Graph’s own words for an unknown id are taken for it', () => {
  const error = { error: { code: 100, error_subcode: 33 } }
  expect(isNoSuchObject(400, JSON.stringify(error))).toBe(true)
  expect(isNoSuchObject(400, JSON.stringify({ error: { code: 100 } }))).toBe(false)
  expect(isNoSuchObject(200, JSON.stringify(error))).toBe(false)
})
