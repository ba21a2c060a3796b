import type { MigrationBuilder } from 'node-pg-migrate'

/** The unified message table, read and partly written by other applications, and what stands behind it. */
export const up = (pgm: MigrationBuilder): void => {
  pgm.sql(`
    create table if not exists public.external_messages (
      id uuid primary key default gen_random_uuid(),
      message text,
      sender_phone text,
      responsible_email text,
      last_message_uid text not null,
      last_message_timestamp timestamptz,
      from_me boolean not null,
      status text,
      created_at timestamptz not null,
      updated_at timestamptz not null,
      is_deleted boolean not null default false,
      chat_url text,
      chat_id text,
      assigned_to_id uuid,
      company_id uuid not null,
      unique (company_id, last_message_uid)
    ) with (fillfactor = 70);

    -- The table of the predecessor, with its rows: what it lacks is added, what it has stays as it is.
    alter table public.external_messages
      add column if not exists message text,
      add column if not exists sender_phone text,
      add column if not exists responsible_email text,
      add column if not exists last_message_timestamp timestamptz,
      add column if not exists status text,
      add column if not exists is_deleted boolean not null default false,
      add column if not exists chat_url text,
      add column if not exists chat_id text,
      add column if not exists assigned_to_id uuid;

    -- Room on every page for the next version of a row: a status then touches no index.
    alter table public.external_messages set (fillfactor = 70);

    do $$
    begin
      if not exists (
        select from pg_index i
        where i.indrelid = 'public.external_messages'::regclass and i.indisunique and i.indisvalid
          and i.indpred is null and i.indexprs is null and i.indnkeyatts = 2
          and (select array_agg(a.attname::text order by a.attname) from pg_attribute a
               where a.attrelid = i.indrelid and a.attnum = any ((i.indkey::smallint[])[0:1]))
              = array['company_id', 'last_message_uid']
      ) then
        if exists (
          select from public.external_messages
          where company_id is not null and last_message_uid is not null
          group by company_id, last_message_uid having count(*) > 1
        ) then
          raise exception 'external_messages holds several rows for one (company_id, last_message_uid): keep one of each, then start again';
        end if;
        create unique index external_messages_company_id_last_message_uid_key
          on public.external_messages (company_id, last_message_uid);
      end if;
    end $$;

    -- By columns a status does not change.
    create index if not exists external_messages_by_time on public.external_messages (company_id, created_at, id);
    create index if not exists external_messages_by_chat
      on public.external_messages (company_id, chat_id, created_at, id);

    -- What changes with every status, in a row as narrow as can be. Early ones wait here for their message.
    create table gateway.message_states (
      company_id uuid not null,
      message_id text not null,
      created_at timestamptz,
      deleted_at timestamptz,
      latest_at timestamptz not null,
      status_rank smallint not null,
      primary key (company_id, message_id)
    ) with (fillfactor = 70);

    -- What was said. An early edit waits here.
    create table gateway.message_details (
      company_id uuid not null,
      message_id text not null,
      -- The message.created that counts; null while there was none.
      created_rank smallint,
      created_event_id text,
      created_sequence bigint,
      channel text,
      direction text,
      phone_number_id text,
      chat_id text,
      sender_phone text,
      kind text,
      text text,
      message text,
      own_status text,
      origin text,
      command_id text,
      responsible_email text,
      assigned_to_id uuid,
      chat_url text,
      contact jsonb,
      context jsonb,
      reaction jsonb,
      media jsonb,
      template jsonb,
      errors jsonb,
      -- The message.edited that counts.
      edit_time timestamptz,
      edit_event_id text,
      edit_sequence bigint,
      edit_kind text,
      edit_text text,
      edit_message text,
      edit_media jsonb,
      -- Set and cleared within one transaction.
      superseded jsonb,
      primary key (company_id, message_id)
    ) with (fillfactor = 70);

    create table gateway.message_timeline (
      company_id uuid not null,
      message_id text not null,
      event_id text not null,
      sequence bigint not null,
      type text not null,
      occurred_at timestamptz not null,
      recorded_at timestamptz not null,
      -- What a status.updated says.
      status text,
      participant text,
      errors jsonb,
      conversation jsonb,
      pricing jsonb,
      callback_data text,
      primary key (company_id, message_id, event_id)
    );

    -- The history of statuses: of a status told several times, the first.
    create view gateway.message_statuses as
      select distinct on (company_id, message_id, status, participant)
        company_id, message_id, status, participant, occurred_at, event_id, sequence, errors, conversation, pricing,
        callback_data
      from gateway.message_timeline
      where status is not null
      order by company_id, message_id, status, participant, occurred_at, event_id collate "C", sequence;

    create table gateway.contacts (
      company_id uuid not null,
      contact_key text not null,
      phone text, phone_at timestamptz,
      wa_id text, wa_id_at timestamptz,
      user_id text, user_id_at timestamptz,
      parent_user_id text, parent_user_id_at timestamptz,
      username text, username_at timestamptz,
      name text, name_at timestamptz,
      last_seen timestamptz,
      primary key (company_id, contact_key)
    ) with (fillfactor = 70);
    -- Which companies know a phone: for a send that names no company.
    create index contacts_by_key on gateway.contacts (contact_key);

    create table gateway.projections (
      name text not null,
      version integer not null,
      position bigint not null,
      primary key (name, version)
    ) with (fillfactor = 10);
  `)
}

/** Forward only. */
export const down = false
