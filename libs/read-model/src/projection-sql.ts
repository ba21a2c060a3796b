import { RECEIVED } from '@cloudapi2/contracts'
import { CONTACT_FIELDS } from './contact.ts'
import { STATUS_OF_RANK } from './message-state.ts'

/**
 * The joins of `message-state.ts`, `timeline.ts` and `contact.ts` as upserts: many rows per statement by `unnest`. Every
 * comparison of texts is `collate "C"`, because that is the order those files use.
 */

/** A column of an upsert: its name and type. */
export interface Column {
  name: string
  type: 'uuid' | 'text' | 'jsonb' | 'timestamptz' | 'bigint' | 'integer' | 'smallint' | 'boolean'
}

const columns = <N extends string>(types: Record<N, Column['type']>): (Column & { name: N })[] =>
  Object.entries(types).map(([name, type]) => ({ name: name as N, type: type as Column['type'] }))

/** `CreatedVersion`, except for the row's id. */
export const CREATED_COLUMNS = columns({
  created_rank: 'smallint',
  created_event_id: 'text',
  created_sequence: 'bigint',
  channel: 'text',
  direction: 'text',
  phone_number_id: 'text',
  chat_id: 'text',
  sender_phone: 'text',
  kind: 'text',
  text: 'text',
  message: 'text',
  own_status: 'text',
  origin: 'text',
  command_id: 'text',
  responsible_email: 'text',
  assigned_to_id: 'uuid',
  chat_url: 'text',
  contact: 'jsonb',
  context: 'jsonb',
  reaction: 'jsonb',
  media: 'jsonb',
  template: 'jsonb',
  errors: 'jsonb',
})

export const EDIT_COLUMNS = columns({
  edit_time: 'timestamptz',
  edit_event_id: 'text',
  edit_sequence: 'bigint',
  edit_kind: 'text',
  edit_text: 'text',
  edit_message: 'text',
  edit_media: 'jsonb',
})

const KEY_COLUMNS = columns({ company_id: 'uuid', message_id: 'text' })

/** Parameters of `mergeStates`, in order. */
export const STATE_COLUMNS: readonly Column[] = [
  ...KEY_COLUMNS,
  ...columns({
    created_at: 'timestamptz',
    status_rank: 'smallint',
    deleted_at: 'timestamptz',
    latest_at: 'timestamptz',
  }),
]

const DETAIL_COLUMNS: readonly Column[] = [...KEY_COLUMNS, ...CREATED_COLUMNS, ...EDIT_COLUMNS]

/** Parameters of `mergeDetails`, in order. `part`: where in a `MessageState` the value is. */
export const MERGE_COLUMNS: readonly (Column & { part: 'key' | 'created' | 'edit' })[] = [
  ...KEY_COLUMNS.map((column) => ({ ...column, part: 'key' as const })),
  ...CREATED_COLUMNS.map((column) => ({ ...column, part: 'created' as const })),
  ...EDIT_COLUMNS.map((column) => ({ ...column, part: 'edit' as const })),
  { name: 'row_id', type: 'uuid', part: 'created' },
]

export const names = (list: readonly Column[]): string => list.map(({ name }) => name).join(', ')

/** `jsonb` travels as text: an element of a `jsonb[]` literal is the same characters. */
export const unnest = (list: readonly Column[], alias: string): string =>
  `unnest(${list.map(({ type }, i) => `$${i + 1}::${type}[]`).join(', ')}) as ${alias} (${names(list)})`

export const createdWins = `excluded.created_event_id is not null and (
      d.created_event_id is null or excluded.created_rank > d.created_rank or (excluded.created_rank = d.created_rank and (
        excluded.created_event_id collate "C" < d.created_event_id collate "C" or (
          excluded.created_event_id = d.created_event_id and excluded.created_sequence < d.created_sequence))))`

export const editWins = `excluded.edit_event_id is not null and (
      d.edit_event_id is null or excluded.edit_time > d.edit_time or (excluded.edit_time = d.edit_time and (
        excluded.edit_event_id collate "C" > d.edit_event_id collate "C" or (
          excluded.edit_event_id = d.edit_event_id and excluded.edit_sequence < d.edit_sequence))))`

export const ifWins = (list: readonly Column[], wins: string): string =>
  list.map(({ name }) => `${name} = case when ${wins} then excluded.${name} else d.${name} end`).join(',\n    ')

export const STATUSES = `array[${STATUS_OF_RANK.map((status) => `'${status}'`).join(', ')}]`
export const rankOf = (status: string): string => `coalesce(array_position(${STATUSES}, ${status}), 0) - 1`

/** `currentStatus` of message-state.ts. `d`, `s`: aliases of the message's details and state. */
export const statusOf = (d: string, s: string): string => `case when ${d}.direction = 'inbound' then '${RECEIVED}'
      else coalesce((${STATUSES})[${s}.status_rank + 1], ${d}.own_status) end`

/**
 * Joins what changes often into `gateway.message_states`: a narrow row, because every status writes it. It comes first
 * in a transaction and has a row for every message the transaction speaks of, in order: whoever holds the lock of a
 * message's state holds the message. Two processes that work on one message do it one after the other, in whatever
 * order they began, and each sees what the other did.
 */
export const mergeStates = `
  insert into gateway.message_states as s (${names(STATE_COLUMNS)})
  select * from ${unnest(STATE_COLUMNS, 'i')}
  on conflict (company_id, message_id) do update set
    created_at = least(s.created_at, excluded.created_at),
    status_rank = greatest(s.status_rank, excluded.status_rank),
    deleted_at = least(s.deleted_at, excluded.deleted_at),
    latest_at = greatest(s.latest_at, excluded.latest_at)
  where excluded.latest_at > s.latest_at
    or excluded.status_rank > s.status_rank
    or (excluded.created_at is not null and (s.created_at is null or excluded.created_at < s.created_at))
    or (excluded.deleted_at is not null and (s.deleted_at is null or excluded.deleted_at < s.deleted_at))`

/**
 * Joins the content of messages and edits into `gateway.message_details`, and inserts the rows of messages that came.
 *
 * Returns the messages that came but have a row already: `settleMessages` has to look at those, too. `superseded`:
 * another event is now the one that counts.
 */
export const mergeDetails = `
  with input as (select * from ${unnest(MERGE_COLUMNS, 'i')}),
  merged as (
    insert into gateway.message_details as d (${names(DETAIL_COLUMNS)})
    select ${names(DETAIL_COLUMNS)} from input
    on conflict (company_id, message_id) do update set
    superseded = case when d.created_event_id is not null and ${createdWins} then jsonb_build_object(
      'responsible_email', d.responsible_email, 'assigned_to_id', d.assigned_to_id, 'chat_url', d.chat_url) end,
    ${ifWins(CREATED_COLUMNS, createdWins)},
    ${ifWins(EDIT_COLUMNS, editWins)}
    where (${createdWins}) or (${editWins})
    returning d.*
  ),
  inserted as (
    insert into public.external_messages (id, message, sender_phone, responsible_email, last_message_uid,
      last_message_timestamp, from_me, status, created_at, updated_at, is_deleted, chat_url, chat_id, assigned_to_id,
      company_id)
    select i.row_id, coalesce(m.edit_message, m.message), m.sender_phone, m.responsible_email, m.message_id, s.latest_at,
      m.direction <> 'inbound', ${statusOf('m', 's')}, s.created_at, s.latest_at, s.deleted_at is not null, m.chat_url,
      m.chat_id, m.assigned_to_id, m.company_id
    from merged m
    join input i on i.company_id = m.company_id and i.message_id = m.message_id
    join gateway.message_states s on s.company_id = i.company_id and s.message_id = i.message_id
    where i.created_event_id is not null
    on conflict (company_id, last_message_uid) do nothing
    returning company_id, last_message_uid
  )
  select i.company_id, i.message_id, m.superseded is not null as superseded
  from input i left join merged m on m.company_id = i.company_id and m.message_id = i.message_id
  where i.created_event_id is not null and not exists (
    select from inserted n where n.company_id = i.company_id and n.last_message_uid = i.message_id
  )`

const KEYS = 'unnest($1::uuid[], $2::text[]) as k (company_id, message_id)'

/**
 * Brings rows that are there up to the state of their messages: status, times, deletion. Also rows that the predecessor
 * of this system, or anybody else, inserted. It touches no other column: they belong to other applications once the row
 * exists.
 */
export const settleMessages = `
  update public.external_messages e set
    status = case when e.from_me and s.status_rank > ${rankOf('e.status')} then (${STATUSES})[s.status_rank + 1]
      else e.status end,
    is_deleted = coalesce(e.is_deleted, false) or s.deleted_at is not null,
    created_at = least(e.created_at, s.created_at),
    last_message_timestamp = greatest(e.last_message_timestamp, s.latest_at),
    updated_at = greatest(e.updated_at, s.latest_at)
  from ${KEYS}
  join gateway.message_states s on s.company_id = k.company_id and s.message_id = k.message_id
  where e.company_id = k.company_id and e.last_message_uid = k.message_id and (
    e.updated_at is null or s.latest_at > e.updated_at
    or e.last_message_timestamp is null or s.latest_at > e.last_message_timestamp
    or s.created_at < e.created_at
    or (e.from_me and s.status_rank > ${rankOf('e.status')})
    or (s.deleted_at is not null and e.is_deleted is not true))`

/** Puts the edit that counts into rows that are there. */
export const replaceEdited = `
  update public.external_messages e set message = d.edit_message
  from ${KEYS}
  join gateway.message_details d on d.company_id = k.company_id and d.message_id = k.message_id
  where e.company_id = k.company_id and e.last_message_uid = k.message_id and d.edit_message is not null
    and e.message is distinct from d.edit_message`

const stillOurs = (column: string, type: string): string =>
  `${column} = case when e.${column} is not distinct from (d.superseded->>'${column}')::${type} then d.${column}
      else e.${column} end`

/**
 * Gives rows whose `message.created` was superseded the content of the one that counts now. What another application has
 * written meanwhile stays: a column of theirs is replaced only where it still says what the superseded event put there.
 */
export const replaceSuperseded = `
  update public.external_messages e set
    message = coalesce(d.edit_message, d.message),
    sender_phone = d.sender_phone,
    from_me = d.direction <> 'inbound',
    chat_id = d.chat_id,
    status = ${statusOf('d', 's')},
    ${stillOurs('responsible_email', 'text')},
    ${stillOurs('assigned_to_id', 'uuid')},
    ${stillOurs('chat_url', 'text')}
  from ${KEYS}
  join gateway.message_details d on d.company_id = k.company_id and d.message_id = k.message_id
  join gateway.message_states s on s.company_id = k.company_id and s.message_id = k.message_id
  where e.company_id = k.company_id and e.last_message_uid = k.message_id and d.superseded is not null`

/** `superseded` is known inside one transaction only. */
export const forgetSuperseded = `
  update gateway.message_details d set superseded = null
  from ${KEYS}
  where d.company_id = k.company_id and d.message_id = k.message_id and d.superseded is not null`

const assignments = (list: readonly Column[], keys: readonly string[]): string =>
  list
    .filter(({ name }) => !keys.includes(name))
    .map(({ name }) => `${name} = excluded.${name}`)
    .join(', ')

export const TIMELINE_COLUMNS: readonly Column[] = columns({
  company_id: 'uuid',
  message_id: 'text',
  event_id: 'text',
  sequence: 'bigint',
  type: 'text',
  occurred_at: 'timestamptz',
  recorded_at: 'timestamptz',
  status: 'text',
  participant: 'text',
  errors: 'jsonb',
  conversation: 'jsonb',
  pricing: 'jsonb',
  callback_data: 'text',
})

export const mergeTimeline = `
  insert into gateway.message_timeline as t (${names(TIMELINE_COLUMNS)})
  select * from ${unnest(TIMELINE_COLUMNS, 'i')}
  on conflict (company_id, message_id, event_id) do update set
    ${assignments(TIMELINE_COLUMNS, ['company_id', 'message_id', 'event_id'])}
  where excluded.sequence < t.sequence`

const REQUESTED_COLUMNS = columns({
  requested_event_id: 'text',
  requested_sequence: 'bigint',
  kind: 'text',
  template: 'text',
  requested_by: 'text',
})

const STANDING_COLUMNS = columns({
  standing_rank: 'integer',
  standing_event_id: 'text',
  standing_sequence: 'bigint',
  status: 'text',
  standing_at: 'timestamptz',
  attempts: 'integer',
  error: 'jsonb',
  message_id: 'text',
  phone_number_id: 'text',
  chat_id: 'text',
})

/** Parameters of `mergeSends`, in order. */
export const SEND_COLUMNS: readonly Column[] = [
  ...columns({ company_id: 'uuid', command_id: 'text', id: 'uuid', first_at: 'timestamptz' }),
  ...REQUESTED_COLUMNS,
  ...STANDING_COLUMNS,
]

const requestedWins = `excluded.requested_event_id is not null and (d.requested_event_id is null
      or excluded.requested_event_id collate "C" < d.requested_event_id collate "C"
      or (excluded.requested_event_id = d.requested_event_id and excluded.requested_sequence < d.requested_sequence))`

const standingWins = `excluded.standing_rank > d.standing_rank or (excluded.standing_rank = d.standing_rank and (
      excluded.standing_at > d.standing_at or (excluded.standing_at = d.standing_at
        and (excluded.standing_event_id collate "C" < d.standing_event_id collate "C"
          or (excluded.standing_event_id = d.standing_event_id and excluded.standing_sequence < d.standing_sequence)))))`

export const mergeSends = `
  insert into gateway.sends as d (${names(SEND_COLUMNS)})
  select * from ${unnest(SEND_COLUMNS, 'i')}
  on conflict (company_id, command_id) do update set
    first_at = least(d.first_at, excluded.first_at),
    ${ifWins(REQUESTED_COLUMNS, requestedWins)},
    ${ifWins(STANDING_COLUMNS, standingWins)}
  where excluded.first_at < d.first_at or (${requestedWins}) or (${standingWins})`

export const CONTACT_COLUMNS: readonly Column[] = [
  ...columns({ company_id: 'uuid', contact_key: 'text' }),
  ...CONTACT_FIELDS.flatMap((field): Column[] => [
    { name: field, type: 'text' },
    { name: `${field}_at`, type: 'timestamptz' },
  ]),
  { name: 'last_seen', type: 'timestamptz' },
]

const saidLater = (field: string): string => `(excluded.${field} is not null and (c.${field} is null
      or excluded.${field}_at > c.${field}_at
      or (excluded.${field}_at = c.${field}_at and excluded.${field} collate "C" > c.${field} collate "C")))`

export const mergeContacts = `
  insert into gateway.contacts as c (${names(CONTACT_COLUMNS)})
  select * from ${unnest(CONTACT_COLUMNS, 'i')}
  on conflict (company_id, contact_key) do update set
    ${CONTACT_FIELDS.map(
      (field) => `${field} = case when ${saidLater(field)} then excluded.${field} else c.${field} end,
    ${field}_at = case when ${saidLater(field)} then excluded.${field}_at else c.${field}_at end`,
    ).join(',\n    ')},
    last_seen = greatest(c.last_seen, excluded.last_seen)
  where ${CONTACT_FIELDS.map(saidLater).join('\n    or ')}
    or (excluded.last_seen is not null and (c.last_seen is null or excluded.last_seen > c.last_seen))`

export const RETENTION_COLUMNS: readonly Column[] = columns({ company_id: 'uuid', before: 'timestamptz' })

export const mergeRetention = `
  insert into gateway.retention as r (${names(RETENTION_COLUMNS)})
  select * from ${unnest(RETENTION_COLUMNS, 'i')}
  on conflict (company_id) do update set before = excluded.before where excluded.before > r.before`

export const advanceProjection = `
  insert into gateway.projections as p (name, version, position) values ($1, $2, $3)
  on conflict (name, version) do update set position = excluded.position where excluded.position > p.position`
