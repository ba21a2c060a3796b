import { describe, expect, test } from 'vitest'
import { byteRange, namesTag } from './byte-range.ts'
import { contentDisposition } from './content-disposition.ts'
import { BYTES, isShown, servedType } from './served-type.ts'

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'

describe('the type that a file is served with', () => {
  test.each([
    ['image/jpeg', 'image/jpeg', 'image/jpeg'],
    ['audio/ogg; codecs=opus', 'audio/ogg; codecs=opus', 'audio/ogg'],
    ['Image/JPG', 'image/jpeg', 'image/jpeg'],
    ['audio/mp4', 'audio/x-m4a', 'audio/mp4'],
    ['audio/mp4', 'video/mp4', 'audio/mp4'],
    ['video/3gpp', 'video/mp4', 'video/3gpp'],
    [DOCX, 'application/zip', DOCX],
    ['application/msword', 'application/x-cfb', 'application/msword'],
    ['text/plain', undefined, 'text/plain'],
    [undefined, 'image/png', 'image/png'],
    // Not shown, not named, and no lie either.
    ['text/csv', undefined, BYTES],
    ['text/html', undefined, BYTES],
    ['image/svg+xml', undefined, BYTES],
    ['application/x-7z-compressed', 'application/x-7z-compressed', BYTES],
    [undefined, undefined, BYTES],
  ])('claimed as %s and seen as %s is %s', (claimed, seen, mimeType) =>
    expect(servedType(claimed, seen)).toEqual({ mimeType, isMismatch: false }),
  )

  test.each([
    ['image/jpeg', 'image/png', 'image/png'],
    ['audio/aac', 'audio/mp4', 'audio/mp4'],
    ['image/jpeg', undefined, BYTES],
    ['application/pdf', undefined, BYTES],
    ['image/png', 'application/x-msdownload', BYTES],
    ['image/png', 'application/xml', BYTES],
    ['text/plain', 'application/x-elf', BYTES],
    [DOCX, 'application/x-msdownload', BYTES],
  ])('claimed as %s and seen as %s is %s, and the difference is told', (claimed, seen, mimeType) =>
    expect(servedType(claimed, seen)).toEqual({ mimeType, isMismatch: true }),
  )

  test('is shown in place for pictures, sound and film alone', () => {
    expect(['image/png', 'audio/ogg', 'video/mp4'].every(isShown)).toBe(true)
    expect(['text/html', 'image/svg+xml', 'application/pdf', 'text/plain', BYTES].some(isShown)).toBe(false)
  })
})

describe('the part that a range asks for', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=10-', { start: 10, end: 99 }],
    ['bytes=90-500', { start: 90, end: 99 }],
    ['bytes=-10', { start: 90, end: 99 }],
    ['bytes=-500', { start: 0, end: 99 }],
    ['BYTES = 1 - 2', { start: 1, end: 2 }],
    ['bytes=100-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=5-2', undefined],
    ['bytes=-', undefined],
    ['bytes=0-1,5-6', undefined],
    ['lines=1-2', undefined],
    [undefined, undefined],
  ])('%s', (header, range) => expect(byteRange(header, 100)).toEqual(range))
  test('of a file without bytes is none that there is', () => {
    expect(byteRange('bytes=0-', 0)).toBe('unsatisfiable')
    expect(byteRange('bytes=-1', 0)).toBe('unsatisfiable')
  })
})

test.each([
  ['"a"', true],
  ['W/"a"', true],
  ['"b", "a"', true],
  ['*', true],
  ['"b"', false],
  ['a', false],
  [undefined, false],
])('If-None-Match %s names the tag "a": %s', (header, isNamed) => expect(namesTag(header, '"a"')).toBe(isNamed))

describe('the name of a file', () => {
  test.each([
    ['invoice.pdf', 'filename="invoice.pdf"'],
    ['Rechnung März.pdf', `filename="Rechnung M_rz.pdf"; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf`],
    ['a"; filename="b.exe', 'filename="a_; filename=_b.exe"'],
    ['../../etc/passwd', 'filename="_.._etc_passwd"'],
    ['C:\\temp\\x.pdf', 'filename="C__temp_x.pdf"'],
    ['a\r\nSet-Cookie: x=1', 'filename="aSet-Cookie_ x=1"'],
    ['invoice\u202Efdp.exe', 'filename="invoicefdp.exe"'],
    ['100%.pdf', `filename="100_.pdf"; filename*=UTF-8''100%25.pdf`],
    ["it's (1).pdf", `filename="it's (1).pdf"`],
    ['😀.png', `filename="_.png"; filename*=UTF-8''%F0%9F%98%80.png`],
    ['...', 'filename="123"'],
    ['', 'filename="123"'],
    [undefined, 'filename="123"'],
  ])('%j', (name, parameters) =>
    expect(contentDisposition('attachment', name, '123')).toBe(`attachment; ${parameters}`),
  )
  test('is cut from the front, so that its ending stays', () => {
    expect(contentDisposition('inline', `${'x'.repeat(500)}.pdf`, '1')).toMatch(/^inline; filename="x{146}\.pdf"$/)
  })
  test('with half a character is a name all the same', () => {
    expect(contentDisposition('inline', 'a\ud83d.pdf', '1')).toBe('inline; filename="a.pdf"')
  })
})
