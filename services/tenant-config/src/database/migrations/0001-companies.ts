import type { MigrationBuilder } from 'node-pg-migrate'

/**
 * `public.companies` may have been made by another program, which also writes to it: what is there stays, what is missing
 * is added. `gateway.api_keys` has no foreign key to it, because that program may delete a row and insert it again, and the
 * keys must outlive that.
 */
export const up = (migration: MigrationBuilder): void => {
  migration.sql(`
    create schema if not exists gateway;

    create table if not exists public.companies (
      id uuid primary key,
      name text not null,
      custom_properties jsonb not null default '{}',
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    alter table public.companies add column if not exists name text not null default '';
    alter table public.companies add column if not exists custom_properties jsonb not null default '{}';
    alter table public.companies add column if not exists created_at timestamptz not null default now();
    alter table public.companies add column if not exists updated_at timestamptz not null default now();

    create table if not exists gateway.api_keys (
      id uuid primary key,
      company_id uuid not null,
      name text not null,
      scopes text[] not null,
      hash text not null unique,
      created_at timestamptz not null default now(),
      revoked_at timestamptz
    );
    create index if not exists api_keys_of_company on gateway.api_keys (company_id) where revoked_at is null;

    -- A writer that leaves updated_at alone still moves it: it tells one configuration from an equal one before it.
    create or replace function gateway.touch_company() returns trigger language plpgsql as $$
    begin
      if (new.name, new.custom_properties::text) is distinct from (old.name, old.custom_properties::text)
         and new.updated_at is not distinct from old.updated_at then
        new.updated_at := clock_timestamp();
      end if;
      return new;
    end $$;
    drop trigger if exists gateway_touch_company on public.companies;
    create trigger gateway_touch_company before update on public.companies
      for each row execute function gateway.touch_company();

    -- The payload is the company's id; empty: any may have changed.
    create or replace function gateway.tell_company_changed() returns trigger language plpgsql as $$
    begin
      if tg_op = 'TRUNCATE' then
        perform pg_notify('gateway_companies', '');
      else
        if tg_op <> 'DELETE' then perform pg_notify('gateway_companies', new.id::text); end if;
        if tg_op <> 'INSERT' then perform pg_notify('gateway_companies', old.id::text); end if;
      end if;
      return null;
    end $$;
    drop trigger if exists gateway_tell_company_changed on public.companies;
    create trigger gateway_tell_company_changed after insert or update or delete on public.companies
      for each row execute function gateway.tell_company_changed();
    drop trigger if exists gateway_tell_companies_truncated on public.companies;
    create trigger gateway_tell_companies_truncated after truncate on public.companies
      for each statement execute function gateway.tell_company_changed();
  `)
}

export const down = false
