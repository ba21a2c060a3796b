import { GatewayError } from '@cloudapi2/contracts'

/** Only one at a time: they would fold into the same tables. */
export class RebuildRunning extends GatewayError {
  constructor() {
    super('another rebuild or check of this database is running: wait for it, or stop it', {
      code: 'REBUILD_RUNNING',
      retryable: true,
    })
  }
}

/** What is not ours is not dropped. */
export class ShadowTaken extends GatewayError {
  constructor(schema: string) {
    super(`the schema ${schema} is there and was not made by a rebuild: rename or drop it, then start again`, {
      code: 'SHADOW_TAKEN',
      retryable: false,
    })
  }
}

/** Folding a log that lacks events would take away rows that are right. */
export class LogIncomplete extends GatewayError {
  constructor(what: string) {
    super(
      `the log is not whole: ${what}; nothing was changed. Check NATS_URL, or read the archive with --source eventstore`,
      {
        code: 'LOG_INCOMPLETE',
        retryable: false,
      },
    )
  }
}

/** There is nothing to compare with. */
export class ReadModelMissing extends GatewayError {
  constructor(tables: readonly string[]) {
    super(
      `the read model lacks ${tables.join(', ')}: start the projector once, or run "cloudapi rebuild", which makes them`,
      { code: 'READ_MODEL_MISSING', retryable: false },
    )
  }
}

/** The rows are of a later moment than the position they would be compared at. */
export class ProjectionBehind extends GatewayError {
  constructor(position: number, folded: number) {
    super(
      `the projector has begun again and is at position ${position}, its rows are of position ${folded}: wait until it has caught up`,
      { code: 'PROJECTION_BEHIND', retryable: true },
    )
  }
}

/** PostgreSQL could not do it. The live tables are as they were. */
export class RebuildFailed extends GatewayError {
  constructor(code: 'DATABASE_FULL' | 'DATABASE_UNAVAILABLE' | 'DATABASE_REFUSED', message: string, cause: unknown) {
    super(`${message}; the live tables are as they were`, { code, retryable: code === 'DATABASE_UNAVAILABLE', cause })
  }
}

/** 53100 disk_full, 53200 out_of_memory. */
const FULL: Readonly<Record<string, string>> = {
  '53100': 'the disk of PostgreSQL is full: a rebuild needs as much room again as the read model has',
  '53200': 'PostgreSQL has no memory left',
}
const SQLSTATE = /^[0-9A-Z]{5}$/
/** Class 08: the connection; 57P01 to 57P03: it is stopping or starting. */
const AWAY = /^(08...|57P0[1-3])$/

/**
 * The error as it is told: disk full and connection lost by their names, everything else as it is.
 * Messages of PostgreSQL can quote values, so theirs are not repeated.
 */
export const rebuildError = (error: unknown): unknown => {
  if (error instanceof GatewayError) return error
  const { code, message } = error as { code?: unknown; message?: unknown }
  const full = typeof code === 'string' ? FULL[code] : undefined
  if (full !== undefined) return new RebuildFailed('DATABASE_FULL', full, error)
  const isAway =
    typeof code === 'string'
      ? AWAY.test(code) || /^E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_)/.test(code)
      : typeof message === 'string' && /^(Connection terminated|timeout expired|Client has encountered)/.test(message)
  if (isAway)
    return new RebuildFailed(
      'DATABASE_UNAVAILABLE',
      `PostgreSQL cannot be reached (${code ?? 'connection lost'})`,
      error,
    )
  return typeof code === 'string' && SQLSTATE.test(code)
    ? new RebuildFailed('DATABASE_REFUSED', `PostgreSQL refused a statement (SQLSTATE ${code})`, error)
    : error
}
