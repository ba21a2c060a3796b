import type { MigrationBuilder } from 'node-pg-migrate'

/** What was removed because it was old enough: how far, by the log, and what of it the log has not been told yet. */
export const up = (pgm: MigrationBuilder): void => {
  pgm.sql(`
    -- Folded from retention.applied: whatever of the company happened before this is gone on purpose.
    create table gateway.retention (
      company_id uuid primary key,
      before timestamptz not null
    ) with (fillfactor = 70);

    -- The one table here that does not come from the log: what was removed and still has to be told to it.
    create table gateway.retention_runs (
      company_id uuid primary key,
      before timestamptz not null,
      retention_days integer not null,
      -- All before "before" is gone: it can be told. What was removed since belongs to the next time.
      finished boolean not null,
      messages bigint not null,
      sends bigint not null,
      contacts bigint not null,
      media bigint not null,
      others bigint not null,
      -- How far the log was told: the projection may not have come by there yet.
      told timestamptz
    ) with (fillfactor = 50);

    -- Finds old messages, and those of which only others have spoken yet (null). A status changes neither column.
    create index message_states_by_time on gateway.message_states (company_id, created_at);
  `)
}

/** Forward only. */
export const down = false
