import { expect, test } from 'vitest'
import { copyText } from './copy-text.ts'

const textOf = (rows: Parameters<typeof copyText>[1]) => Buffer.concat([...copyText(['a', 'b'], rows)]).toString()

test('a row is a line of fields between tabs; null and absent are told from texts', () => {
  expect(textOf([{ a: 1, b: 'x' }, { a: null }, { a: '', b: '\\N' }])).toBe('1\tx\n\\N\t\\N\n\t\\\\N\n')
})
test('what would end a field or a line is escaped', () => {
  expect(textOf([{ a: 'tab\there', b: 'line\nreturn\rback\\slash' }])).toBe(
    'tab\\there\tline\\nreturn\\rback\\\\slash\n',
  )
})
test('many rows come in pieces of whole lines', () => {
  const rows = Array.from({ length: 200 }, (_, i) => ({ a: i, b: 'ñ' }))
  const pieces = [...copyText(['a', 'b'], rows)]
  expect(pieces.length).toBeGreaterThan(1)
  for (const piece of pieces) expect(piece.toString().endsWith('ñ\n')).toBe(true)
  expect(Buffer.concat(pieces).toString().split('\n')).toHaveLength(201)
})
