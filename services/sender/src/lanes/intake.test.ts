import { randomUUID } from 'node:crypto'
import {
  COMMAND_SUBJECT_HEADER,
  REDRIVE_HEADER,
  REPLY_TO_HEADER,
  type SendCommandInput,
  subjects,
  TRACEPARENT_HEADER,
} from '@cloudapi2/contracts'
import { ack, type Delivery, later, MAX_DELIVERIES, type Publication } from '@cloudapi2/nats'
import { expect, test, vi } from 'vitest'
import type { Found } from '../tenant-resolution/sender-lookup.handler.ts'
import { createIntake, type Heard, type IntakeDeps } from './intake.handler.ts'

const COMPANY = randomUUID()
const SUBJECT = subjects.sendCommand(COMPANY, 'whatsapp')
const NUMBER = '674372385752523'

const command = (more: Partial<SendCommandInput> = {}) =>
  Buffer.from(
    JSON.stringify({
      id: 'invoice-1',
      channel: 'whatsapp',
      to: '608684495',
      message: { type: 'text', text: 'Hello' },
      ...more,
    }),
  )

const delivery = (data: Uint8Array, more: Partial<Delivery> & { all?: Record<string, string> } = {}): Delivery => ({
  subject: SUBJECT,
  data,
  header: (name) => more.all?.[name],
  headers: () => more.all ?? {},
  sequence: 7,
  deliveryCount: 1,
  storedAt: new Date(0),
  ...more,
})
const heard = (data: Uint8Array, all: Record<string, string> = {}): Heard => ({
  subject: SUBJECT,
  data,
  header: (name) => all[name],
})

/** An intake whose number is `NUMBER` unless the command names another one. */
const intake = (change: Partial<IntakeDeps> & { heldBack?: string[] } = {}) => {
  const published: Publication[] = []
  const queued: string[] = []
  const work = vi.fn(async () => ack)
  const { heldBack = [], ...deps } = change
  const started = createIntake({
    lookup: async ({ phone_number_id }) =>
      ({ kind: 'found', tenant: { companyId: COMPANY }, phoneNumberId: phone_number_id ?? NUMBER }) as unknown as Found,
    publisher: { publish: async (publication) => void published.push(publication) },
    work,
    onQueued: (id) => void queued.push(id),
    pace: {
      take: (id) => (heldBack.includes(id) ? 60_000 : 0),
      isHeldBack: (id) => heldBack.includes(id),
      isAnyHeldBack: () => heldBack.length > 0,
    },
    pause: (_ms, signal) =>
      new Promise((_, reject) => {
        if (signal?.aborted) reject(signal.reason)
        signal?.addEventListener('abort', () => reject(signal.reason))
      }),
    stopping: new AbortController().signal,
    ...deps,
  })
  return { ...started, published, queued, work }
}

test('a command passes into the lane of its number, whole, with its headers and the subject it came on', async () => {
  const { handler, published, queued } = intake()
  const all = {
    'Nats-Msg-Id': 'invoice-1',
    'Nats-Expected-Last-Sequence': '3',
    [REPLY_TO_HEADER]: '_INBOX.a.1',
    [TRACEPARENT_HEADER]: 'trace',
  }
  expect(await handler(delivery(command(), { all }))).toEqual(ack)
  const [publication] = published
  expect(publication).toMatchObject({ subject: `cmd.lane.${NUMBER}.normal`, data: command() })
  expect(publication?.headers).toEqual({
    [REPLY_TO_HEADER]: '_INBOX.a.1',
    [TRACEPARENT_HEADER]: 'trace',
    [COMMAND_SUBJECT_HEADER]: SUBJECT,
  })
  // Its own id would be dropped by the stream as a repeat of what lies in the queue.
  expect(publication?.msgId).not.toBe('invoice-1')
  expect(queued).toEqual([NUMBER])
})
test('an urgent one passes into the urgent lane', async () => {
  const { handler, published } = intake()
  await handler(delivery(command({ priority: 'high' })))
  expect(published[0]?.subject).toBe(`cmd.lane.${NUMBER}.high`)
})
test('what is no command, or has no number, goes to the worker, who refuses it', async () => {
  const noCommand = intake()
  await noCommand.handler(delivery(Buffer.from('hello')))
  const refused = intake({
    lookup: async () => ({ kind: 'refused', error: {}, tenant: undefined }) as unknown as Found,
  })
  await refused.handler(delivery(command()))
  for (const { work, published } of [noCommand, refused]) {
    expect(work).toHaveBeenCalledOnce()
    expect(published).toEqual([])
  }
})
test('while nobody can tell its number it comes again, until the worker has to refuse it', async () => {
  const away = new Error('nobody answers')
  const { handler, work } = intake({ lookup: () => Promise.reject(away) })
  await expect(handler(delivery(command()))).rejects.toBe(away)
  expect(work).not.toHaveBeenCalled()
  await handler(delivery(command(), { deliveryCount: MAX_DELIVERIES }))
  expect(work).toHaveBeenCalledOnce()
})
test('it stays in the queue when the lane did not take it', async () => {
  const refused = new Error('not stored')
  const { handler, queued } = intake({ publisher: { publish: () => Promise.reject(refused) } })
  await expect(handler(delivery(command()))).rejects.toBe(refused)
  expect(queued).toEqual([])
})

test('what a busy number has waiting is handed back at once when the service stops', async () => {
  const stopping = new AbortController()
  const { handler, published } = intake({ heldBack: [NUMBER], stopping: stopping.signal })
  const outcome = handler(delivery(command()))
  stopping.abort(new Error('stopping'))
  expect(await outcome).toEqual(later(0, 'handed back'))
  expect(published).toEqual([])
})
test('commands under no company are not held back: those of many would wait for each other', async () => {
  const { handler, published } = intake({ heldBack: [NUMBER] })
  await handler(delivery(command({ phone_number_id: NUMBER }), { subject: subjects.sendCommand('_', 'whatsapp') }))
  expect(published).toHaveLength(1)
})

test('behind a busy number, the urgent and those of other numbers pass as soon as they are heard of', async () => {
  const { overtake, published, queued } = intake({ heldBack: [NUMBER] })
  const all = { 'Nats-Msg-Id': 'x', [REPLY_TO_HEADER]: '_INBOX.a.1' }
  await overtake(heard(command({ priority: 'high' }), all))
  await overtake(heard(command({ phone_number_id: '99' })))
  await overtake(heard(command()))
  await overtake(heard(command({ phone_number_id: NUMBER })))
  expect(published.map(({ subject }) => subject)).toEqual([`cmd.lane.${NUMBER}.high`, 'cmd.lane.99.normal'])
  expect(published[0]?.headers).toEqual({ [REPLY_TO_HEADER]: '_INBOX.a.1', [COMMAND_SUBJECT_HEADER]: SUBJECT })
  expect(queued).toEqual([NUMBER, '99'])
})
test('nothing overtakes where nothing is held back: it comes in its turn at once', async () => {
  const { overtake, published } = intake()
  await overtake(heard(command({ priority: 'high' })))
  expect(published).toEqual([])
})
test('what is no command or is redriven does not overtake', async () => {
  const { overtake, published, work } = intake({ heldBack: ['1'] })
  await overtake(heard(Buffer.from('hello')))
  await overtake(heard(Buffer.from('null')))
  await overtake(heard(command({ priority: 'high', to: undefined as unknown as string })))
  await overtake(heard(command({ priority: 'high' }), { [REDRIVE_HEADER]: '{}' }))
  expect(published).toEqual([])
  expect(work).not.toHaveBeenCalled()
})
