import { CONTACT_FIELDS } from './contact.ts'
import { CREATED_COLUMNS, rankOf } from './projection-sql.ts'

/**
 * Forgetting, as statements: afterwards the tables are as if whatever happened before `$2` had never been told.
 *
 * A message is judged by when it was created. When it is old, it goes with all its rows; what happened to it later (a read
 * receipt, weeks after) stays as it does for a message that was not told yet, and goes when it is old itself. So the end is
 * the same whether such an event came before the sweep or after it.
 *
 * Rows are locked in the order in which the projection does it, the message's state first, and rows that somebody else has
 * locked are left for the next run: nobody waits in a circle. In every statement `$1` is the company.
 */

/** `$3`: how many at most; `$4`: those before this time were looked at already. */
export const lockOldMessages = `
  select message_id, created_at::text as since from gateway.message_states
  where company_id = $1 and created_at < $2 and created_at >= $4::timestamptz
  order by created_at limit $3
  for update skip locked`

/** What waits for a message that was never told, or is gone. `$3`: how many at most. */
export const lockOldTraces = `
  select message_id from gateway.message_states s
  where company_id = $1 and created_at is null and (latest_at < $2 or exists (
    select from gateway.message_timeline t
    where t.company_id = s.company_id and t.message_id = s.message_id and t.occurred_at < $2))
  limit $3
  for update of s skip locked`

/**
 * The rows of the messages in a parameter, found key by key through the index that begins with both columns. Left to itself,
 * and without statistics, the planner looks through all rows of the company instead: measured 0.9 s rather than 20 ms for a
 * hundred of 60,000 messages. Nobody else changes these rows meanwhile, as their messages are locked; a row of
 * `external_messages` that another application changes at that moment is left for the next pass.
 */
const rowsOf = (table: string, parameter: string, key = 'message_id'): string => `ctid = any (array(
    select x.at from unnest(${parameter}::text[]) as k (id)
    cross join lateral (select r.ctid as at from ${table} r where r.company_id = $1 and r.${key} = k.id offset 0) x))`

/** Of messages `$2` that are old: the row that other applications see, whatever they wrote into it. */
export const deleteRows = `
  delete from public.external_messages where ${rowsOf('public.external_messages', '$2', 'last_message_uid')}`

/** How many of the messages `$2` carried a file that was fetched. */
export const countFiles = `
  select count(*)::int as files from gateway.message_details
  where ${rowsOf('gateway.message_details', '$2')} and direction <> 'outbound' and media->>'id' is not null`

/** Of messages `$3`: what happened before `$2`, and that they were created. */
export const deleteTimeline = `
  delete from gateway.message_timeline
  where ${rowsOf('gateway.message_timeline', '$3')} and (occurred_at < $2 or type = 'message.created')`

/** Of messages `$3`: what was said before `$2`. */
export const deleteDetails = `
  delete from gateway.message_details
  where ${rowsOf('gateway.message_details', '$3')} and (edit_time is null or edit_time < $2)`

/** An edit that is not old waits again. `$2`: messages. */
export const forgetCreated = `
  update gateway.message_details set ${CREATED_COLUMNS.map(({ name }) => `${name} = null`).join(', ')}
  where ${rowsOf('gateway.message_details', '$2')} and created_event_id is not null`

/** `$2`: messages, whose timeline has been cut. */
export const deleteStates = `
  delete from gateway.message_states s
  where ${rowsOf('gateway.message_states', '$2')} and not exists (
    select from gateway.message_timeline t where t.company_id = s.company_id and t.message_id = s.message_id)`

/** The state that follows from what is left of the timeline. `$2`: messages. */
export const cutStates = `
  update gateway.message_states s set (created_at, latest_at, status_rank, deleted_at) = (
    select null::timestamptz, max(t.occurred_at), max(${rankOf('t.status')}),
      min(t.occurred_at) filter (where t.type = 'message.deleted')
    from gateway.message_timeline t where t.company_id = s.company_id and t.message_id = s.message_id)
  where ${rowsOf('gateway.message_states', '$2')}`

/** Rows of no message that was told: those that were there before this system, or that others inserted. `$3`: how many at most. */
export const deleteForeignRows = `
  with old as (
    select id from public.external_messages e
    where company_id = $1 and created_at < $2 and not exists (
      select from gateway.message_states s
      where s.company_id = e.company_id and s.message_id = e.last_message_uid and s.created_at is not null)
    order by created_at limit $3
    for update of e skip locked
  )
  delete from public.external_messages e using old where e.company_id = $1 and e.id = old.id`

/** A command is as old as the first that was heard of it. `$3`: how many at most. */
export const deleteSends = `
  with old as (
    select command_id from gateway.sends
    where company_id = $1 and first_at < $2
    order by first_at limit $3
    for update skip locked
  )
  delete from gateway.sends s using old where s.company_id = $1 and s.command_id = old.command_id`

const TIMES = [...CONTACT_FIELDS.map((field) => `${field}_at`), 'last_seen']
const isOld = TIMES.map((time) => `${time} < $2`).join(' or ')

/** A page of contacts, each with whether something of it is old. `$3`: how many; `$4`: after this key. */
export const pageOfContacts = `
  select contact_key, coalesce(${isOld}, false) as is_old from gateway.contacts
  where company_id = $1 and contact_key > $4
  order by contact_key limit $3`

/** `$3`: keys. */
export const lockOldContacts = `
  select contact_key from gateway.contacts
  where company_id = $1 and contact_key = any($3::text[]) and (${isOld})
  for update skip locked`

/** What was said of contacts `$3` before `$2`, column by column. */
export const forgetSaid = `
  update gateway.contacts set
    ${CONTACT_FIELDS.map(
      (field) => `${field} = case when ${field}_at < $2 then null else ${field} end,
    ${field}_at = case when ${field}_at < $2 then null else ${field}_at end`,
    ).join(',\n    ')},
    last_seen = case when last_seen < $2 then null else last_seen end
  where company_id = $1 and contact_key = any($3::text[])`

/** Contacts `$2` of whom nothing is left. */
export const deleteContacts = `
  delete from gateway.contacts
  where company_id = $1 and contact_key = any($2::text[]) and ${TIMES.map((time) => `${time} is null`).join(' and ')}`

/** Adds to what was removed and is still to be told. */
export const noteRemoved = `
  insert into gateway.retention_runs as r
    (company_id, before, retention_days, finished, messages, sends, contacts, media, others)
  values ($1, $2, $3, false, $4, $5, $6, $7, $8)
  on conflict (company_id) do update set
    before = excluded.before, retention_days = excluded.retention_days, finished = false,
    messages = r.messages + excluded.messages, sends = r.sends + excluded.sends,
    contacts = r.contacts + excluded.contacts, media = r.media + excluded.media, others = r.others + excluded.others`

/** Nothing before `$2` is left: what was removed, if anything, can be told. */
export const finishRun = `
  update gateway.retention_runs set finished = true, before = $2, retention_days = $3
  where company_id = $1 and messages + sends + contacts + media + others > 0`

export const finishedRuns = `
  select company_id, before, retention_days, messages, sends, contacts, media, others
  from gateway.retention_runs where finished`

/** The log has it, up to `$2`. What comes from now on is told with the next watermark. */
export const toldRun = `
  update gateway.retention_runs set
    finished = false, told = $2, messages = 0, sends = 0, contacts = 0, media = 0, others = 0
  where company_id = $1 and finished`

/** What the projection says by now need not be remembered here as well. */
export const forgetTold = `
  delete from gateway.retention_runs r using gateway.retention t
  where t.company_id = r.company_id and r.told <= t.before and r.before <= t.before and not r.finished
    and r.messages + r.sends + r.contacts + r.media + r.others = 0`

export const knownWatermarks = `
  select company_id, max(before) as before from (
    select company_id, before from gateway.retention
    union all select company_id, told from gateway.retention_runs where told is not null
  ) t group by company_id`
