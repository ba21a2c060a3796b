import { CONTACT_FIELDS } from '../contact.ts'
import {
  advanceProjection,
  CONTACT_COLUMNS,
  type Column,
  CREATED_COLUMNS,
  createdWins,
  EDIT_COLUMNS,
  editWins,
  ifWins,
  MERGE_COLUMNS,
  mergeContacts,
  mergeRetention,
  mergeSends,
  mergeStates,
  mergeTimeline,
  names,
  RETENTION_COLUMNS,
  rankOf,
  SEND_COLUMNS,
  STATE_COLUMNS,
  STATUSES,
  statusOf,
  TIMELINE_COLUMNS,
  unnest,
} from '../projection-sql.ts'

/**
 * The tables beside the live ones into which a rebuild folds the log. They have the columns of the live ones, and the
 * statements of the projection with another schema: no row can differ because it was folded by other rules.
 */
export const SHADOW = 'gateway_shadow'

/** Tells our schema from one that somebody else gave this name. */
export const SHADOW_MARK = 'cloudapi rebuild: a read model in the making. It may be dropped whenever no rebuild runs.'

const ROW_ID = { name: 'row_id', type: 'uuid' } as const

/**
 * A table of the shadow that is folded into. Rows come by COPY into a table of the session that each commit empties, and are
 * joined from there by the statement of the projection, in another schema and from another source.
 */
export interface FoldedTable {
  name: string
  columns: readonly string[]
  stage: string
  join: string
}

const folded = (name: string, columns: readonly Column[], merge: string): FoldedTable => ({
  name,
  columns: columns.map((column) => column.name),
  stage: `pg_temp.stage_${name}`,
  join: merge.replaceAll('gateway.', `${SHADOW}.`).replace(unnest(columns, 'i'), `pg_temp.stage_${name} i`),
})

/** Like `mergeDetails`, without rows of `external_messages`: those follow from the state of a message in the end. */
const mergeShadowDetails = `
  insert into gateway.message_details as d (${names(MERGE_COLUMNS)})
  select * from ${unnest(MERGE_COLUMNS, 'i')}
  on conflict (company_id, message_id) do update set
    ${ifWins([...CREATED_COLUMNS, ROW_ID], createdWins)},
    ${ifWins(EDIT_COLUMNS, editWins)}
  where (${createdWins}) or (${editWins})`

export const FOLDED = {
  states: folded('message_states', STATE_COLUMNS, mergeStates),
  details: folded('message_details', MERGE_COLUMNS, mergeShadowDetails),
  timeline: folded('message_timeline', TIMELINE_COLUMNS, mergeTimeline),
  sends: folded('sends', SEND_COLUMNS, mergeSends),
  contacts: folded('contacts', CONTACT_COLUMNS, mergeContacts),
  retention: folded('retention', RETENTION_COLUMNS, mergeRetention),
} as const satisfies Record<string, FoldedTable>

/** Once per session that folds. */
export const MAKE_STAGES = Object.values(FOLDED)
  .map(
    ({ name, columns, stage }) =>
      `create temp table ${stage.replace('pg_temp.', '')} on commit delete rows as
        select ${columns.join(', ')} from ${SHADOW}.${name} with no data`,
  )
  .join(';\n')

export const shadowAdvance = advanceProjection.replaceAll('gateway.', `${SHADOW}.`)

/** Of the events that were stored twice, their first place counts. */
export const foldTimelineRepeats = `
  delete from ${SHADOW}.message_timeline t
  using (
    select company_id, message_id, event_id, min(sequence) as first from ${SHADOW}.message_timeline
    group by company_id, message_id, event_id having count(*) > 1
  ) r
  where t.company_id = r.company_id and t.message_id = r.message_id and t.event_id = r.event_id
    and t.sequence > r.first`

export const TIMELINE_KEY = `
  alter table ${SHADOW}.message_timeline add primary key (company_id, message_id, event_id)`

/** Tables of the read model as a rebuild sees them, in the order in which the projection writes them. */
export interface ReadModelTable {
  name: string
  live: string
  key: readonly string[]
  /** Every other column that is compared and replaced. */
  columns: readonly string[]
  /** Columns whose values are phone numbers, texts, or hold such: a difference names them and shows nothing. */
  hidden: readonly string[]
}

const columnsOf = (list: readonly { name: string }[], without: readonly string[]): string[] =>
  list.map(({ name }) => name).filter((name) => !without.includes(name))

const MESSAGE_KEY = ['company_id', 'message_id'] as const

export const TABLES = [
  {
    name: 'message_states',
    live: 'gateway.message_states',
    key: MESSAGE_KEY,
    columns: columnsOf(STATE_COLUMNS, MESSAGE_KEY),
    hidden: [],
  },
  {
    name: 'message_details',
    live: 'gateway.message_details',
    key: MESSAGE_KEY,
    columns: [...columnsOf(MERGE_COLUMNS, [...MESSAGE_KEY, ROW_ID.name]), 'superseded'],
    hidden: [
      'chat_id',
      'sender_phone',
      'text',
      'message',
      'responsible_email',
      'chat_url',
      'contact',
      'context',
      'reaction',
      'media',
      'template',
      'errors',
      'edit_text',
      'edit_message',
      'edit_media',
      'superseded',
    ],
  },
  {
    name: 'external_messages',
    live: 'public.external_messages',
    key: ['company_id', 'last_message_uid'],
    columns: [
      'id',
      'message',
      'sender_phone',
      'last_message_timestamp',
      'from_me',
      'status',
      'created_at',
      'updated_at',
      'is_deleted',
      'chat_id',
    ],
    hidden: ['message', 'sender_phone', 'chat_id'],
  },
  {
    name: 'message_timeline',
    live: 'gateway.message_timeline',
    key: ['company_id', 'message_id', 'event_id'],
    columns: columnsOf(TIMELINE_COLUMNS, ['company_id', 'message_id', 'event_id']),
    hidden: ['participant', 'errors', 'conversation', 'callback_data'],
  },
  {
    name: 'sends',
    live: 'gateway.sends',
    key: ['company_id', 'command_id'],
    columns: columnsOf(SEND_COLUMNS, ['company_id', 'command_id']),
    hidden: ['error', 'chat_id', 'requested_by'],
  },
  {
    name: 'contacts',
    live: 'gateway.contacts',
    key: ['company_id', 'contact_key'],
    columns: columnsOf(CONTACT_COLUMNS, ['company_id', 'contact_key']),
    hidden: [...CONTACT_FIELDS],
  },
  { name: 'retention', live: 'gateway.retention', key: ['company_id'], columns: ['before'], hidden: [] },
  {
    name: 'projections',
    live: 'gateway.projections',
    key: ['name', 'version'],
    columns: ['position'],
    hidden: [],
  },
] as const satisfies readonly ReadModelTable[]

export type TableName = (typeof TABLES)[number]['name']

/** Columns that belong to other applications once the row exists: not compared, and replaced in no row. */
export const COLUMNS_OF_OTHERS = ['responsible_email', 'chat_url', 'assigned_to_id'] as const

/** Keys of the tables that are folded into with upserts. */
const KEYED: Readonly<Record<string, string>> = {
  message_states: 'company_id, message_id',
  message_details: 'company_id, message_id',
  sends: 'company_id, command_id',
  contacts: 'company_id, contact_key',
  retention: 'company_id',
  projections: 'name, version',
}

/** Unlogged: a crash of the server empties them, and whoever was rebuilding is gone as well. */
export const MAKE_SHADOW = [
  ...[...Object.keys(KEYED), 'message_timeline'].map(
    (name) => `create unlogged table ${SHADOW}.${name} (like gateway.${name} including defaults)
      with (autovacuum_enabled = off)`,
  ),
  `alter table ${SHADOW}.message_details add column row_id uuid`,
  ...Object.entries(KEYED).map(([name, key]) => `alter table ${SHADOW}.${name} add primary key (${key})`),
  // What `externalMessage` makes of a state.
  `create view ${SHADOW}.external_messages as
    select d.row_id as id, coalesce(d.edit_message, d.message) as message, d.sender_phone, d.responsible_email,
      d.message_id as last_message_uid, s.latest_at as last_message_timestamp, d.direction <> 'inbound' as from_me,
      ${statusOf('d', 's')} as status, s.created_at, s.latest_at as updated_at, s.deleted_at is not null as is_deleted,
      d.chat_url, d.chat_id, d.assigned_to_id, d.company_id
    from ${SHADOW}.message_details d
    join ${SHADOW}.message_states s on s.company_id = d.company_id and s.message_id = d.message_id
    where d.created_event_id is not null`,
].join(';\n')

/**
 * Lets readers in and keeps writers out, in the order in which the projection's transactions take the tables. Retention takes
 * rows with `for update` before it writes, which only the stronger mode waits for. Other applications may have references to
 * `external_messages`: the weaker mode lets them go on.
 */
export const LOCK_LIVE = TABLES.map(
  ({ live }) => `lock table ${live} in ${live.startsWith('public.') ? 'share row exclusive' : 'exclusive'} mode`,
).join('; ')

export interface Scope {
  /** A UUID; undefined: every company. */
  companyId: string | undefined
  projection: { name: string; version: number }
}

/** @throws RangeError when it is no UUID: it becomes part of a statement that can have no parameters */
const uuidLiteral = (id: string): string => {
  if (!/^[0-9a-f-]{36}$/.test(id)) throw new RangeError('not a company id')
  return `'${id}'::uuid`
}

/** Joins what makes two rows one. */
const on = (a: string, b: string, key: readonly string[]): string =>
  key.map((column) => `${a}.${column} = ${b}.${column}`).join(' and ')

const row = (alias: string, columns: readonly string[]): string =>
  `(${columns.map((column) => `${alias}.${column}`).join(', ')})`

const latestSaid = (alias: string): string =>
  `greatest(${[...CONTACT_FIELDS.map((field) => `${field}_at`), 'last_seen'].map((name) => `${alias}.${name}`).join(', ')})`

/** `$1`, `$2`: companies and times. Before `compareTables`, in its transaction. */
export const MAKE_LATER_CUTS =
  'create temp table later_cuts (company_id uuid not null, before timestamptz not null) on commit drop'
export const insertLaterCuts = 'insert into pg_temp.later_cuts select * from unnest($1::uuid[], $2::timestamptz[])'

/**
 * What both sides are compared without: what retention removed or is removing, and everything about it that came later.
 * A message is gone when either side says that it is older than the company's cut, because a status that came after the
 * removal made a row that does not know how old its message is.
 *
 * The cuts are the log's, not those of `gateway.retention`: a wrong one there would hide what is missing. What is being
 * removed right now is in `gateway.retention_runs`, until the log has been told; `later_cuts` is what it was told since.
 */
const goneTables = (): string[] => [
  `create temp table cuts on commit drop as
    select company_id, max(before) as before from (
      select company_id, before from ${SHADOW}.retention
      union all select company_id, before from gateway.retention_runs
      union all select company_id, before from pg_temp.later_cuts
    ) r group by company_id`,
  `create temp table gone_messages on commit drop as
    select m.company_id, m.message_id from (
      select company_id, message_id, coalesce(created_at, latest_at) as at from ${SHADOW}.message_states
      union all select company_id, message_id, coalesce(created_at, latest_at) from gateway.message_states
      union all select company_id, last_message_uid, created_at from public.external_messages
      union all select company_id, message_id, occurred_at from ${SHADOW}.message_timeline
    ) m join cuts c on c.company_id = m.company_id and m.at < c.before
    group by m.company_id, m.message_id`,
  `create temp table gone_sends on commit drop as
    select s.company_id, s.command_id from (
      select company_id, command_id, first_at from ${SHADOW}.sends
      union all select company_id, command_id, first_at from gateway.sends
    ) s join cuts c on c.company_id = s.company_id and s.first_at < c.before
    group by s.company_id, s.command_id`,
  `create temp table gone_contacts on commit drop as
    select k.company_id, k.contact_key from (
      select company_id, contact_key, ${latestSaid('a')} as at from ${SHADOW}.contacts a
      union all select company_id, contact_key, ${latestSaid('b')} from gateway.contacts b
    ) k join cuts c on c.company_id = k.company_id and k.at < c.before
    group by k.company_id, k.contact_key`,
]

const GONE: Readonly<Record<string, readonly [string, string]>> = {
  sends: ['gone_sends', 'command_id'],
  contacts: ['gone_contacts', 'contact_key'],
}

/** Which rows of a table are looked at. */
const counted = (table: ReadModelTable, alias: string, { companyId, projection }: Scope): string => {
  if (table.name === 'projections')
    // Of one company there is no position.
    return companyId === undefined
      ? `${alias}.name = '${projection.name}' and ${alias}.version = ${projection.version}`
      : 'false'
  const ofCompany = companyId === undefined ? 'true' : `${alias}.company_id = ${uuidLiteral(companyId)}`
  if (table.name === 'retention') return ofCompany
  const [gone, id] = GONE[table.name] ?? ['gone_messages', 'message_id']
  const own = table.name === 'external_messages' ? 'last_message_uid' : id
  return `${ofCompany} and not exists (
      select from ${gone} g where g.company_id = ${alias}.company_id and g.${id} = ${alias}.${own})`
}

/**
 * Rows of `external_messages` that were there before the log: the predecessor's, or of whoever else had the table. Their
 * id is not the one this system gives, and their message is older than the company's first event about a message. They
 * keep their content; of the log they get what the projection gives them: statuses, times, deletions, edits.
 */
const takenOverTable = (scope: Scope): string => `
  create temp table taken_over on commit drop as
  select l.company_id, l.last_message_uid, e.id is null as is_unknown
  from public.external_messages l
  left join ${SHADOW}.external_messages e on e.company_id = l.company_id and e.last_message_uid = l.last_message_uid
  left join (
    select company_id, min(recorded_at) as since from ${SHADOW}.message_timeline group by company_id
  ) f on f.company_id = l.company_id
  where ${counted(EXTERNAL, 'l', scope)} and l.id is distinct from e.id and (f.since is null or l.created_at < f.since)
    and not exists (select from ${SHADOW}.message_details d where d.company_id = l.company_id and d.row_id = l.id)`

const EXTERNAL = TABLES[2]

const settled = `
  select l.id, coalesce(d.edit_message, l.message) as message, l.sender_phone, l.responsible_email, l.last_message_uid,
    greatest(l.last_message_timestamp, s.latest_at) as last_message_timestamp, l.from_me,
    case when l.from_me and s.status_rank > ${rankOf('l.status')} then (${STATUSES})[s.status_rank + 1] else l.status end
      as status,
    least(l.created_at, s.created_at) as created_at, greatest(l.updated_at, s.latest_at) as updated_at,
    case when s.deleted_at is not null then true else l.is_deleted end as is_deleted,
    l.chat_url, l.chat_id, l.assigned_to_id, l.company_id
  from taken_over t
  join public.external_messages l on l.company_id = t.company_id and l.last_message_uid = t.last_message_uid
  left join ${SHADOW}.message_states s on s.company_id = t.company_id and s.message_id = t.last_message_uid
  left join ${SHADOW}.message_details d on d.company_id = t.company_id and d.message_id = t.last_message_uid`

/**
 * What `external_messages` has to be. `updated_at` may be later than the log says: other applications move it forward
 * when they write their columns.
 */
const expectedExternal = `
  create temp table expected_external on commit drop as
  select e.id, e.message, e.sender_phone, e.responsible_email, e.last_message_uid, e.last_message_timestamp, e.from_me,
    e.status, e.created_at, greatest(l.updated_at, e.updated_at) as updated_at, e.is_deleted, e.chat_url, e.chat_id,
    e.assigned_to_id, e.company_id
  from ${SHADOW}.external_messages e
  left join public.external_messages l on l.company_id = e.company_id and l.last_message_uid = e.last_message_uid
  where not exists (
    select from taken_over t where t.company_id = e.company_id and t.last_message_uid = e.last_message_uid)
  union all ${settled}`

/**
 * What `contacts` has to be. A contact that was removed and came back knows less than the log: what was said before the
 * cut is taken as it stands.
 */
const expectedContacts = `
  create temp table expected_contacts on commit drop as
  select e.company_id, e.contact_key,
    ${CONTACT_FIELDS.map((field) => {
      const isOld = `e.${field}_at < c.before`
      return `case when ${isOld} then l.${field} else e.${field} end as ${field},
    case when ${isOld} then l.${field}_at else e.${field}_at end as ${field}_at`
    }).join(',\n    ')},
    case when e.last_seen < c.before then l.last_seen else e.last_seen end as last_seen
  from ${SHADOW}.contacts e
  left join cuts c on c.company_id = e.company_id
  left join gateway.contacts l on l.company_id = e.company_id and l.contact_key = e.contact_key`

const EXPECTED: Readonly<Record<string, string>> = {
  external_messages: 'expected_external',
  contacts: 'expected_contacts',
}

/** Where the rows are that a table has to have. */
const expectedOf = (table: ReadModelTable): string => EXPECTED[table.name] ?? `${SHADOW}.${table.name}`

const differencesOf = (table: ReadModelTable): string => `differences_${table.name}`

const findDifferences = (table: ReadModelTable, scope: Scope): string => {
  const { key, columns, live } = table
  const first = key[0] as string
  return `create temp table ${differencesOf(table)} on commit drop as
    select ${key.map((column) => `coalesce(l.${column}, e.${column}) as ${column}`).join(', ')},
      case when e.${first} is null then 'surplus' when l.${first} is null then 'missing' else 'differs' end as kind
    from (select * from ${live} l where ${counted(table, 'l', scope)}) l
    full join (select * from ${expectedOf(table)} e where ${counted(table, 'e', scope)}) e on ${on('l', 'e', key)}
    where l.${first} is null or e.${first} is null
      or ${row('l', columns)} is distinct from ${row('e', columns)}`
}

/** Of a live table without rows, everything is missing: as many of them are noted as are to be listed. */
const noteMissing = (table: ReadModelTable, scope: Scope, listed: number): string =>
  `create temp table ${differencesOf(table)} on commit drop as
    select ${table.key.map((column) => `e.${column}`).join(', ')}, 'missing' as kind
    from ${expectedOf(table)} e where ${counted(table, 'e', scope)} limit ${listed}`

/** Fills a live table without rows. */
export const fillTable = (table: ReadModelTable, scope: Scope): string => {
  const all = writtenColumns(table)
  return `insert into ${table.live} (${all.join(', ')})
    select ${all.map((column) => `e.${column}`).join(', ')}
    from ${expectedOf(table)} e where ${counted(table, 'e', scope)}
    order by ${table.key.map((column) => `e.${column}`).join(', ')}`
}

const writtenColumns = ({ name, key, columns }: ReadModelTable): string[] => [
  ...key,
  ...columns,
  ...(name === 'external_messages' ? COLUMNS_OF_OTHERS : []),
]

/** Columns: name, is_empty. */
export const findEmptyTables = TABLES.map(
  ({ name, live }) => `select '${name}' as name, not exists (select from ${live}) as is_empty`,
).join(' union all ')

/**
 * Compares the live tables with the shadow, as the transaction in hand sees both. What it finds is in temporary tables
 * that end with the transaction: `countDifferences`, `listDifferences` and `applyDifferences` use them.
 *
 * @param options.empty tables without rows, of which only what is to be listed is noted: `fillTable` counts the rest
 */
export const compareTables = (
  scope: Scope,
  { empty, listed }: { empty: ReadonlySet<string>; listed: number },
): string[] => [
  ...goneTables(),
  takenOverTable(scope),
  expectedExternal,
  expectedContacts,
  ...TABLES.map((table) => (empty.has(table.name) ? noteMissing(table, scope, listed) : findDifferences(table, scope))),
]

export const countDifferences = TABLES.map(
  (table) => `select '${table.name}' as name,
    count(*) filter (where kind = 'missing')::int as missing,
    count(*) filter (where kind = 'surplus')::int as surplus,
    count(*) filter (where kind = 'differs')::int as differs from ${differencesOf(table)}`,
).join(' union all ')

/** Rows of others that are kept: `unknown`, no event is about them at all. */
export const countTakenOver = `
  select count(*)::int as taken_over, (count(*) filter (where is_unknown))::int as unknown from taken_over`

/** A phone number, or a user id that stands for one. */
const keyText = (alias: string, column: string): string =>
  column === 'contact_key'
    ? `'sha256:' || left(encode(sha256(convert_to(${alias}.${column}, 'UTF8')), 'hex'), 16)`
    : `${alias}.${column}::text`

/**
 * Differences of a table, at most `$1`: a line for every column that differs, one for a row that is missing or surplus.
 * Columns: company_id, key (an array), kind, column, is_hidden, live, expected.
 */
export const listDifferences = (table: ReadModelTable): string => {
  const { key, columns, live, hidden } = table
  const company = key[0] === 'company_id' ? 'd.company_id::text' : 'null::text'
  const keys = `array[${key
    .filter((column) => column !== 'company_id')
    .map((column) => keyText('d', column))
    .join(', ')}]::text[]`
  const values = columns.map((column, i) =>
    hidden.includes(column)
      ? `(${i}, '${column}', true, null, null, l.${column} is distinct from e.${column})`
      : `(${i}, '${column}', false, l.${column}::text, e.${column}::text, l.${column} is distinct from e.${column})`,
  )
  return `select ${company} as company_id, ${keys} as key, d.kind, c.name as column, coalesce(c.is_hidden, false) as is_hidden,
      c.live, c.expected
    from ${differencesOf(table)} d
    left join ${live} l on d.kind = 'differs' and ${on('l', 'd', key)}
    left join ${expectedOf(table)} e on d.kind = 'differs' and ${on('e', 'd', key)}
    left join lateral (values ${values.join(', ')}) as c (place, name, is_hidden, live, expected, differs)
      on d.kind = 'differs' and c.differs
    order by ${key.map((column) => `d.${column}`).join(', ')}, c.place
    limit $1`
}

/** Brings a table to what it has to be. What does not differ is not touched, and no column that others own. */
export const applyDifferences = (table: ReadModelTable): string[] => {
  const { key, columns, live } = table
  const all = writtenColumns(table)
  const differences = differencesOf(table)
  return [
    `delete from ${live} l using ${differences} d where d.kind = 'surplus' and ${on('l', 'd', key)}`,
    `update ${live} l set ${columns.map((column) => `${column} = e.${column}`).join(', ')}
      from ${differences} d join ${expectedOf(table)} e on ${on('e', 'd', key)}
      where d.kind = 'differs' and ${on('l', 'd', key)}`,
    `insert into ${live} (${all.join(', ')})
      select ${all.map((column) => `e.${column}`).join(', ')}
      from ${differences} d join ${expectedOf(table)} e on ${on('e', 'd', key)}
      where d.kind = 'missing'
      order by ${key.map((column) => `e.${column}`).join(', ')}`,
  ]
}
