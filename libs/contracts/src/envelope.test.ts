import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeEvent, encodeEvent, newEvent, parseEvent, UnreadableEvent } from './envelope.ts'
import { EVENT_DATA, EVENT_VERSION, type EventType, type StatusUpdatedData } from './events.ts'
import { UnknownEventVersion, upcast } from './upcasting.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'

const of = {
  id: '0b6f3c52-1f0e-5f6d-8b1e-2b1f0c6d7e8f',
  source: '/sender',
  time: '2026-11-24T08:15:30.000Z',
  companyId: COMPANY,
  channel: 'whatsapp',
  recordedTime: '2026-11-24T08:15:31.000Z',
}

const statusUpdated = (data: Partial<StatusUpdatedData> = {}) =>
  newEvent({
    id: '0b6f3c52-1f0e-5f6d-8b1e-2b1f0c6d7e8f',
    source: '/webhook-gateway',
    type: 'status.updated',
    subject: 'wamid.A',
    time: '2026-11-24T08:15:30.000Z',
    companyId: COMPANY,
    channel: 'whatsapp',
    recordedTime: '2026-11-24T08:15:31.000Z',
    data: { message_id: 'wamid.A', status: 'read', raw: { id: 'wamid.A', status: 'read' }, ...data },
  })

test('an event is CloudEvents 1.0 with the version of its data', () => {
  expect(statusUpdated()).toMatchObject({ specversion: '1.0', companyid: COMPANY, dataschema: 'status.updated/1' })
})

test('what was stored is what is read, whatever the channel sent', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ minLength: 1, unit: 'binary' }), (raw, message_id) => {
      const event = statusUpdated({ raw, message_id })
      // -0 is not JSON: it comes back as 0 from any JSON text.
      expect(decodeEvent(encodeEvent(event))).toEqual(JSON.parse(JSON.stringify(event)))
    }),
  )
})

test.each([
  ['number.paused', { phone_number_id: '12', code: 190, title: 'Access token has expired', action: 'Replace it.' }],
  ['number.resumed', { phone_number_id: '12', code: 190, title: 'Access token has expired', by: 'probe' }],
] as const)('a %s comes back as it was stored, and needs its number', (type, data) => {
  const event = newEvent({ ...of, type, subject: '12', data } as never)
  expect(decodeEvent(encodeEvent(event))).toEqual(event)
  expect(() => parseEvent({ ...event, data: { ...data, phone_number_id: '' } })).toThrow(UnreadableEvent)
})

test('a key that a later version added passes through', () => {
  const event = statusUpdated({ added_later: { deep: true } })
  expect(parseEvent(event).data).toHaveProperty('added_later.deep', true)
})

test('every type has a version and a schema', () => {
  expect(Object.keys(EVENT_VERSION).sort()).toEqual(Object.keys(EVENT_DATA).sort())
})

test.each([
  ['not JSON', '{', /not JSON/],
  ['another specversion', { ...statusUpdated(), specversion: '0.3' }, /specversion/],
  ['a company id that would be syntax', { ...statusUpdated(), companyid: 'a.>' }, /companyid/],
  ['a type nobody knows', { ...statusUpdated(), type: 'status.invented' }, /type/],
  ['a prototype name as type', { ...statusUpdated(), type: 'constructor' }, /type/],
  ['a schema of another type', { ...statusUpdated(), dataschema: 'message.created/1' }, /dataschema/],
  ['data without its message', { ...statusUpdated(), data: { status: 'read' } }, /data: message_id/],
])('%s is not a readable event, and the error says what is wrong', (_name, body, reason) => {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  expect(() => decodeEvent(bytes)).toThrow(UnreadableEvent)
  expect(() => decodeEvent(bytes)).toThrow(reason)
})

test('an event newer than the software is refused, not guessed at', () => {
  expect(() => parseEvent({ ...statusUpdated(), dataschema: 'status.updated/2' })).toThrow(UnknownEventVersion)
})

test('an old event is brought up step by step where it is read', () => {
  const steps = {
    'status.updated/1': (data: Record<string, unknown>) => ({ ...data, participant: data.who }),
    'status.updated/2': (data: Record<string, unknown>) => ({ ...data, status: String(data.status).toLowerCase() }),
  }
  const old = { message_id: 'wamid.A', status: 'READ', who: '34608684495' }
  expect(upcast('status.updated', 1, old, steps, 3)).toMatchObject({ status: 'read', participant: '34608684495' })
  expect(() => upcast('status.updated', 1, old, {}, 3)).toThrow(UnknownEventVersion)
})

test('nothing of an unreadable event is quoted in the error', () => {
  const bytes = Buffer.from(JSON.stringify({ ...statusUpdated(), time: 'secret-value' }))
  expect(() => decodeEvent(bytes)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('secret') }))
})

test('types are named noun.verb', () => {
  for (const type of Object.keys(EVENT_DATA) as EventType[]) expect(type).toMatch(/^[a-z]+\.[a-z]+$/)
})
