import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChainOrderBroken, type ChainState, chainText, extendChain, startChain } from './chain.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const bytes = (text: string) => Buffer.from(text)
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const chainOf = (entries: readonly { position: number; body: Uint8Array }[], companyId = COMPANY): ChainState =>
  entries.reduce(extendChain, startChain(companyId))

describe('the chain', () => {
  test('is what its description says, so that another program can make it', () => {
    const head0 = sha256(`cloudapi2 audit chain 1\n${COMPANY}`)
    const head1 = sha256(`${head0}\n7\n{"a":1,"b":"é"}`)
    const head2 = sha256(`${head1}\n12\n{"c":[]}`)
    expect(startChain(COMPANY)).toEqual({ position: 0, events: 0, head: head0 })
    const first = { position: 7, body: bytes('{ "b": "\\u00e9", "a": 1.0 }') }
    expect(chainOf([first])).toEqual({ position: 7, events: 1, head: head1 })
    expect(chainOf([first, { position: 12, body: bytes('{"c":[]}') }])).toEqual({
      position: 12,
      events: 2,
      head: head2,
    })
  })

  // Fixed for ever: heads that were recorded by an older version are compared with those of this one.
  test('has the same heads in every version of this software', () => {
    expect(startChain(COMPANY).head).toBe('92cb1aefcfc45b615ba13760064ad3ba324b9334c485efc4bb468f53115d5264')
    expect(chainOf([{ position: 1, body: bytes('{"id":"x"}') }]).head).toBe(
      '26912fac3c34fd7399f496b6e3d789da06448229f52168277be0b2b08667fe89',
    )
  })

  test('goes on from any state that was kept, as if it had been made in one go', () => {
    const entries = fc
      .array(fc.jsonValue(), { minLength: 1, maxLength: 8 })
      .map((values) => values.map((value, i) => ({ position: 3 * i + 1, body: bytes(JSON.stringify(value)) })))
    fc.assert(
      fc.property(entries, fc.nat(8), (all, cut) => {
        const kept = JSON.parse(JSON.stringify(chainOf(all.slice(0, cut)))) as ChainState
        expect(all.slice(cut).reduce(extendChain, kept)).toEqual(chainOf(all))
      }),
    )
  })

  test('differs when an event, a position, the order or the company is another', () => {
    const one = { position: 1, body: bytes('{"a":1}') }
    const two = { position: 2, body: bytes('{"a":2}') }
    const heads = [
      chainOf([one, two]),
      chainOf([one]),
      chainOf([one, { ...two, position: 3 }]),
      chainOf([one, { ...two, body: bytes('{"a":3}') }]),
      chainOf([
        { ...one, body: two.body },
        { ...two, body: one.body },
      ]),
      chainOf([one, two], '_'),
    ].map(({ head }) => head)
    expect(new Set(heads).size).toBe(heads.length)
  })

  test('is not made of events in another order than the log has them', () => {
    const after = chainOf([{ position: 5, body: bytes('{}') }])
    for (const position of [5, 4, 0, Number.NaN])
      expect(() => extendChain(after, { position, body: bytes('{}') })).toThrow(ChainOrderBroken)
  })
})

describe('the text of an event', () => {
  test('is the same for every way to write the same JSON', () => {
    expect(chainText(bytes(' {"b":-0, "a":[1e2,"\\/"], "10":1, "9":2}\n'))).toBe('{"10":1,"9":2,"a":[100,"/"],"b":0}')
  })
  test('reads a key that comes twice, and a number no double holds, as every other reader of the log does', () => {
    expect(chainText(bytes('{"a":1,"a":2}'))).toBe('{"a":2}')
    expect(chainText(bytes('{"a":12345678901234567890}'))).toBe('{"a":12345678901234567000}')
  })
  test('keeps a lone surrogate and U+0000 as their escapes', () => {
    expect(chainText(bytes('{"a":"\\ud800x\\u0000"}'))).toBe('{"a":"\\ud800x\\u0000"}')
  })
  test('of what is no JSON is its bytes, so that nothing in the log is left out', () => {
    expect(chainText(bytes('not json'))).toBe('{"not_json_base64":"bm90IGpzb24="}')
    expect(chainText(bytes(''))).toBe('{"not_json_base64":""}')
    expect(chainText(bytes(`${'['.repeat(1e6)}${']'.repeat(1e6)}`))).toMatch(/^\{"not_json_base64":"W1tb/)
  })
})
