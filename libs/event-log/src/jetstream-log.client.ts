import { GatewayError, subjects } from '@cloudapi2/contracts'
import {
  EVENTS,
  eventPublication,
  followStream,
  type Nats,
  type Publisher,
  readStream,
  type StoredMessage,
  streamExtent,
} from '@cloudapi2/nats'
import type { EventLog, LogEntry, LogQuery } from './event-log.ts'
import {
  type CommandsOfMessage,
  commandsOfMessage,
  isAskedFor,
  isVoid,
  LINKING_TYPES,
  looksIntoBodies,
  mayNameAny,
  recordedAtMs,
  toldBy,
  typesOf,
} from './log-query.ts'

/** A log that was opened for reading only. */
export class LogIsReadOnly extends GatewayError {
  constructor() {
    super('this log was opened without a publisher and cannot be written to', {
      code: 'LOG_READ_ONLY',
      retryable: false,
    })
  }
}

/** An event is recorded, then stored: never stored earlier than by the difference of two machines' clocks. */
const CLOCKS_MS = 5 * 60_000
/** It may be stored later, when the stream was away. */
const DELAY_MS = 60 * 60_000

/**
 * The log in EVENTS. Its positions are the stream's sequences.
 *
 * A query about a message or a time of recording is answered by looking into the bodies; of `from` and `to`, the moment
 * of storing helps to begin late and to end early, with margins.
 *
 * @param options.publisher left out: the log is only read
 */
export const jetStreamLog = ({ nats, publisher }: { nats: Nats; publisher?: Publisher }): EventLog => ({
  kind: 'jetstream',
  append: async (events) => {
    if (publisher === undefined) throw new LogIsReadOnly()
    return Promise.all(events.map((event) => publisher.publishAt(eventPublication(event))))
  },
  read: (query, options) => read(nats, query, options?.signal),
  follow: (query, { signal }) => follow(nats, query, signal),
  extent: async () => {
    const { first, last, messages } = await streamExtent(nats, EVENTS)
    return messages === 0 ? { first: 0, last: 0 } : { first, last }
  },
  close: async () => {}, // the connection is its owner's to close
})

const filterSubjects = (query: Pick<LogQuery, 'companyId' | 'types'>): string[] =>
  typesOf(query)?.map((type) => subjects.events(query.companyId, type)) ?? [subjects.events(query.companyId)]

const read = async function* (
  nats: Nats,
  query: LogQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogEntry, void, undefined> {
  if (isVoid(query)) return
  const { last } = await streamExtent(nats, EVENTS)
  const upTo = Math.min(query.upTo ?? last, last)
  const stop = signal === undefined ? {} : { signal }
  const commands =
    query.messageId === undefined ? undefined : await commandsIn(nats, query, query.messageId, last, signal)
  const batches = readStream(nats, EVENTS, { ...stop, ...startOf(query), filterSubjects: filterSubjects(query), upTo })
  const isOver = endOf(query)
  for await (const batch of batches) {
    for (const message of batch) {
      const answer = answerOf(message, query, commands)
      if (answer === 'no') continue
      if (answer === 'yes') yield { position: message.sequence, body: message.data }
      else if (isOver(message.storedAtMs, answer.recordedAtMs)) return
      if (signal?.aborted) return
    }
  }
}

const follow = async function* (
  nats: Nats,
  query: LogQuery,
  signal: AbortSignal,
): AsyncGenerator<LogEntry, void, undefined> {
  if (isVoid(query)) return
  const { last } = await streamExtent(nats, EVENTS)
  const commands =
    query.messageId === undefined ? undefined : await commandsIn(nats, query, query.messageId, last, signal)
  const after = query.after ?? 0
  const batches = followStream(nats, EVENTS, { signal, ...startOf(query), filterSubjects: filterSubjects(query) })
  for await (const batch of batches) {
    for (const message of batch) {
      // Asked to begin beyond its end, the server begins at its end.
      if (message.sequence <= after) continue
      if (commands !== undefined && mayNameAny(message.data, commands.needles()))
        commands.learn(toldBy(message.data) ?? {})
      if (answerOf(message, query, commands) === 'yes') yield { position: message.sequence, body: message.data }
      if (signal.aborted) return
    }
  }
}

const startOf = ({ after, from }: LogQuery): { after?: number; since?: Date } => ({
  ...(after === undefined ? {} : { after }),
  ...(from === undefined ? {} : { since: new Date(from.getTime() - CLOCKS_MS) }),
})

/**
 * Both the moment of storing and that of recording must be past the end by far: of events that were copied here from
 * elsewhere, every one was stored late.
 */
const endOf = ({ to }: LogQuery): ((storedAtMs: number, recordedMs: number) => boolean) => {
  if (to === undefined) return () => false
  const end = to.getTime() + DELAY_MS
  return (storedAtMs, recordedMs) => storedAtMs > end && recordedMs > end
}

/** `no` also for what was not looked into; an object when it was, and tells when it was recorded. */
const answerOf = (
  { data }: StoredMessage,
  query: LogQuery,
  commands: CommandsOfMessage | undefined,
): 'yes' | 'no' | { recordedAtMs: number } => {
  if (!looksIntoBodies(query)) return 'yes'
  if (commands !== undefined && !mayNameAny(data, commands.needles())) return 'no'
  const told = toldBy(data)
  if (isAskedFor(told, query, commands)) return 'yes'
  return told === undefined ? 'no' : { recordedAtMs: recordedAtMs(told) }
}

const commandsIn = async (
  nats: Nats,
  { companyId }: LogQuery,
  messageId: string,
  upTo: number,
  signal: AbortSignal | undefined,
): Promise<CommandsOfMessage> => {
  const commands = commandsOfMessage(messageId)
  const [ofMessage] = commands.needles() as [Buffer]
  const filter = filterSubjects({ ...(companyId === undefined ? {} : { companyId }), types: LINKING_TYPES })
  const stop = signal === undefined ? {} : { signal }
  for await (const batch of readStream(nats, EVENTS, { ...stop, filterSubjects: filter, upTo }))
    for (const { data } of batch) if (mayNameAny(data, [ofMessage])) commands.learn(toldBy(data) ?? {})
  return commands
}
