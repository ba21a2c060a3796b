import { messageRowId } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'
import {
  at,
  deleted,
  edited,
  logged,
  NUMBER,
  PACO,
  received,
  SOLVIFY,
  send,
  sent,
  status,
} from './event-builders.contract.ts'
import { fold, type LoggedEvent } from './fold.ts'
import { externalMessage } from './message-state.ts'

/** The one row of external_messages that events amount to; undefined when there is none. */
const rowOf = (...events: LoggedEvent[]) => {
  const rows = [...fold(events).messages.values()].map(externalMessage).filter((row) => row !== undefined)
  expect(rows.length).toBeLessThan(2)
  return rows[0]
}
const contactOf = (...events: LoggedEvent[]) => [...fold(events).contacts.values()]

describe('a row of external_messages', () => {
  test('is made of the message that came', () => {
    expect(rowOf(received('wamid.1', {}, { time: at(3) }))).toEqual({
      id: messageRowId(SOLVIFY, 'wamid.1'),
      message: 'Hola',
      sender_phone: PACO,
      responsible_email: null,
      last_message_uid: 'wamid.1',
      last_message_timestamp: at(3),
      from_me: false,
      status: 'received',
      created_at: at(3),
      updated_at: at(3),
      is_deleted: false,
      chat_url: null,
      chat_id: PACO,
      assigned_to_id: null,
      company_id: SOLVIFY,
    })
  })

  test('takes over what the sender of an outbound message wanted it to say', () => {
    const assigned_to_id = 'B5078967-FF48-4F37-914F-52C5B64639E8'
    expect(
      rowOf(sent('wamid.1', { responsible_email: 'ana@solvify.es', assigned_to_id, chat_url: 'https://crm/1' })),
    ).toMatchObject({
      from_me: true,
      sender_phone: '34911000000',
      responsible_email: 'ana@solvify.es',
      assigned_to_id: assigned_to_id.toLowerCase(),
      chat_url: 'https://crm/1',
    })
  })

  test('has nobody assigned when the id is no uuid', () => {
    expect(rowOf(sent('wamid.1', { assigned_to_id: 'paco' }))?.assigned_to_id).toBeNull()
  })

  test.each([
    ['image', undefined, '[image]'],
    ['image', 'Mira', 'Mira'],
    ['reaction', undefined, '[reaction]'],
    ['text', '', '[text]'],
  ])('says what a %s with the text %s is', (kind, text, message) => {
    expect(rowOf(received('wamid.1', { kind, text }))?.message).toBe(message)
  })

  test('knows the sender of an inbound message by its contact, of an outbound one by the business number', () => {
    const contact = { phone: '+34 600 000 001' }
    expect(rowOf(received('wamid.1', { sender_phone: undefined, contact }))?.sender_phone).toBe('34600000001')
    const outbound = sent('wamid.1', { sender_phone: undefined, display_phone_number: '+34 911 000 000' })
    expect(rowOf(outbound)?.sender_phone).toBe('34911000000')
    expect(
      rowOf(received('wamid.1', { sender_phone: undefined, contact: { user_id: 'ES.1' } }))?.sender_phone,
    ).toBeNull()
  })

  test('does not exist for statuses, edits and deletions alone', () => {
    expect(
      rowOf(status('wamid.1', 'read', at(1)), edited('wamid.1', 'x', at(2)), deleted('wamid.1', at(3))),
    ).toBeUndefined()
  })

  test('ends the same when they come before their message', () => {
    const before = [status('wamid.1', 'read', at(1)), edited('wamid.1', 'Corregido', at(2)), deleted('wamid.1', at(3))]
    const message = sent('wamid.1')
    expect(rowOf(...before, message)).toEqual(rowOf(message, ...before))
    expect(rowOf(...before, message)).toMatchObject({
      status: 'read',
      message: 'Corregido',
      is_deleted: true,
      created_at: at(0),
      updated_at: at(3),
      last_message_timestamp: at(3),
    })
  })
})

describe('the status', () => {
  test.each([
    [['sent', 'delivered', 'read'], 'read'],
    [['read', 'delivered', 'sent'], 'read'],
    [['delivered', 'failed'], 'delivered'],
    [['sent', 'failed'], 'failed'],
    [[], 'accepted'],
    [['deleted', 'warning', 'something_new'], 'accepted'],
  ])('after %s is %s', (statuses, expected) => {
    expect(rowOf(sent('wamid.1'), ...statuses.map((s, i) => status('wamid.1', s, at(i))))?.status).toBe(expected)
  })

  test('of an inbound message stays received', () => {
    expect(rowOf(received('wamid.1'), status('wamid.1', 'read', at(9)))?.status).toBe('received')
  })

  test('that moves nothing is told in the timeline all the same', () => {
    const { timeline } = fold([status('wamid.1', 'warning', at(1), { errors: [{ code: 131026 }] })])
    expect([...timeline.values()]).toEqual([
      expect.objectContaining({
        status: 'warning',
        occurred_at: at(1),
        errors: '[{"code":131026}]',
        participant: null,
      }),
    ])
  })
})

describe('edits and deletions', () => {
  test('the edit made last replaces the text', () => {
    expect(
      rowOf(edited('wamid.1', 'third', at(3)), received('wamid.1'), edited('wamid.1', 'second', at(2)))?.message,
    ).toBe('third')
  })

  test('of two edits at the same time the greater event id counts', () => {
    const low = edited('wamid.1', 'low', at(2), { id: '00000000-0000-5000-8000-000000000001' })
    const high = edited('wamid.1', 'high', at(2), { id: '00000000-0000-5000-8000-000000000002' })
    expect(rowOf(received('wamid.1'), low, high)?.message).toBe('high')
    expect(rowOf(received('wamid.1'), high, low)?.message).toBe('high')
  })

  test('an edit without text says what kind of thing it left', () => {
    expect(rowOf(received('wamid.1'), edited('wamid.1', undefined, at(1)))?.message).toBe('[text]')
  })

  test('a deletion is final', () => {
    expect(rowOf(received('wamid.1'), deleted('wamid.1', at(1)), edited('wamid.1', 'late', at(9)))?.is_deleted).toBe(
      true,
    )
  })
})

describe('several messages under one id', () => {
  const placeholder = received('wamid.1', { kind: 'media_placeholder', text: undefined }, { time: at(1) })
  const real = received('wamid.1', { kind: 'image', text: 'Foto' }, { time: at(2) })

  test('the real one takes the place of the placeholder, whichever came first', () => {
    expect(rowOf(placeholder, real)).toEqual(rowOf(real, placeholder))
    expect(rowOf(placeholder, real)).toMatchObject({ message: 'Foto', created_at: at(1), updated_at: at(2) })
  })

  test('what we sent counts before the echo of it', () => {
    const echo = received('wamid.1', { direction: 'echo', text: 'eco', status: 'sent' }, { id: '0' })
    const ours = sent('wamid.1', { responsible_email: 'ana@solvify.es' })
    expect(rowOf(echo, ours)).toEqual(rowOf(ours, echo))
    expect(rowOf(echo, ours)).toMatchObject({ responsible_email: 'ana@solvify.es', status: 'sent' })
  })

  test('among equals the smaller event id counts', () => {
    const one = received('wamid.1', { text: 'one' }, { id: '1' })
    const two = received('wamid.1', { text: 'two' }, { id: '2' })
    expect(rowOf(two, one)?.message).toBe('one')
    expect(rowOf(one, two)?.message).toBe('one')
  })
})

describe('a contact', () => {
  test('is known by its phone digits, else by its user id', () => {
    const events = [
      received('wamid.1', { contact: { phone: '+34 600', user_id: 'ES.1' } }),
      received('wamid.2', { contact: { user_id: 'ES.2' } }),
    ]
    expect(contactOf(...events).map(({ contact_key }) => contact_key)).toEqual(['34600', 'ES.2'])
  })

  test('keeps of each column what was said last, and what nobody contradicted', () => {
    const [contact] = contactOf(
      received('wamid.1', { contact: { phone: PACO, name: 'Paco', username: 'paco' } }, { time: at(1) }),
      received('wamid.2', { contact: { phone: PACO, name: 'Francisco' } }, { time: at(2) }),
    )
    expect(contact).toMatchObject({
      said: { name: { value: 'Francisco', at: at(2) }, username: { value: 'paco', at: at(1) } },
      last_seen: at(2),
    })
  })

  test('is known from an outbound message too, but not seen by it', () => {
    expect(contactOf(sent('wamid.1'))).toEqual([
      { company_id: SOLVIFY, contact_key: PACO, said: { phone: { value: PACO, at: at(0) } }, last_seen: undefined },
    ])
  })

  test('a group is no contact', () => {
    expect(contactOf(sent('wamid.1', { chat_id: 'group-1', group_id: 'group-1' }))).toEqual([])
  })
})

describe('the timeline', () => {
  test('says where in the log each event of a message is, once per event', () => {
    const first = sent('wamid.1')
    const read = status('wamid.1', 'read', at(1))
    const again = { event: read.event, sequence: 9_000 }
    const { timeline } = fold([again, first, read])
    expect([...timeline.values()].map(({ type, sequence, status: s }) => [type, sequence, s])).toEqual([
      ['status.updated', read.sequence, 'read'],
      ['message.created', first.sequence, null],
    ])
  })
})

describe('a command', () => {
  const standing = (...events: LoggedEvent[]) => [...fold(events).sends.values()][0]?.standing
  const closed = { code: 131047, title: 'Re-engagement message' }
  const requested = send('send.requested', 'c-1', at(0), {
    command: { message: { type: 'template', template_name: 'agendar' }, requested_by: 'billing' },
  })
  const attempted = (attempt: number, seconds: number) => send('send.attempted', 'c-1', at(seconds), { attempt })
  const failed = (attempts: number, seconds: number) =>
    send('send.failed', 'c-1', at(seconds), { attempts, error: closed })

  test('that was refused shows with its error, though it never became a message', () => {
    const rows = fold([failed(1, 2), requested, attempted(1, 1)])
    expect(rows.messages.size).toBe(0)
    expect([...rows.sends.values()]).toMatchObject([
      {
        company_id: SOLVIFY,
        command_id: 'c-1',
        first_at: at(0),
        requested: { kind: 'template', template: 'agendar', requested_by: 'billing' },
        standing: { status: 'failed', attempts: 1, error: JSON.stringify(closed), phone_number_id: NUMBER },
      },
    ])
  })
  test('that became a message is sent, whatever was believed before and after', () => {
    const message = sent('wamid.1', { command_id: 'c-1' }, { time: at(5) })
    expect(standing(failed(9, 9), message, requested)).toMatchObject({ status: 'sent', message_id: 'wamid.1' })
  })
  test('that marked a message as read is sent, and no message', () => {
    const receipt = logged(
      'receipt.sent',
      { command_id: 'c-1', message_id: 'wamid.1', typing: false, raw: {} },
      { time: at(5) },
      '',
    )
    const rows = fold([receipt, requested, attempted(1, 1)])
    expect(rows.messages.size).toBe(0)
    expect([...rows.sends.values()][0]?.standing).toMatchObject({ status: 'sent', message_id: null })
  })
  test('that was given another round stands as that round goes', () => {
    const redriven = send('send.redriven', 'c-1', at(60), { dead_letter: 7, attempts: 5 })
    expect(standing(redriven, failed(5, 9))).toMatchObject({ status: 'redriven' })
    expect(standing(attempted(6, 61), redriven, failed(5, 9))).toMatchObject({ status: 'attempted', attempts: 6 })
    expect(standing(failed(5, 62), redriven, failed(5, 9))).toMatchObject({ status: 'failed', standing_at: at(62) })
  })
})

describe('what leaves no trace', () => {
  test('events of no company and of other types only move the position', () => {
    const nobody = received('wamid.1', {}, { company: '_' })
    const other = {
      event: { ...nobody.event, type: 'account.notified', companyid: SOLVIFY } as never,
      sequence: 77_000,
    }
    const rows = fold([nobody, other])
    expect([rows.messages.size, rows.timeline.size, rows.contacts.size]).toEqual([0, 0, 0])
    expect(rows.position).toBe(77_000)
  })
})

describe('what PostgreSQL cannot hold', () => {
  test('U+0000 and halves of surrogate pairs become U+FFFD', () => {
    const row = rowOf(received('wamid.1', { text: 'a\u0000b\ud800c\u{1f600}' }))
    expect(row?.message).toBe('a\ufffdb\ufffdc\u{1f600}')
  })

  test('in JSON too, keys included', () => {
    const context = { message_id: 'x\u0000', 'key\ud800': ['\udc00', { deep: '\u0000' }] }
    const [state] = fold([received('wamid.1', { context })]).messages.values()
    expect(JSON.parse(state?.created?.context ?? '')).toEqual({
      message_id: 'x\ufffd',
      'key\ufffd': ['\ufffd', { deep: '\ufffd' }],
    })
  })

  test('times before the year 1 and after 9999 move to the edge', () => {
    expect(rowOf(received('wamid.1', {}, { time: '0000-01-01T00:00:00Z' }))?.created_at).toBe(
      '0001-01-01T00:00:00.000Z',
    )
    expect(rowOf(received('wamid.1', {}, { time: '9999-12-31T23:59:59-14:00' }))?.created_at).toBe(
      '9999-12-31T23:59:59.999Z',
    )
  })

  test('a key too long for an index is refused by the name of its field', () => {
    expect(() => fold([received('x'.repeat(801))])).toThrow(
      'cannot be folded: data.message_id is longer than 800 bytes',
    )
    expect(() => fold([received('wamid.1', { chat_id: 'ü'.repeat(401) })])).toThrow('data.chat_id')
    expect(rowOf(received('wamid.1', { phone_number_id: NUMBER, text: 'x'.repeat(1_000_000) }))?.message).toHaveLength(
      1_000_000,
    )
  })
})
