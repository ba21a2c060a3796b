import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHeap } from './heap.ts'

test('the first is the least, whatever was put in, moved and taken out', () => {
  const change = fc.record({ item: fc.nat(20), key: fc.nat(50), what: fc.constantFrom('put', 'put', 'remove') })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
      const items = Array.from({ length: 21 }, (_, id) => ({ id, key: 0 }))
      const heap = createHeap<{ id: number; key: number }>((a, b) => a.key < b.key)
      const inside = new Set<{ id: number; key: number }>()
      for (const { item, key, what } of changes) {
        const one = items[item] as { id: number; key: number }
        if (what === 'put') {
          one.key = key
          heap.put(one)
          inside.add(one)
        } else {
          heap.remove(one)
          inside.delete(one)
        }
        expect(heap.size()).toBe(inside.size)
        expect(heap.has(one)).toBe(inside.has(one))
        expect(heap.first()?.key).toBe(inside.size === 0 ? undefined : Math.min(...[...inside].map((of) => of.key)))
      }
    }),
  )
})
