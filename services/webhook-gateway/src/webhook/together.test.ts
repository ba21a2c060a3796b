import { expect, test } from 'vitest'
import { together } from './together.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('what one turn gives is worked in one go, in order; what comes meanwhile is worked next', async () => {
  const worked: number[][] = []
  const give = together<number>((items) => {
    worked.push([...items])
    if (worked.length === 1) for (const item of [4, 5]) give(item)
  })
  for (const item of [1, 2, 3]) give(item)
  expect(worked).toEqual([])
  await turn()
  expect(worked).toEqual([[1, 2, 3]])
  await turn()
  expect(worked).toEqual([
    [1, 2, 3],
    [4, 5],
  ])
})
