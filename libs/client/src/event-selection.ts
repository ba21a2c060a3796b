import { type EventType, isCompanyId, isEventType, NO_COMPANY, subjects } from '@cloudapi2/contracts'
import type { ConsumerStart } from '@cloudapi2/nats'
import { InvalidOption } from './errors.ts'

/** Where to begin in the log: with its first event, with what comes from now on, with a time, with an event's sequence. */
export type From = 'start' | 'now' | Date | { sequence: number }

export interface EventSelection<T extends EventType = EventType> {
  /** One company's; left out: every company's. `_`: what belongs to no known company. */
  companyId?: string
  /** Left out: all. */
  types?: readonly T[]
  /**
   * A name of [A-Za-z0-9_-] for a place in the log that survives restarts. Several processes that use one name share its
   * events. Left out: the place is forgotten at `stop()`.
   */
  durable?: string
  /** Default: `start` with `durable`, else `now`. A durable that is there already goes on where it is. */
  from?: From
}

/** The subjects to ask for. @throws InvalidOption */
export const filtersOf = ({ companyId, types }: EventSelection): string[] => {
  if (companyId !== undefined && companyId !== NO_COMPANY && !isCompanyId(companyId))
    throw new InvalidOption('companyId', 'a lower-case UUID, or _')
  if (types === undefined) return [subjects.events(companyId)]
  if (types.length === 0) throw new InvalidOption('types', 'at least one type, or nothing')
  // From a caller without types it may be any text.
  const unknown = types.filter((type) => !isEventType(type))
  if (unknown.length > 0) throw new InvalidOption('types', `types of events, which ${unknown.join(', ')} is not`)
  return [...new Set(types)].map((type) => subjects.events(companyId, type))
}

/** The type that a subject names: its last two tokens. */
export const typeOfSubject = (subject: string): string => subject.split('.').slice(-2).join('.')

const NAME = /^[A-Za-z0-9_-]{1,64}$/

/** A name that may become a token of a subject. @throws InvalidOption */
export const validName = (option: string, name: string): string => {
  if (!NAME.test(name)) throw new InvalidOption(option, '1 to 64 characters of [A-Za-z0-9_-]')
  return name
}

/** @throws InvalidOption */
export const validFrom = (from: From): From => {
  const isValid =
    from === 'start' ||
    from === 'now' ||
    (from instanceof Date
      ? !Number.isNaN(from.getTime())
      : typeof from === 'object' && Number.isSafeInteger(from.sequence) && from.sequence >= 1)
  if (!isValid) throw new InvalidOption('from', "'start', 'now', a Date, or { sequence } from 1")
  return from
}

/** How far a reader has got, for a consumer that has to be made anew. */
export interface Progress {
  begin: (sequence: number) => void
  done: (sequence: number) => void
  /** Undefined: nothing has come yet. */
  next: () => number | undefined
}

export const createProgress = (): Progress => {
  // What has begun and is not done, those that failed and wait for another try included.
  const open = new Set<number>()
  let beyond = 0
  return {
    begin: (sequence) => {
      open.add(sequence)
      beyond = Math.max(beyond, sequence + 1)
    },
    done: (sequence) => void open.delete(sequence),
    next: () => (beyond === 0 ? undefined : Math.min(beyond, ...open)),
  }
}

/** Where a consumer is to begin: behind what was done, else where the reader wanted. */
export const startAt = (first: ConsumerStart, progress: Pick<Progress, 'next'>): ConsumerStart => {
  const next = progress.next()
  return next === undefined ? first : { sequence: next }
}
