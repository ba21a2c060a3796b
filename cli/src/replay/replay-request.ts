import { GatewayError } from '@cloudapi2/contracts'
import type { LogExtent, LogQuery } from '@cloudapi2/event-log'
import { companyNotInLog } from '../company-in-log.ts'
import { checkRange, misused } from '../options.ts'

export interface ReplayOptions {
  company: string
  message?: string
  type?: string[]
  from?: Date
  to: ReplayEnd[]
  after?: number
  receiver?: string
}

/** `--to` names the end of the time, or, by its prefix, the receiver. */
export type ReplayEnd = { kind: 'time'; time: Date } | { kind: 'receiver'; id: string }

const RECEIVER = /^[a-z0-9_-]{1,64}$/

/** @throws GatewayError INVALID_OPTION */
export const receiverOf = (id: string): string => {
  if (!RECEIVER.test(id)) throw misused('a receiver is 1 to 64 characters of a-z, 0-9, _ and -')
  return id
}

/** `replay.<id>` or `replay.<id>.>`: a subject, not a time. */
const SUBJECT = /^replay\.(.*?)(?:\.>)?$/

/** @throws whatever `timeOf` throws for what is neither */
export const endOf = (text: string, timeOf: (text: string) => Date): ReplayEnd => {
  const [, id] = SUBJECT.exec(text) ?? []
  return id === undefined ? { kind: 'time', time: timeOf(text) } : { kind: 'receiver', id: receiverOf(id) }
}

/**
 * What is asked of the log, and who is to get it.
 *
 * @throws GatewayError INVALID_OPTION
 */
export const requestOf = (options: ReplayOptions): { query: LogQuery; receiver: string | undefined } => {
  const times = options.to.filter((end) => end.kind === 'time')
  const receivers = [
    ...options.to.flatMap((end) => (end.kind === 'receiver' ? [end.id] : [])),
    ...(options.receiver === undefined ? [] : [options.receiver]),
  ]
  if (times.length > 1) throw misused('--to was given two times')
  if (new Set(receivers).size > 1) throw misused('a replay has one receiver')
  const to = times[0]?.time
  const { company, message, type, from, after } = options
  checkRange(from, to)
  return {
    query: {
      companyId: company,
      ...(message === undefined ? {} : { messageId: message }),
      ...(type === undefined ? {} : { types: [...new Set(type)] }),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(after === undefined ? {} : { after }),
    },
    receiver: receivers[0],
  }
}

/** @throws GatewayError POSITION_BEYOND_END when the log does not reach as far as `after` */
export const checkPosition = (after: number | undefined, { last }: LogExtent): void => {
  if (after !== undefined && after > last)
    throw new GatewayError(
      last === 0 ? `--after ${after}: the log is empty` : `--after ${after}: the log ends at position ${last}`,
      { code: 'POSITION_BEYOND_END', retryable: false },
    )
}

/** What to say when the log does not reach back as far as it is asked: events go by age, or were removed with their stream. */
export const missingBefore = ({ after = 0 }: LogQuery, { first }: LogExtent): string | undefined =>
  first > after + 1
    ? `the log begins at position ${first}: what was before is not in it; see --source eventstore, where there is an archive`
    : undefined

/** Whether a log that gave nothing holds anything of the company, or of the message. Asked only then: it costs a reading. */
export const nothingFound = (
  { companyId, messageId }: LogQuery,
  holds: { company: boolean; message: boolean },
): GatewayError | undefined => {
  if (!holds.company) return companyNotInLog(companyId as string)
  if (messageId !== undefined && !holds.message)
    return new GatewayError(
      'no event of the company names this message: check the id, and that it is of this company',
      {
        code: 'MESSAGE_NOT_IN_LOG',
        retryable: false,
      },
    )
  return undefined
}
