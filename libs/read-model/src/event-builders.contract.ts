import { type EventData, type EventType, eventId, type GatewayEvent, newEvent } from '@cloudapi2/contracts'
import type { LoggedEvent } from './fold.ts'
import type { SendType } from './send-state.ts'

/** Builders of logged events for tests: each hides the fields a test is not about. Sequences grow by themselves. */
export const SOLVIFY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
export const NUMBER = '674372385752523'
export const PACO = '34608684495'
/** The test's noon; `at(5)` is five seconds later. */
export const at = (seconds: number): string =>
  new Date(Date.parse('2026-11-24T12:00:00.000Z') + seconds * 1_000).toISOString()

let sequence = 0

const subjectOf = (data: object): string => {
  const { message_id, command_id } = data as { message_id?: string; command_id?: string }
  return (message_id ?? command_id) as string
}

export const logged = <T extends EventType>(
  type: T,
  data: EventData<T>,
  { time, company = SOLVIFY, id }: { time: string; company?: string; id?: string | undefined },
  distinct: string,
): LoggedEvent => ({
  event: newEvent<T>({
    id: id ?? eventId(company, type, subjectOf(data), distinct, time),
    source: '/webhook-gateway',
    type,
    subject: subjectOf(data),
    time,
    companyId: company,
    channel: 'whatsapp',
    recordedTime: time,
    data,
  }) as unknown as GatewayEvent,
  sequence: ++sequence,
})

interface Given {
  time?: string
  company?: string
  id?: string
}

/** An inbound text of Paco. */
export const received = (messageId: string, data: Partial<EventData<'message.created'>> = {}, given: Given = {}) =>
  logged(
    'message.created',
    {
      message_id: messageId,
      direction: 'inbound',
      phone_number_id: NUMBER,
      display_phone_number: '34911000000',
      chat_id: PACO,
      sender_phone: PACO,
      contact: { phone: PACO, name: 'Paco' },
      kind: 'text',
      text: 'Hola',
      status: 'received',
      raw: {},
      ...data,
    },
    { time: at(0), ...given },
    data.kind ?? 'text',
  )

/** A text of ours to Paco, accepted by the channel. */
export const sent = (messageId: string, data: Partial<EventData<'message.created'>> = {}, given: Given = {}) =>
  logged(
    'message.created',
    {
      message_id: messageId,
      direction: 'outbound',
      phone_number_id: NUMBER,
      chat_id: PACO,
      sender_phone: '34911000000',
      kind: 'text',
      text: 'Su cita es mañana',
      status: 'accepted',
      command_id: 'cmd-1',
      raw: {},
      ...data,
    },
    { time: at(0), ...given },
    'sent',
  )

export const status = (
  messageId: string,
  value: string,
  time: string,
  data: Partial<EventData<'status.updated'>> = {},
  given: Given = {},
) =>
  logged(
    'status.updated',
    { message_id: messageId, status: value, phone_number_id: NUMBER, chat_id: PACO, raw: {}, ...data },
    { time, ...given },
    `${value}${data.participant ?? ''}`,
  )

export const edited = (messageId: string, text: string | undefined, time: string, given: Given = {}) =>
  logged(
    'message.edited',
    {
      message_id: messageId,
      edit_id: `edit-${time}`,
      direction: 'inbound',
      kind: 'text',
      ...(text === undefined ? {} : { text }),
      raw: {},
    },
    { time, ...given },
    `edit${text ?? ''}`,
  )

export const deleted = (messageId: string, time: string) =>
  logged(
    'message.deleted',
    { message_id: messageId, delete_id: `delete-${time}`, direction: 'inbound', raw: {} },
    { time },
    'delete',
  )

/** Something that happened to a command of ours. */
export const send = <T extends SendType>(
  type: T,
  commandId: string,
  time: string,
  data: Partial<EventData<T>> = {},
  given: Given = {},
) =>
  logged<T>(
    type,
    { command_id: commandId, phone_number_id: NUMBER, chat_id: PACO, ...data } as unknown as EventData<T>,
    { time, ...given },
    type,
  )
