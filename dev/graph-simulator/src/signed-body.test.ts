import { expect, test } from 'vitest'
import { metaJson, signatureOf } from './signed-body.ts'
import { fixture } from './simulator.rig.ts'

const vectors: { name: string; app_secret: string; body_base64: string; x_hub_signature_256: string }[] =
  fixture('signature-vectors')

test.each(vectors)('signs $name', ({ app_secret, body_base64, x_hub_signature_256 }) => {
  expect(signatureOf(Buffer.from(body_base64, 'base64'), app_secret)).toBe(x_hub_signature_256)
})

test('writes JSON in ASCII as Meta does, and it still means the same', () => {
  const value = { text: 'äöå 🥖 a/b', quote: '"\\', control: '\u0000\n' }
  expect(metaJson(value)).toBe(
    String.raw`{"text":"\u00e4\u00f6\u00e5 \ud83e\udd56 a\/b","quote":"\"\\","control":"\u0000\n"}`,
  )
  expect(JSON.parse(metaJson(value))).toEqual(value)
})

test('a body that is nothing is null', () => expect(metaJson(undefined)).toBe('null'))
