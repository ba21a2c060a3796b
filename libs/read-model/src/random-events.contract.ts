import { type Direction, eventId, type GatewayEvent, newEvent } from '@cloudapi2/contracts'
import fc from 'fast-check'
import type { LoggedEvent } from './fold.ts'
import { SEND_TYPES } from './send-state.ts'

/** Two companies, so that a row that forgets its company shows. */
export const COMPANIES = ['a9242a58-4f5d-494c-8a74-45f8cee150e6', 'b1f0a0de-0000-4000-8000-00000000000b'] as const

/** Few values each, so that events collide: same message, same time, same status, same contact. */
const time = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 5 }).map((s) => `2026-11-24T08:15:3${s}.000Z`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('2026-11-24T10:15:32+02:00', '2026-11-24T08:15:33Z', '2026-11-24T08:15:33.1239Z'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('0000-01-01T00:00:00Z', '9999-12-31T23:59:59-14:00', '0001-01-01T00:00:00.000Z'),
  },
)
const text = fc.oneof(
  fc.constantFrom('Hola', '¿Y mi "pedido"?', 'C:\\temp\\{a,b}', 'NULL', '', ' ', '\ud83d\ude00', '\uffff', '\u{10000}'),
  fc.constantFrom(
    'nul \u0000 inside',
    'half \ud83d of a pair',
    '\udc00',
    '\\u0000 \\ud800 spelled out',
    'tab\tline\nend',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
)
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const withoutAbsent = <T extends object>(record: T): T =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T

const contact = fc
  .record({
    phone: optional(fc.constantFrom('34608684495', '+34 600 000 001')),
    wa_id: optional(fc.constantFrom('34608684495')),
    user_id: optional(fc.constantFrom('ES.1', 'ES.2', 'ES.\ud800')),
    parent_user_id: optional(fc.constantFrom('ES.P')),
    username: optional(text),
    name: optional(text),
    extra: optional(fc.jsonValue({ maxDepth: 2 })),
  })
  .map(withoutAbsent)

const about = {
  message_id: fc.constantFrom('wamid.A', 'wamid.B', 'wamid.\u0000C'),
  phone_number_id: optional(fc.constantFrom('674372385752523', '271938440165038')),
  display_phone_number: optional(fc.constantFrom('+34 911 000 000')),
  chat_id: optional(fc.constantFrom('34608684495', 'ES.1', '34600000001')),
  group_id: optional(fc.constantFrom('group-1')),
  contact: optional(contact),
}
const direction = fc.constantFrom<Direction>('inbound', 'outbound', 'echo')
const raw = fc.constant({ text: { body: 'raw \u0000 \ud800' } })

const created = fc.record({
  type: fc.constant('message.created' as const),
  data: fc
    .record({
      ...about,
      direction,
      sender_phone: optional(fc.constantFrom('34608684495', '+34 911 000 000', 'no digits')),
      kind: fc.constantFrom('text', 'image', 'reaction', 'media_placeholder'),
      text: optional(text),
      status: fc.constantFrom('received', 'accepted', 'sent', 'read', 'pending', 'zzz'),
      context: optional(fc.constantFrom({ message_id: 'wamid.Z\u0000' })),
      reaction: optional(fc.constantFrom({ message_id: 'wamid.Z', emoji: '\ud83d' })),
      media: optional(fc.constantFrom({ id: '123', mime_type: 'image/jpeg' })),
      template: optional(fc.constantFrom({ name: 'agendar', language: 'es_ES' })),
      errors: optional(fc.constantFrom([{ code: 131051, title: 'Unsupported' }])),
      command_id: optional(fc.constantFrom('cmd-1')),
      responsible_email: optional(fc.constantFrom('paco@solvify.es', 'ana@solvify.es')),
      assigned_to_id: optional(fc.constantFrom('B5078967-FF48-4F37-914F-52C5B64639E8', 'nobody')),
      chat_url: optional(fc.constantFrom('https://crm.example/c/1', 'https://crm.example/c/2')),
      origin: optional(fc.constantFrom('history')),
      raw,
    })
    .map(withoutAbsent),
})
const edited = fc.record({
  type: fc.constant('message.edited' as const),
  data: fc
    .record({
      ...about,
      direction,
      edit_id: fc.constantFrom('wamid.E1', 'wamid.E2'),
      kind: fc.constantFrom('text', 'image'),
      text: optional(text),
      media: optional(fc.constantFrom({ id: '456' })),
      raw,
    })
    .map(withoutAbsent),
})
const deleted = fc.record({
  type: fc.constant('message.deleted' as const),
  data: fc.record({ ...about, direction, delete_id: fc.constant('wamid.D'), raw }).map(withoutAbsent),
})
const status = fc.record({
  type: fc.constant('status.updated' as const),
  data: fc
    .record({
      ...about,
      status: fc.constantFrom(
        'accepted',
        'sent',
        'failed',
        'delivered',
        'read',
        'played',
        'deleted',
        'warning',
        'new\u0000',
      ),
      participant: optional(fc.constantFrom('34600000001')),
      errors: optional(fc.constantFrom([{ code: 131026, title: 'half \ud83d' }])),
      conversation: optional(fc.constantFrom({ id: 'c1', origin: 'service' })),
      pricing: optional(fc.constantFrom({ model: 'PMP' })),
      callback_data: optional(text),
      raw,
    })
    .map(withoutAbsent),
})

/** Of few commands, and with few attempts, so that they collide. */
const send = fc
  .record({
    type: fc.constantFrom(...SEND_TYPES),
    command_id: fc.constantFrom('cmd-1', 'cmd-\u00002'),
    attempt: fc.integer({ min: 1, max: 3 }),
    phone_number_id: optional(fc.constantFrom('674372385752523')),
    chat_id: optional(fc.constantFrom('34608684495', 'ES.\ud800')),
    error: fc.record({ code: fc.constantFrom(130429, 'EXPIRED'), title: text }),
    command: optional(
      fc.constantFrom(
        { message: { type: 'template', template_name: 'agendar' }, requested_by: 'billing\u0000' },
        { message: { type: 'media', kind: 'image' } },
        7,
      ),
    ),
  })
  .map(({ type, command_id, attempt, phone_number_id, chat_id, error, command }) => ({
    type,
    data: withoutAbsent({
      command_id,
      phone_number_id,
      chat_id,
      ...(type === 'send.requested' ? { command } : {}),
      ...(type === 'send.attempted' || type === 'send.refused' || type === 'send.uncertain' ? { attempt } : {}),
      ...(type === 'send.failed' || type === 'send.parked' || type === 'send.redriven' ? { attempts: attempt } : {}),
      ...(type === 'send.redriven' ? { dead_letter: 7 } : {}),
      ...(['send.refused', 'send.uncertain', 'send.failed', 'send.parked'].includes(type) ? { error } : {}),
    }),
  }))

const fact = fc
  .record({
    fact: fc.oneof(
      { weight: 4, arbitrary: created },
      { weight: 2, arbitrary: edited },
      { weight: 1, arbitrary: deleted },
      { weight: 5, arbitrary: status },
      { weight: 3, arbitrary: send },
    ),
    time,
    company: fc.constantFrom(...COMPANIES),
    /** Part of the event's id, so that ids are equal now and then for facts that are not. */
    salt: fc.integer({ min: 0, max: 3 }),
  })
  .map(
    ({ fact: { type, data }, time: at, company, salt }) =>
      newEvent({
        id: eventId(company, type, subjectOf(data), at, String(salt)),
        source: '/test',
        type,
        subject: subjectOf(data),
        time: at,
        companyId: company,
        channel: 'whatsapp',
        recordedTime: at,
        data: data as never,
      }) as GatewayEvent,
  )

const subjectOf = (data: { message_id: string } | { command_id: string }): string =>
  'message_id' in data ? data.message_id : data.command_id

/**
 * A log: events in the order they were stored, each with its sequence; some are in it twice, as happens outside the
 * window in which the log itself refuses repeats.
 */
export const logOfEvents = ({ maxLength }: { maxLength: number }): fc.Arbitrary<LoggedEvent[]> =>
  fc
    .array(fact, { minLength: 1, maxLength })
    .chain((events) =>
      fc
        .array(fc.integer({ min: 0, max: events.length - 1 }), { maxLength: 3 })
        .map((again) => [...events, ...again.map((i) => events[i] as GatewayEvent)]),
    )
    .map((events) => events.map((event, i) => ({ event, sequence: i + 1 })))

/** The same log as it may be delivered: shuffled, with repeats, cut into batches. */
export const deliveriesOf = (log: readonly LoggedEvent[]): fc.Arbitrary<LoggedEvent[][]> =>
  fc
    .tuple(
      fc.shuffledSubarray([...log], { minLength: log.length }),
      fc.array(fc.constantFrom(...log), { maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: log.length }),
    )
    .map(([shuffled, repeats, sizes]) => {
      const rest = [...shuffled, ...repeats]
      const batches: LoggedEvent[][] = []
      for (const size of sizes) if (rest.length > 0) batches.push(rest.splice(0, size))
      if (rest.length > 0) batches.push(rest)
      return batches
    })
