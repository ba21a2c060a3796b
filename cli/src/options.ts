import { GatewayError, isCompanyId, isEventType, NO_COMPANY } from '@cloudapi2/contracts'
import type { EventLog } from '@cloudapi2/event-log'
import { InvalidArgumentError, Option } from 'commander'

export const OUTPUT_FORMATS = ['table', 'json', 'ndjson'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

/** `-o table|json|ndjson`, the same on every command that prints results. */
export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'table for people, json (one array) or ndjson (one object a line) for scripts')
    .choices(OUTPUT_FORMATS)
    .default('table')

/** Where a log is read from: EVENTS itself, or its copy in EventStoreDB. */
export type LogSource = EventLog['kind']
const LOG_SOURCES: readonly LogSource[] = ['jetstream', 'eventstore']

/** `--source jetstream|eventstore`, on every command that reads the log. */
export const sourceOption = (description = 'which log is read'): Option =>
  new Option('--source <log>', description).choices(LOG_SOURCES).default('jetstream')

/** What commander cannot tell by itself: options that mean nothing together, or with what they name. */
export const misused = (message: string) => new GatewayError(message, { code: 'INVALID_OPTION', retryable: false })

/** @throws GatewayError INVALID_OPTION when nothing can lie between `--from` and `--to` */
export const checkRange = (from: Date | undefined, to: Date | undefined): void => {
  if (from !== undefined && to !== undefined && from >= to)
    throw misused(`--from (${from.toISOString()}) must be before --to (${to.toISOString()}): the range is empty`)
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** RFC 3339, or how long ago: `90s`, `15m`, `2h`, `7d`. */
export const timeOf =
  (now: () => number) =>
  (text: string): Date => {
    const ago = /^([1-9][0-9]{0,5})([smhd])$/.exec(text)
    if (ago !== null) return new Date(now() - Number(ago[1]) * SECONDS[ago[2] as keyof typeof SECONDS] * 1_000)
    const isFull = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    const time = new Date(text)
    if (!isFull || Number.isNaN(time.getTime()))
      throw new InvalidArgumentError('expected a time such as 2026-11-24T08:00:00Z, or how long ago: 90s, 15m, 2h, 7d')
    return time
  }

export const countOf =
  (most: number) =>
  (text: string): number => {
    const count = Number(text)
    if (!/^[0-9]{1,12}$/.test(text) || count < 1 || count > most)
      throw new InvalidArgumentError(`expected a number from 1 to ${most}`)
    return count
  }

export const companyOf = (text: string): string => {
  if (text !== NO_COMPANY && !isCompanyId(text))
    throw new InvalidArgumentError('expected a company id (a lower-case UUID), or _ for those of no company')
  return text
}

export const serviceOf = (text: string): string => {
  if (!/^[a-z0-9_-]{1,64}$/.test(text))
    throw new InvalidArgumentError('expected a service, such as sender or projector')
  return text
}

/** A type of event, in a list of those given before. */
export const typesOf = (text: string, before: string[] | undefined): string[] => {
  if (!isEventType(text)) throw new InvalidArgumentError('expected a type of event, such as message.created')
  return [...(before ?? []), text]
}

/** A position of the log; 0 is before the first. */
export const positionOf = (text: string): number => {
  if (!/^[0-9]{1,15}$/.test(text))
    throw new InvalidArgumentError('expected a position of the log: a whole number from 0')
  return Number(text)
}
