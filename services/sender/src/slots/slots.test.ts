import { expect, test } from 'vitest'
import { createSlots } from './slots.ts'

const request = (priority: 'high' | 'normal' = 'normal') => ({
  companyId: 'c',
  phoneNumberId: '1',
  chatId: '2',
  priority,
})
const never = new AbortController().signal

test('no more than so many have a slot at the same time', async () => {
  const slots = createSlots(2)
  const release = await slots.take(request(), never)
  await slots.take(request(), never)
  const third = slots.take(request(), never)
  expect(slots.waiting()).toBe(1)
  release()
  await third
  expect(slots.waiting()).toBe(0)
})

test('those with priority go first, else whoever asked first', async () => {
  const slots = createSlots(1)
  const release = await slots.take(request(), never)
  const order: string[] = []
  const ask = (name: string, priority: 'high' | 'normal') =>
    slots.take(request(priority), never).then((done) => {
      order.push(name)
      done()
    })
  const all = Promise.all([ask('first', 'normal'), ask('second', 'normal'), ask('urgent', 'high')])
  release()
  await all
  expect(order).toEqual(['urgent', 'first', 'second'])
})

test('whoever stops waiting leaves the line, and the slot goes to the next', async () => {
  const slots = createSlots(1)
  const release = await slots.take(request(), never)
  const stopping = new AbortController()
  const gone = slots.take(request(), stopping.signal)
  const next = slots.take(request(), never)
  stopping.abort(new Error('stopping'))
  await expect(gone).rejects.toThrow('stopping')
  release()
  await next
})

test('a slot given back twice is one slot', async () => {
  const slots = createSlots(1)
  const release = await slots.take(request(), never)
  release()
  release()
  await slots.take(request(), never)
  void slots.take(request(), never)
  expect(slots.waiting()).toBe(1)
})
