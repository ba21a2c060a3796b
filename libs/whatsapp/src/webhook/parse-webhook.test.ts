import { readdirSync, readFileSync } from 'node:fs'
import { decodeEvent, encodeEvent, parseEvent, type StoredEvent } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'
import { EXPECTED, RECORDED } from '../../fixtures/expected-webhooks.ts'
import { parseWebhook, type WebhookAddress } from './parse-webhook.ts'

const COMPANY_A = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const COMPANY_B = '0b9f8f63-54a5-4d0c-9d0e-7f1c2b3a4d5e'
const COMPANY_OF: Record<string, string> = {
  '284610037551902': COMPANY_A,
  '315204778120945': COMPANY_A,
  '271938440165038': COMPANY_B,
  '409113582067731': COMPANY_B,
}
const companyOf = ({ phone_number_id = '', account_id = '' }: WebhookAddress): string =>
  COMPANY_OF[phone_number_id] ?? COMPANY_OF[account_id] ?? '_'

const parse = (body: unknown): StoredEvent[] =>
  parseWebhook({ body, companyOf, source: '/webhook-gateway', recordedTime: RECORDED })

/** A POST with these changes, each under the field `messages`. */
const post = (...values: unknown[]) => ({
  object: 'whatsapp_business_account',
  entry: [{ id: '315204778120945', changes: values.map((value) => ({ field: 'messages', value })) }],
})

const metadata = { display_phone_number: '15550142760', phone_number_id: '284610037551902' }
const text = (id: unknown, more: object = {}) => ({
  from: '16285550137',
  id,
  timestamp: '1788000000',
  type: 'text',
  text: { body: 'hello' },
  ...more,
})
const one = (message: unknown): StoredEvent => {
  const [event, ...others] = parse(post({ metadata, messages: [message] }))
  expect(others).toEqual([])
  return event as StoredEvent
}

/** Every normalised field of an event, in the words of the table. */
const summary = ({ type, companyid, subject, time, data }: StoredEvent) => {
  const { raw: _, ...normalised } = data as Record<string, unknown>
  return {
    type,
    company: companyid === COMPANY_A ? 'A' : companyid === COMPANY_B ? 'B' : companyid,
    subject,
    time,
    ...normalised,
  }
}

const FOLDER = new URL('../../fixtures/webhooks/', import.meta.url)
const files = readdirSync(FOLDER).sort()
const load = (file: string): unknown => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'))

test('every webhook in the fixtures has an expected result', () => expect(Object.keys(EXPECTED).sort()).toEqual(files))

describe.each(files)('%s', (file) => {
  const body = load(file)
  const events = parse(body)

  test('becomes exactly the events expected', () => expect(events.map(summary)).toEqual(EXPECTED[file]))

  test('its events are events, before and after they are stored', () => {
    for (const event of events) {
      expect(parseEvent(event)).toEqual(event)
      expect(decodeEvent(encodeEvent(event))).toEqual(event)
    }
  })

  test('delivered again, it gives the same ids', () =>
    expect(parse(load(file)).map((e) => e.id)).toEqual(events.map((e) => e.id)))

  test('its ids differ from each other', () => expect(new Set(events.map((e) => e.id)).size).toBe(events.length))

  test('it is read, not changed', () => expect(body).toEqual(load(file)))
})

describe('what the channel sent is kept', () => {
  test('a message, a status, an error and a user action as they were, uncopied', () => {
    const value = {
      metadata,
      messages: [text('wamid.1', { later: { added: [1] } })],
      statuses: [{ id: 'wamid.2', status: 'read', timestamp: '1788000000' }],
      errors: [{ code: 130429 }],
      user_actions: [{ action_type: 'marketing_messages_link_click' }],
    }
    const raws = parse(post(value)).map((event) => event.data.raw)
    expect(raws).toHaveLength(4)
    for (const [index, list] of [value.messages, value.statuses, value.errors, value.user_actions].entries())
      expect(raws[index]).toBe(list[0])
  })

  test('the whole change for any other field', () => {
    const change = { field: 'flows', value: { event: 'FLOW_STATUS_CHANGE' } }
    const [event] = parse({ entry: [{ id: '1', changes: [change] }] })
    expect(event?.data.raw).toBe(change)
  })

  test('U+0000 stays in raw and is replaced in what we made of it', () => {
    const event = one(text('wamid.\u0000', { from: '1\u0000', text: { body: 'a\u0000b' } }))
    expect(event.data).toMatchObject({
      message_id: 'wamid.\ufffd',
      text: 'a\ufffdb',
      raw: { text: { body: 'a\u0000b' } },
    })
    expect(JSON.stringify({ ...event, data: { ...event.data, raw: undefined } })).not.toContain('\\u0000')
  })

  test('half a surrogate pair is replaced too: jsonb refuses it', () =>
    expect(one(text('wamid.1', { text: { body: 'a\ud83e' } })).data).toMatchObject({ text: 'a\ufffd' }))
})

describe('one bad thing never holds up the others', () => {
  const reasons = (body: unknown) =>
    parse(body)
      .filter((event) => event.type === 'webhook.unrecognised')
      .map((event) => [event.data.reason, event.data.raw])

  test.each([
    ['a message that is not an object', 7],
    ['a message that is not an object', null],
    ['a message without a usable id', { type: 'text' }],
    ['a message without a usable id', text('')],
    ['a message without a usable id', text({})],
    ['a message without a usable id', text('x'.repeat(513))],
    ['an edit or deletion that does not name its message', text('wamid.9', { type: 'revoke', revoke: {} })],
    ['an edit or deletion that does not name its message', text('wamid.9', { type: 'edit' })],
  ])('%s is kept whole beside the good ones', (reason, bad) => {
    const body = post({ metadata, messages: [text('wamid.1'), bad, text('wamid.2')] })
    expect(parse(body).map((event) => event.subject)).toEqual(['wamid.1', '315204778120945', 'wamid.2'])
    expect(reasons(body)).toEqual([[reason, bad]])
  })

  test.each([
    ['a status that is not an object', []],
    ['a status without a usable message id', { status: 'read' }],
    ['a status that does not say which', { id: 'wamid.1', timestamp: '1788000000' }],
  ])('%s is kept whole', (reason, bad) =>
    expect(reasons(post({ metadata, statuses: [bad, { id: 'wamid.2', status: 'read' }] }))).toEqual([[reason, bad]]),
  )

  test.each([
    ['a change that is not an object', 'messages'],
    ['a change without a value', { field: 'messages', value: 3 }],
    ['a change without a field', { value: { event: 'X' } }],
    ['a change with nothing in it that is known', { field: 'messages', value: { metadata } }],
    ['a change with nothing in it that is known', { field: 'messages', value: { metadata, messages: [] } }],
    ['a change with nothing in it that is known', { field: 'messages', value: { metadata, messages: { id: 'x' } } }],
    ['a change with nothing in it that is known', { field: 'standby', value: { metadata, standby: {} } }],
  ])('%s is kept whole', (reason, change) => {
    const good = { field: 'messages', value: { metadata, messages: [text('wamid.1')] } }
    const body = { entry: [{ id: '315204778120945', changes: [change, good] }] }
    expect(parse(body).map((event) => event.type)).toEqual(['webhook.unrecognised', 'message.created'])
    expect(reasons(body)).toEqual([[reason, change]])
  })

  test.each([
    ['an entry that is not an object', null],
    ['an entry without changes', { id: '315204778120945', time: 1788000000 }],
    ['an entry without changes', { id: '315204778120945', changes: {} }],
    ['an entry without changes', { id: '315204778120945', changes: [] }],
  ])('%s is kept whole', (reason, entry) => {
    const body = { entry: [entry, ...post({ metadata, messages: [text('wamid.1')] }).entry] }
    expect(parse(body).map((event) => event.type)).toEqual(['webhook.unrecognised', 'message.created'])
    expect(reasons(body)).toEqual([[reason, entry]])
  })

  test.each([[{}], [{ entry: 3 }], [null], ['text'], [[]]])('a body without entries (%j) is kept whole', (body) =>
    expect(reasons(body)).toEqual([['a body without a list of entries', body]]),
  )

  test('an empty list of entries tells nothing', () => expect(parse({ entry: [] })).toEqual([]))

  test('what is in a value beside the known lists is kept', () => {
    const value = JSON.parse(
      '{"metadata":{"phone_number_id":"284610037551902"},"statuses":"none","polls":[1],"__proto__":{"a":1},"messages":[]}',
    )
    value.messages.push(text('wamid.1'))
    const events = parse(post(value))
    expect(events.map((event) => event.type)).toEqual(['message.created', 'webhook.unrecognised'])
    expect(JSON.stringify(events[1]?.data.raw)).toBe('{"statuses":"none","polls":[1],"__proto__":{"a":1}}')
  })

  test('a list that is null is a list that is absent', () =>
    expect(parse(post({ metadata, messages: [text('wamid.1')], statuses: null, errors: null }))).toHaveLength(1))

  test('a POST of a million items is kept whole, without reading them one by one', () => {
    const junk = Array.from({ length: 1_000_000 }, (_, index) => index)
    const events = parse(
      post({ metadata, messages: [text('wamid.1'), ...junk], statuses: [{ id: 'w', status: 'read' }] }),
    )
    const rest = events.filter((event) => String(event.data.reason).startsWith('the rest of a list'))
    const kept = rest.flatMap((event) => event.data.raw as unknown[]).length
    const read = events.length - rest.length
    expect([kept + read, rest.length]).toEqual([1_000_002, 2])
    expect(read).toBeLessThanOrEqual(20_000)
    expect(events.find((event) => event.type === 'message.created')?.subject).toBe('wamid.1')
  })

  test('JSON nested deeper than anything can print is kept as text', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const message = `{"id":"wamid.1","type":"text","text":{"body":"hello"},"later":${deep}}`
    const body = `{"entry":[{"id":"315204778120945","changes":[{"field":"messages","value":{"messages":[${message}],"x":${deep}}}]}]}`
    const events = parse(JSON.parse(body))
    expect(events.map((event) => event.type)).toEqual(['message.created', 'webhook.unrecognised'])
    expect(events[0]?.data).toMatchObject({ message_id: 'wamid.1', text: 'hello' })
    for (const event of events) {
      const printed = encodeEvent(event).toString()
      expect(printed.match(/\[/g)?.length).toBeGreaterThanOrEqual(100_000)
      expect(decodeEvent(Buffer.from(printed))).toEqual(JSON.parse(printed))
    }
  })
})

describe('wrong types where the meaning is plain', () => {
  test('ids and timestamps as numbers are taken', () => {
    const event = one({ ...text(12345), from: 16285550137, timestamp: 1788000000.5 })
    expect(event).toMatchObject({ subject: '12345', time: '2026-08-29T10:40:00.500Z' })
    expect(event.data).toMatchObject({ message_id: '12345', sender_phone: '16285550137', chat_id: '16285550137' })
  })

  test('an id as number or as text is the same id', () => expect(one(text(12345)).id).toBe(one(text('12345')).id))

  test.each([[undefined], [null], ['soon'], [''], [-1], ['-1'], [253_402_300_800], [1e300], [{}]])(
    'a timestamp of %j gives way to the time of recording',
    (timestamp) => expect(one(text('wamid.1', { timestamp })).time).toBe(RECORDED),
  )

  test('the last second of the year 9999 is a time', () =>
    expect(one(text('wamid.1', { timestamp: '253402300799' })).time).toBe('9999-12-31T23:59:59.000Z'))

  test('a message without a type is of kind unknown', () =>
    expect(one({ id: 'wamid.1' }).data).toMatchObject({ kind: 'unknown', status: 'received' }))

  test.each(['constructor', '__proto__', 'toString'])('a type named %s is a kind like any other', (type) =>
    expect(one(text('wamid.1', { type })).data).toMatchObject({ kind: type }),
  )

  test('an object that cannot become text is no text', () =>
    expect(
      one({ id: 'wamid.1', type: 'system', system: { type: { toString: 1 }, body: { toString: 1 } } }).data,
    ).toEqual({
      message_id: 'wamid.1',
      direction: 'inbound',
      ...metadata,
      kind: 'system',
      status: 'received',
      raw: { id: 'wamid.1', type: 'system', system: { type: { toString: 1 }, body: { toString: 1 } } },
    }))
})

describe('who a message is from', () => {
  const contactOf = (contacts: unknown, messages: unknown[]) =>
    parse(post({ metadata, contacts, messages })).map((event) => event.data.contact)

  test('the contact is found by user id before phone', () =>
    expect(
      contactOf(
        [
          { wa_id: '16285550137', profile: { name: 'by phone' } },
          { user_id: 'US.1', profile: { name: 'by user id' } },
        ],
        [text('wamid.1', { from_user_id: 'US.1' })],
      ),
    ).toEqual([{ phone: '16285550137', user_id: 'US.1', name: 'by user id' }]))

  test('one contact and one message belong together, and wa_id is the phone key', () => {
    const [event] = parse(
      post({ metadata, contacts: [{ wa_id: '525550188001' }], messages: [text('wamid.1', { from: '5215550188001' })] }),
    )
    expect(event?.data).toMatchObject({
      sender_phone: '5215550188001',
      chat_id: '525550188001',
      contact: { phone: '525550188001' },
    })
  })

  test('one contact and two messages do not', () =>
    expect(
      contactOf([{ wa_id: '1', profile: { name: 'X' } }], [text('wamid.1'), text('wamid.2', { from: '447700900461' })]),
    ).toEqual([{ phone: '16285550137' }, { phone: '447700900461' }]))

  test('a user id in the place of the phone number is a user id', () =>
    expect(one(text('wamid.1', { from: 'US.1' })).data).toMatchObject({
      chat_id: 'US.1',
      contact: { user_id: 'US.1' },
    }))

  test('keys of a contact that Meta adds later are kept, without overwriting ours', () =>
    expect(
      contactOf([{ wa_id: '16285550137', phone: 7, name: null, tags: ['a\u0000'], verified: true }], [text('wamid.1')]),
    ).toEqual([{ phone: '16285550137', tags: ['a\ufffd'], verified: true }]))

  test('a username loses its @', () =>
    expect(contactOf([{ profile: { username: '@nora' } }], [text('wamid.1')])).toEqual([
      { phone: '16285550137', username: 'nora' },
    ]))

  test('a change of number without a new user id leaves the old one behind', () =>
    expect(
      one(
        text('w', {
          from_user_id: 'US.1',
          type: 'system',
          system: { type: 'customer_changed_number', new_wa_id: '2' },
        }),
      ).data,
    ).toMatchObject({ contact: { phone: '2' }, previous_contact: { phone: '16285550137', user_id: 'US.1' } }))
})

describe('what makes a fact distinct', () => {
  const idsOf = (value: object, field = 'messages'): string[] =>
    parse({ entry: [{ id: '315204778120945', changes: [{ field, value: { metadata, ...value } }] }] }).map((e) => e.id)
  const status = (more: object) => ({ id: 'wamid.1', status: 'read', timestamp: '1788000000', ...more })
  const elsewhere = { display_phone_number: '442071234560', phone_number_id: '271938440165038' }

  test.each([
    ['number', { messages: [text('w')] }, { metadata: elsewhere, messages: [text('w')] }],
    ['direction', { messages: [text('w')] }, { message_echoes: [text('w')] }],
    ['message', { messages: [text('w')] }, { messages: [text('v')] }],
    ['placeholder', { messages: [text('w')] }, { messages: [text('w', { type: 'media_placeholder' })] }],
    ['copy of another agent', { messages: [text('w')] }, { standby: { messages: [text('w')] } }],
    ['status', { statuses: [status({})] }, { statuses: [status({ status: 'delivered' })] }],
    ['time of a status', { statuses: [status({})] }, { statuses: [status({ timestamp: '1788000001' })] }],
    [
      'participant',
      { statuses: [status({ recipient_participant_id: '1' })] },
      { statuses: [status({ recipient_participant_id: '2' })] },
    ],
    ['error', { errors: [{ code: 1 }] }, { errors: [{ code: 2 }] }],
  ])('another %s is another fact', (_, a, b) => expect(idsOf(a)).not.toEqual(idsOf(b)))

  test('the text of a message is no part of its identity', () =>
    expect(idsOf({ messages: [text('w')] })).toEqual(idsOf({ messages: [text('w', { text: { body: 'other' } })] })))

  test('the order of keys is no part of the identity of a notification', () =>
    expect(idsOf({ a: 1, b: { c: 2, d: 3 } }, 'flows')).toEqual(idsOf({ b: { d: 3, c: 2 }, a: 1 }, 'flows')))

  test('a fact that is in one POST twice is returned once', () =>
    expect(idsOf({ messages: [text('w'), text('w')], errors: [{ code: 1 }, { code: 1 }] })).toHaveLength(2))
})

describe('where a change belongs', () => {
  test('messages without a field are known by their shape', () =>
    expect(
      parse({ entry: [{ id: '1', changes: [{ value: { metadata, messages: [text('wamid.1')] } }] }] }).map(
        (e) => e.type,
      ),
    ).toEqual(['message.created']))

  test('echoes are echoes under whatever field', () =>
    expect(
      parse({
        entry: [
          { id: '1', changes: [{ field: 'new_echoes', value: { metadata, message_echoes: [text('wamid.1')] } }] },
        ],
      }).map((e) => e.data),
    ).toMatchObject([{ direction: 'echo' }]))

  test('the statuses of calls are no statuses of messages', () =>
    expect(
      parse({
        entry: [{ id: '1', changes: [{ field: 'calls', value: { statuses: [{ id: 'x', status: 'read' }] } }] }],
      }),
    ).toMatchObject([{ type: 'account.notified', data: { field: 'calls', entity: 'change' } }]))

  test('the company is asked for by number and account', () => {
    const asked: WebhookAddress[] = []
    parseWebhook({
      body: { entry: [{ id: '9', changes: [{ field: 'flows', value: { metadata } }, { field: 'flows' }] }, {}] },
      companyOf: (address) => {
        asked.push(address)
        return '_'
      },
      source: '/test',
      recordedTime: RECORDED,
    })
    expect(asked).toEqual([{ phone_number_id: '284610037551902', account_id: '9' }, { account_id: '9' }, {}])
  })

  test('a chunk of history without messages tells how far the synchronisation is', () =>
    expect(
      parse({
        entry: [
          { id: '1', changes: [{ field: 'history', value: { metadata, history: [{ metadata: { progress: 100 } }] } }] },
        ],
      }),
    ).toMatchObject([{ type: 'account.notified', data: { field: 'history', entity: 'change' } }]))
})
