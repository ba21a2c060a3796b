import { type Column, table } from '../output/table.ts'

/** `skipped`: it could not be asked, because something else is away or not configured. */
export type CheckState = 'ok' | 'warn' | 'fail' | 'skipped'

/** What was looked at, and what to do about it. */
export interface Check {
  check: string
  state: CheckState
  detail: string
  todo?: string
}

export const ok = (check: string, detail: string): Check => ({ check, state: 'ok', detail })
export const warn = (check: string, detail: string, todo: string): Check => ({ check, state: 'warn', detail, todo })
export const fail = (check: string, detail: string, todo: string): Check => ({ check, state: 'fail', detail, todo })
export const skipped = (check: string, detail: string): Check => ({ check, state: 'skipped', detail })

const COLUMNS: readonly Column<Check>[] = [
  { title: 'CHECK', of: ({ check }) => check },
  { title: 'STATE', of: ({ state }) => (state === 'ok' || state === 'skipped' ? state : state.toUpperCase()) },
  { title: 'WHAT WAS FOUND', of: ({ detail }) => detail },
]

/** The table, then what to do, one after the other and uncut. */
export const checksText = (
  checks: readonly Check[],
  style: { width: number | undefined; emphasis: (text: string) => string },
): string => {
  const todos = checks.filter(({ todo }) => todo !== undefined)
  return [
    table(COLUMNS, checks, style),
    ...(todos.length === 0 ? [] : ['', style.emphasis('WHAT TO DO')]),
    ...todos.map(({ check, detail, todo }) => `${check}: ${detail}\n  ${todo}`),
  ].join('\n')
}

/** `3 ok, 1 warn, 1 fail`. */
export const summary = (checks: readonly Check[]): string =>
  (['ok', 'warn', 'fail', 'skipped'] as const)
    .map((state) => [state, checks.filter((check) => check.state === state).length] as const)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ')

const MIB = 1_048_576

/** `up` refuses to start below the first; below the second it is a matter of days. */
const SPACE = { fail: 128 * MIB, warn: 1_024 * MIB } as const

/** @param freeBytes that this user may fill */
export const spaceCheck = (path: string, freeBytes: number): Check => {
  const detail = `${Math.floor(freeBytes / MIB)} MiB free at ${path}`
  if (freeBytes < SPACE.fail)
    return fail('disk', detail, 'Free some, or set DATA_DIR to another disk: nothing can be stored')
  if (freeBytes < SPACE.warn) return warn('disk', detail, 'Free some, or set DATA_DIR to another disk')
  return ok('disk', detail)
}

/** A difference that confuses a reader of two logs, and one that breaks leases and signatures that expire. */
const CLOCK_MS = { warn: 1_000, fail: 10_000 } as const

/** @param aheadMs of this machine's clock, against that of `of` */
export const clockCheck = (of: string, aheadMs: number): Check => {
  const check = `clock of ${of}`
  const rounded = Math.round(Math.abs(aheadMs))
  const detail =
    rounded === 0 ? 'the same as here' : `${rounded} ms ${aheadMs > 0 ? 'behind' : 'ahead of'} the one here`
  const todo = 'Let an NTP client keep the clock of both machines'
  if (rounded >= CLOCK_MS.fail) return fail(check, detail, todo)
  if (rounded >= CLOCK_MS.warn) return warn(check, detail, todo)
  return ok(check, detail)
}

/** Migrations that the code has and the database does not, or the other way round. */
export const migrationsCheck = (check: string, wanted: readonly string[], run: readonly string[]): Check => {
  const pending = wanted.filter((name) => !run.includes(name))
  const unknown = run.filter((name) => !wanted.includes(name))
  if (unknown.length > 0)
    return fail(
      check,
      `the database is newer than this software: ${unknown.join(', ')}`,
      'Upgrade this software; an older one may misread the tables',
    )
  if (pending.length > 0)
    return warn(
      check,
      `${pending.length === wanted.length ? 'none has run' : 'not run yet'}: ${pending.join(', ')}`,
      'Start the service: it runs them by itself, unless its log says why not',
    )
  return ok(check, `all ${wanted.length} have run`)
}

const MOST_NAMED = 20

/** One check for all that are well, and one for each that is not; of many, the first ones. */
export const perCompany = (check: string, good: number, faults: readonly Check[]): Check[] => {
  const rest = faults.length - MOST_NAMED
  return [
    ...(good === 0 && faults.length > 0 ? [] : [ok(check, `${good} ${good === 1 ? 'company' : 'companies'}`)]),
    ...faults.slice(0, MOST_NAMED),
    ...(rest > 0 ? [fail(check, `and ${rest} more`, 'Mend those first, or ask about one with --company')] : []),
  ]
}
