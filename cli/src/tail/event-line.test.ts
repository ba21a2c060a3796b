import { type EventData, type EventType, encodeEvent, eventId, newEvent } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'
import { eventJson, eventLine, readEntry } from './event-line.ts'

const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'

const entry = <T extends EventType>(type: T, data: EventData<T>, position = 7) => ({
  position,
  body: encodeEvent(
    newEvent({
      id: eventId(COMPANY, type, 'wamid.1'),
      source: '/test',
      type,
      subject: 'wamid.1',
      time: '2026-11-24T08:00:00.000Z',
      companyId: COMPANY,
      channel: 'whatsapp',
      recordedTime: '2026-11-24T08:00:01.000Z',
      data,
    }),
  ),
})

const PERSONAL = {
  chat_id: '34608684495',
  sender_phone: '34608684495',
  contact: { phone: '34608684495', name: 'Confidential Name', username: 'confidential' },
} as const
const about = { message_id: 'wamid.1', direction: 'inbound', ...PERSONAL } as const
const command = { command_id: 'c-1', chat_id: '34608684495' } as const
const error = { code: 131047, title: 'Re-engagement message', details: 'Confidential 34608684495' }

const entries = [
  entry('message.created', { ...about, kind: 'text', text: 'Confidential\nwords', status: 'received', raw: PERSONAL }),
  entry('message.edited', { ...about, edit_id: 'e', kind: 'text', text: 'Confidential words', raw: PERSONAL }),
  entry('message.deleted', { ...about, delete_id: 'd', raw: PERSONAL }),
  entry('status.updated', {
    ...PERSONAL,
    message_id: 'wamid.1',
    status: 'read',
    participant: '34608684495',
    raw: PERSONAL,
  }),
  entry('account.notified', { field: 'account_update', entity: 'change', raw: PERSONAL }),
  entry('webhook.unrecognised', { reason: 'no field', raw: PERSONAL }),
  entry('send.requested', { ...command, command: { to: '34608684495', message: { text: 'Confidential' } } }),
  entry('send.attempted', { ...command, attempt: 1 }),
  entry('send.refused', { ...command, attempt: 1, error }),
  entry('send.failed', { ...command, attempts: 5, error }),
  entry('send.uncertain', { ...command, attempt: 1, error }),
  entry('send.parked', { ...command, attempts: 1, error }),
  entry('send.redriven', { ...command, attempts: 1, dead_letter: 4 }),
  entry('receipt.sent', { ...command, message_id: 'wamid.1', typing: false, raw: PERSONAL }),
  entry('media.stored', {
    message_id: 'wamid.1',
    media_id: 'm',
    filename: 'Confidential.pdf',
    sha256: 'a'.repeat(64),
    size_bytes: 1,
    mime_type: 'image/png',
  }),
  entry('media.failed', {
    message_id: 'wamid.1',
    media_id: 'm',
    filename: 'Confidential.pdf',
    reason: 'expired',
    details: 'Confidential',
  }),
]

describe('a line for the eye', () => {
  test.each(entries.map((one) => [JSON.parse(one.body.toString()).type as string, one] as const))(
    'of %s shows no text, no name and no phone number',
    (type, one) => {
      const line = eventLine(readEntry(one), { showContent: false })
      expect(line).toContain(type)
      expect(line).toContain(`7  2026-11-24T08:00:01.000Z  ${COMPANY}`)
      expect(line).not.toMatch(/confidential|34608684495/i)
    },
  )

  test('shows them when asked to, on one line', () => {
    const line = eventLine(readEntry(entries[0] as (typeof entries)[0]), { showContent: true })
    expect(line).toContain('chat=34608684495 from=34608684495 name="Confidential Name" text="Confidential\\nwords"')
    expect(line).not.toContain('\n')
  })

  test('tells what matters', () => {
    const line = eventLine(readEntry(entry('send.failed', { ...command, attempts: 5, error })), { showContent: false })
    expect(line).toMatch(/send\.failed +wamid\.1 {2}attempts=5 error=131047 Re-engagement message$/)
  })

  test('obeys no control character of an event', () => {
    const line = eventLine(readEntry(entry('webhook.unrecognised', { reason: '\u001b[2J\u0007', raw: null })), {
      showContent: true,
    })
    expect(line).toContain('\uFFFD[2J\uFFFD')
  })

  test('says why an event cannot be read, with its position', () => {
    const body = Buffer.from(entries[0]?.body.toString().replace('message.created/1', 'message.created/99') as string)
    const line = eventLine(readEntry({ position: 12, body }), { showContent: false })
    expect(line).toMatch(/^ +12 {2}cannot be read: message\.created version 99 is newer than this software/)
  })
})

describe('a line of JSON', () => {
  const [one] = entries as [(typeof entries)[0]]
  test('is the whole event, or with its position', () => {
    expect(JSON.parse(eventJson(one, {})).data.text).toBe('Confidential\nwords')
    expect(JSON.parse(eventJson(one, { positions: true }))).toMatchObject({
      position: 7,
      event: { type: 'message.created' },
    })
  })
  test('is, as stored, the very bytes', () => {
    expect(eventJson(one, { asStored: true })).toBe(one.body.toString())
  })
  test('stays one line, whatever is stored', () => {
    expect(eventJson({ position: 1, body: Buffer.from('{\n "a": 1\n}') }, {})).toBe('{"a":1}')
    expect(eventJson({ position: 1, body: Buffer.from('no\nJSON') }, {})).toBe('"no\\nJSON"')
  })
})
