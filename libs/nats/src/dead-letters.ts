import { CommandId, GatewayError, isCompanyId, subjects } from '@cloudapi2/contracts'
import { type Msg, NatsError } from 'nats'
import { type Nats, reasonOf } from './connection.ts'
import { COMMANDS, DEADLETTERS } from './topology.ts'

/** A message that a service stopped trying, whole. Times are RFC 3339, UTC. */
export interface DeadLetter {
  /** Its sequence in DEADLETTERS; never used again. */
  id: number
  /** Who gave it up: `sender`, `projector`, … */
  service: string
  /** Undefined when nobody knows whose it is. */
  company_id: string | undefined
  code: string
  reason: string
  /** Calls to the channel, or deliveries (docs/operating.md). */
  attempts: number
  /** Where it came from: stream, sequence in it, and subject. */
  stream: string
  sequence: number
  subject: string
  failed_at: string
  /** When it is a command whose id can be read. */
  command_id: string | undefined
  /** As they are stored. */
  headers: Readonly<Record<string, string>>
  /** The original message. */
  body: Uint8Array
}

export interface DeadLetterFilter {
  service?: string | undefined
  companyId?: string | undefined
  code?: string | undefined
  commandId?: string | undefined
  /** Given up at this time or later. */
  since?: Date | undefined
  /** Given up before this time. */
  until?: Date | undefined
}

export interface DeadLetterQuery extends DeadLetterFilter {
  order?: 'oldest' | 'newest'
  /** Letters per page at most; 50 when not given. */
  limit?: number
  /** The `next` of the page before. */
  cursor?: number | undefined
}

export interface DeadLetterPage {
  letters: DeadLetter[]
  /**
   * Where the next page begins; undefined after the last one. A page may have fewer letters than its limit, or none, and
   * go on all the same: no more than a bounded number of letters is looked through for it.
   */
  next: number | undefined
}

/** The stream of dead letters, read without holding more than a page and one read of the server in memory. */
export interface DeadLetters {
  /** @throws DeadLettersUnavailable */
  page: (query: DeadLetterQuery) => Promise<DeadLetterPage>
  /** Undefined when there is none (any more). @throws DeadLettersUnavailable */
  get: (id: number) => Promise<DeadLetter | undefined>
  /** False when it was gone already. @throws DeadLettersUnavailable */
  remove: (id: number) => Promise<boolean>
}

/** The stream did not answer, or this user may not read it. Nothing was changed that was not confirmed. */
export class DeadLettersUnavailable extends GatewayError {
  constructor(cause: unknown) {
    super(`the dead letters cannot be read or changed: ${reasonOf(cause)}`, {
      code: 'DEAD_LETTERS_UNAVAILABLE',
      retryable: true,
      cause,
    })
  }
}

const DEFAULT_LIMIT = 50
/** Letters asked of the server at once, and how many bytes of them at most. */
const BATCH = 128
const BATCH_BYTES = 4 * 1_048_576
/** Reads for one page, of up to `BATCH` letters each: what does not fit is for the next page. */
const READS_PER_PAGE = 64
/** From the newest to the oldest, as many sequences are looked at in one step; more where few letters are found. */
const FIRST_WINDOW = 256
const LARGEST_WINDOW = 16_777_216

const OK = 0
const NO_CONTENT = 204
const NOT_FOUND = 404
/** Of the server's API errors: never there, or deleted: it depends on the block of the file which of the two comes. */
const NO_SUCH_MESSAGE: readonly unknown[] = [10_043, 10_057, 10_037]

/**
 * Reads by direct get in batches, for which no consumer is needed, and where the server skips what is of other services
 * or companies. Code and command are looked for in the letters themselves.
 *
 * @param options.timeoutMs for each single read
 * @see https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-31.md
 */
export const openDeadLetters = (nats: Nats, { timeoutMs = 5_000 }: { timeoutMs?: number } = {}): DeadLetters => {
  const unavailable = (cause: unknown): never => {
    throw new DeadLettersUnavailable(cause)
  }
  const read = (request: Record<string, unknown>) => directGet(nats, request, timeoutMs).catch(unavailable)
  const batchOf = (request: Record<string, unknown>) => read({ batch: BATCH, max_bytes: BATCH_BYTES, ...request })
  const managed = () => nats.raw.jetstreamManager({ checkAPI: false, timeout: timeoutMs }).catch(unavailable)

  /** The sequences that a query may find anything in. */
  const rangeOf = async ({ since, until }: DeadLetterFilter) => {
    const { state } = await (await managed()).streams.info(DEADLETTERS).catch(unavailable)
    const firstSince = async (time: Date) => {
      const { stored } = await batchOf({ start_time: time.toISOString(), batch: 1 })
      return stored[0]?.sequence ?? state.last_seq + 1
    }
    return {
      low: since === undefined ? Math.max(1, state.first_seq) : await firstSince(since),
      high: until === undefined ? state.last_seq : (await firstSince(until)) - 1,
    }
  }

  const oldestFirst = async (query: DeadLetterQuery, limit: number): Promise<DeadLetterPage> => {
    const next_by_subj = subjectsOf(query)
    const { low, high } = await rangeOf(query)
    const letters: DeadLetter[] = []
    const pageUntil = (at: number): DeadLetterPage => ({ letters, next: at <= high ? at : undefined })
    let at = Math.max(low, query.cursor ?? 1)
    for (let reads = 0; reads < READS_PER_PAGE && at <= high; reads++) {
      const { stored, isEnd } = await batchOf({ seq: at, next_by_subj })
      for (const one of stored) {
        if (one.sequence > high) return pageUntil(one.sequence)
        at = one.sequence + 1
        if (isWanted(one, query)) letters.push(letterOf(one))
        if (letters.length === limit) return pageUntil(at)
      }
      if (isEnd) return pageUntil(high + 1)
    }
    return pageUntil(at)
  }

  /** The server reads forwards only, so it is asked window by window from the end, each of few enough letters to hold. */
  const newestFirst = async (query: DeadLetterQuery, limit: number): Promise<DeadLetterPage> => {
    const next_by_subj = subjectsOf(query)
    const { low, high } = await rangeOf(query)
    const letters: DeadLetter[] = []
    const pageUntil = (at: number): DeadLetterPage => ({ letters, next: at >= low ? at : undefined })
    let at = Math.min(high, query.cursor ?? high)
    let reads = 0
    for (let size = FIRST_WINDOW; reads < READS_PER_PAGE && at >= low; ) {
      const from = Math.max(low, at - size + 1)
      const inWindow: Stored[] = []
      for (let next = from; next <= at && inWindow.length <= FIRST_WINDOW; reads++) {
        const { stored, isEnd } = await batchOf({ seq: next, next_by_subj })
        inWindow.push(...stored.filter(({ sequence }) => sequence <= at))
        next = isEnd ? at + 1 : (stored.at(-1)?.sequence ?? at) + 1
      }
      if (inWindow.length > FIRST_WINDOW) {
        size = FIRST_WINDOW // it had grown over a gap, and holds more than was thought
        continue
      }
      for (const one of inWindow.reverse()) {
        if (isWanted(one, query)) letters.push(letterOf(one))
        if (letters.length === limit) return pageUntil(one.sequence - 1)
      }
      at = from - 1
      size = inWindow.length * 4 > FIRST_WINDOW ? FIRST_WINDOW : Math.min(LARGEST_WINDOW, size * 4)
    }
    return pageUntil(at)
  }

  return {
    page: (query) => (query.order === 'newest' ? newestFirst : oldestFirst)(query, query.limit ?? DEFAULT_LIMIT),
    get: async (id) => {
      const { stored } = await read({ seq: id })
      return stored[0] && letterOf(stored[0])
    },
    remove: async (id) => {
      try {
        return await (await managed()).streams.deleteMessage(DEADLETTERS, id, false)
      } catch (cause) {
        if (cause instanceof NatsError && NO_SUCH_MESSAGE.includes(cause.api_error?.err_code)) return false
        return unavailable(cause)
      }
    },
  }
}

interface Stored {
  sequence: number
  subject: string
  storedAt: string
  headers: Record<string, string>
  body: Uint8Array
}

/** One direct get, of one message or of a batch. `isEnd`: there is nothing after these. */
const directGet = (nats: Nats, request: Record<string, unknown>, timeoutMs: number) =>
  new Promise<{ stored: Stored[]; isEnd: boolean }>((resolve, reject) => {
    const inbox = nats.newInbox()
    const stored: Stored[] = []
    const end = (settle: () => void) => {
      clearTimeout(timer)
      subscription.unsubscribe()
      settle()
    }
    const timer = setTimeout(() => end(() => reject(new Error(`no answer within ${timeoutMs} ms`))), timeoutMs)
    const subscription = nats.raw.subscribe(inbox, {
      callback: (error, message) => {
        if (error) return end(() => reject(error))
        const status = message.headers?.code ?? OK
        if (status === OK) {
          stored.push(storedOf(message))
          if (request.batch === undefined) end(() => resolve({ stored, isEnd: true }))
        } else if (status === NO_CONTENT) {
          const isEnd = message.headers?.get('Nats-Num-Pending') === '0'
          end(() => resolve({ stored, isEnd }))
        } else if (status === NOT_FOUND) end(() => resolve({ stored, isEnd: true }))
        else end(() => reject(new Error(`${status} ${message.headers?.description ?? ''}`)))
      },
    })
    nats.raw.publish(`$JS.API.DIRECT.GET.${DEADLETTERS}`, JSON.stringify(request), { reply: inbox })
  })

/** What the server adds to a message that it gives directly. */
const OF_THE_SERVER = /^Nats-(Stream|Subject|Sequence|Time-Stamp|Num-Pending|Last-Sequence|Msg-Id|Expected-Stream)$/i

const storedOf = ({ headers, data }: Msg): Stored => {
  const own: Record<string, string> = {}
  for (const [name, [value]] of headers ?? []) if (!OF_THE_SERVER.test(name) && value !== undefined) own[name] = value
  return {
    sequence: Number(headers?.get('Nats-Sequence')),
    subject: headers?.get('Nats-Subject') ?? '',
    storedAt: new Date(headers?.get('Nats-Time-Stamp') ?? 0).toISOString(),
    headers: own,
    body: data,
  }
}

const subjectsOf = ({ service, companyId }: DeadLetterFilter): string => subjects.deadLetters(service, companyId)

const isWanted = (stored: Stored, { code, commandId }: DeadLetterFilter): boolean =>
  (code === undefined || stored.headers.Code === code) && (commandId === undefined || commandIdOf(stored) === commandId)

const letterOf = (stored: Stored): DeadLetter => {
  const { headers, body } = stored
  const [, service = '', company] = stored.subject.split('.')
  return {
    id: stored.sequence,
    service,
    company_id: isCompanyId(company) ? company : undefined,
    code: headers.Code ?? '',
    reason: headers.Reason ?? '',
    attempts: Number(headers.Attempts ?? 0),
    stream: headers.Stream ?? '',
    sequence: Number(headers.Sequence ?? 0),
    subject: headers.Subject ?? '',
    failed_at: stored.storedAt,
    command_id: commandIdOf(stored),
    headers,
    body,
  }
}

const decoder = new TextDecoder()

const commandIdOf = ({ headers, body }: Stored): string | undefined => {
  if (headers.Stream !== COMMANDS) return undefined
  try {
    return CommandId.safeParse((JSON.parse(decoder.decode(body)) as { id?: unknown } | null)?.id).data
  } catch {
    return undefined // it may be a dead letter just because it is not JSON
  }
}
