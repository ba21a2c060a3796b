import { isMediaAddress } from '@cloudapi2/whatsapp'
import { expect, test } from 'vitest'
import { LINK_LIFETIME_MS, linkQuery, readLink } from './media-link.ts'

const TOKEN = 'EAAtoken'
const NOW = 1_790_000_000_000
const FILE = {
  companyId: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
  mediaId: '1460927783319058',
  target: 'https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1460927783319058&ext=1790000300&hash=Ab',
}
const query = () => Object.fromEntries(linkQuery(FILE, TOKEN, NOW))
const read = (link: Record<string, unknown>, { mediaId = FILE.mediaId, token = TOKEN, now = NOW } = {}) =>
  readLink(mediaId, link, token, now)

test('a link stands for the file it was made for', () => expect(read(query())).toBe(FILE.target))
test('a link shows no token', () => expect(JSON.stringify(query())).not.toContain(TOKEN))
test('a link lives as long as Meta’s own', () => {
  expect(read(query(), { now: NOW + LINK_LIFETIME_MS - 1 })).toBe(FILE.target)
  expect(read(query(), { now: NOW + LINK_LIFETIME_MS })).toBeUndefined()
})
test.each([
  ['target', Buffer.from('https://169.254.169.254/latest/meta-data').toString('base64url')],
  ['company_id', '6f6b5d0e-1d7e-4c57-9d2d-0a7c1f1f2b3c'],
  ['expires', String(NOW + 10 * LINK_LIFETIME_MS)],
  ['signature', 'AAAA'],
])('a link with another %s opens nothing', (name, value) => expect(read({ ...query(), [name]: value })).toBeUndefined())
test('a link opens no other file, and nothing after the token was changed', () => {
  expect(read(query(), { mediaId: '1460927783319059' })).toBeUndefined()
  expect(read(query(), { token: 'EAAother' })).toBeUndefined()
})
test('a link without one of its parts, or with one twice, opens nothing', () => {
  for (const name of Object.keys(query())) {
    expect(read({ ...query(), [name]: undefined })).toBeUndefined()
    expect(read({ ...query(), [name]: ['a', 'b'] })).toBeUndefined()
  }
})

test.each([
  ['https://lookaside.fbsbx.com/x', true],
  ['https://scontent.xx.fbcdn.net/x', true],
  ['https://graph.facebook.com/x', true],
  ['http://127.0.0.1:8089/media-download/1', true],
  ['http://lookaside.fbsbx.com/x', false],
  ['https://lookaside.fbsbx.com.evil.example/x', false],
  ['https://evilfbsbx.com/x', false],
  ['https://lookaside.fbsbx.com@evil.example/x', false],
  ['http://127.0.0.1:9000/x', false],
  ['file:///etc/passwd', false],
  ['nonsense', false],
])('the token goes to Meta and to where Graph is asked, nowhere else: %s %s', (url, is) =>
  expect(isMediaAddress(url, 'http://127.0.0.1:8089')).toBe(is),
)
