import type { MigrationBuilder } from 'node-pg-migrate'

/** How each command stands: what was refused became no message, and would show nowhere else. */
export const up = (pgm: MigrationBuilder): void => {
  pgm.sql(`
    create table gateway.sends (
      company_id uuid not null,
      command_id text not null,
      id uuid not null,
      first_at timestamptz not null,
      -- The send.requested that counts.
      requested_event_id text,
      requested_sequence bigint,
      kind text,
      template text,
      requested_by text,
      -- The event that tells how it stands.
      standing_rank integer not null,
      standing_event_id text not null,
      standing_sequence bigint not null,
      status text not null,
      standing_at timestamptz not null,
      attempts integer not null,
      error jsonb,
      message_id text,
      phone_number_id text,
      chat_id text,
      primary key (company_id, command_id)
    ) with (fillfactor = 70);
    create index sends_by_time on gateway.sends (company_id, first_at, id);
  `)
}

/** Forward only. */
export const down = false
