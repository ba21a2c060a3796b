import { randomUUID } from 'node:crypto'
import { GatewayError } from '@cloudapi2/contracts'
import { type Msg, NatsError, nanos } from 'nats'
import { isNotFound, type Nats, reasonOf } from './connection.ts'

/** A message as it lies in a stream. */
export interface StoredMessage {
  subject: string
  data: Uint8Array
  /** Its place in the stream, from 1. */
  sequence: number
  /** When the stream stored it, milliseconds since 1970. */
  storedAtMs: number
}

export interface StreamExtent {
  /** Sequence of the first message that is there; 0 when the stream is empty. */
  first: number
  /** Sequence of the last message that was ever stored; it may be gone. 0 when there was none yet. */
  last: number
  /** How many messages are there. */
  messages: number
}

export interface ReadOptions {
  /** Only of these; overlapping ones are refused by the server. Left out or empty: all. */
  filterSubjects?: readonly string[]
  /** Sequences greater than this; default 0. */
  after?: number
  /** Stored at this time or later. */
  since?: Date
  /** Ends when it aborts, quietly. */
  signal?: AbortSignal
}

/** The stream cannot be read: it is not there, this user may not, or the connection was closed for good. */
export class StreamUnreadable extends GatewayError {
  constructor(stream: string, cause: unknown) {
    super(`stream ${stream} cannot be read: ${reasonOf(cause)}`, { code: 'STREAM_UNREADABLE', retryable: true, cause })
  }
}

/** What reading a stream as below needs of a user. */
export const readStreamPermissions = (stream: string): string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.*`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
  `$JS.API.CONSUMER.DELETE.${stream}.*`,
]

/** Messages asked for at once. Measured over a million events of 300 bytes: 250 costs a fifth, more gains nothing. */
const PULL_MESSAGES = 1_000
/** Bytes asked for at once; when the next message alone is larger, it is asked for by itself. */
const PULL_BYTES = 2 * 1_048_576
/** A pull of one who follows ends after this; silence for longer than a heartbeat or two means that it was lost. */
const PULL_EXPIRES_MS = 20_000
const HEARTBEAT_MS = 5_000
/** Nothing came for so long, though something should have: the consumer is made anew. */
const SILENCE_MS = 2 * HEARTBEAT_MS + 1_000
/** The same for one who does not follow: such a pull is answered at once. */
const READ_SILENCE_MS = 3_000
/** The server removes the consumer of a reader that vanished, or that took nothing for so long; the latter makes another. */
const INACTIVE_MS = 60_000
/** A consumer that cannot be made is tried again with pauses, so often while connected. */
const CREATE_TRIES = 6
const API_TIMEOUT_MS = 5_000

const OK = 0
const NOT_FOUND = 404

/**
 * @throws StreamUnreadable
 */
export const streamExtent = async (nats: Nats, stream: string): Promise<StreamExtent> => {
  try {
    const manager = await nats.raw.jetstreamManager({ checkAPI: false })
    const { first_seq, last_seq, messages } = (await manager.streams.info(stream)).state
    return { first: messages === 0 ? 0 : first_seq, last: last_seq, messages }
  } catch (cause) {
    throw new StreamUnreadable(stream, cause)
  }
}

/**
 * The messages of a stream that are stored when it is called, in order, each once, in groups as they arrive. Goes on
 * after the last one it gave when the connection was lost in between. At most some 10 MB are held, or two messages where they
 * are larger, however slowly they are taken.
 *
 * @param options.upTo sequences up to and including this
 * @throws StreamUnreadable
 */
export const readStream = async function* (
  nats: Nats,
  stream: string,
  options: ReadOptions & { upTo?: number } = {},
): AsyncGenerator<StoredMessage[], void, undefined> {
  const extent = await streamExtent(nats, stream)
  const upTo = Math.min(options.upTo ?? extent.last, extent.last)
  const after = Math.max(await startOf(nats, stream, options), extent.first - 1)
  if (after >= upTo || extent.messages === 0) return
  yield* messagesOf({ nats, stream, ...options, after, upTo })
}

/**
 * The messages of a stream that are stored and those that come, in order, each once, until the signal aborts. A lost
 * connection is waited for; a server that comes back goes on where it was.
 *
 * @throws StreamUnreadable when the stream is gone or the connection is closed for good
 */
export const followStream = async function* (
  nats: Nats,
  stream: string,
  options: ReadOptions & { signal: AbortSignal },
): AsyncGenerator<StoredMessage[], void, undefined> {
  const after = await startOf(nats, stream, options)
  yield* messagesOf({ nats, stream, ...options, after, upTo: undefined })
}

/** The sequence after which a reader begins. */
const startOf = async (nats: Nats, stream: string, { after = 0, since }: ReadOptions): Promise<number> => {
  if (since === undefined) return after
  const first = await directGet(nats, stream, { start_time: since.toISOString(), batch: 1 })
  // Nothing is as new: what comes later is.
  if (first === undefined) return Math.max(after, (await streamExtent(nats, stream)).last)
  return Math.max(after, first.sequence - 1)
}

/**
 * Single messages, by sequence, in the order of the sequences; those that are not there (any more) are left out.
 *
 * @throws StreamUnreadable
 */
export const storedAt = async (nats: Nats, stream: string, sequences: readonly number[]): Promise<StoredMessage[]> => {
  const wanted = [...new Set(sequences)].sort((a, b) => a - b)
  const found: StoredMessage[] = []
  for (let at = 0; at < wanted.length; at += GETS_AT_ONCE) {
    const some = wanted.slice(at, at + GETS_AT_ONCE)
    for (const one of await Promise.all(some.map((seq) => directGet(nats, stream, { seq }))))
      if (one !== undefined) found.push(one)
  }
  return found
}

const GETS_AT_ONCE = 64

/** One message straight from the store; undefined when none fits. */
const directGet = async (
  nats: Nats,
  stream: string,
  request: { seq: number; next_by_subj?: string } | { start_time: string; batch: 1 },
): Promise<StoredMessage | undefined> => {
  let message: Msg
  try {
    message = await nats.raw.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(request), {
      timeout: API_TIMEOUT_MS,
    })
  } catch (cause) {
    throw new StreamUnreadable(stream, cause)
  }
  const { headers } = message
  if (headers?.code === NOT_FOUND) return undefined
  if (headers === undefined || headers.code !== OK)
    throw new StreamUnreadable(stream, new Error(`${headers?.code} ${headers?.description}`))
  return {
    subject: headers.get('Nats-Subject'),
    data: message.data,
    sequence: Number(headers.get('Nats-Sequence')),
    storedAtMs: Date.parse(headers.get('Nats-Time-Stamp')),
  }
}

interface Reading extends ReadOptions {
  nats: Nats
  stream: string
  after: number
  /** Undefined: without end. */
  upTo: number | undefined
}

/** A consumer of the server's, for as long as nothing happens to it. */
interface Pulling {
  buffer: StoredMessage[]
  /** The server said that there is nothing more. */
  isAtEnd: boolean
  isBroken: boolean
  /** Asks for more when there is room. */
  pull: () => void
  close: () => void
}

/**
 * One short-lived pull consumer without acknowledgements after another: as long as every message has the next number of
 * its consumer, nothing was lost on the way; otherwise, and after every loss of the connection, another consumer goes on
 * after the last sequence that was taken.
 *
 * The end is believed only when the store itself says so: the count of what is left, which a consumer ends by, has been
 * wrong in servers before, and a rebuild that ends too early looks like one that went well.
 */
const messagesOf = async function* (reading: Reading): AsyncGenerator<StoredMessage[], void, undefined> {
  const { nats, stream, upTo, signal } = reading
  let { after } = reading
  let wake: () => void = () => {}
  const news = () => wake()
  // A function, since the compiler takes a flag that changes elsewhere for constant.
  const isAborted = () => signal?.aborted === true
  let isClosed = nats.raw.isClosed()
  void nats.raw.closed().then(() => {
    isClosed = true
    wake()
  })
  let pulling: Pulling | undefined
  const stopHearing = nats.onConnectionChange((connected) => {
    // Also while nobody asks for more: what was on its way is lost, and perhaps the consumer with it.
    if (!connected && pulling !== undefined) pulling.isBroken = true
    news()
  })
  signal?.addEventListener('abort', news)
  let failures = 0
  try {
    while (!isAborted()) {
      if (isClosed) throw new StreamUnreadable(stream, new Error('the connection is closed'))
      if (!nats.isConnected()) {
        pulling?.close()
        pulling = undefined
        await new Promise<void>((resolve) => {
          wake = resolve
          if (nats.isConnected() || isClosed || isAborted()) resolve()
        })
        continue
      }
      if (pulling === undefined) {
        try {
          pulling = await startPulling(reading, after, news)
          failures = 0
        } catch (cause) {
          if (!nats.isConnected()) continue
          if (isNotFound(cause) || ++failures === CREATE_TRIES) throw new StreamUnreadable(stream, cause)
          await pause(100 * 2 ** failures, (end) => {
            wake = end
          })
          continue
        }
      }
      const { buffer } = pulling
      if (buffer.length > 0) {
        const batch = buffer.splice(0)
        pulling.pull()
        const last = (batch.at(-1) as StoredMessage).sequence
        if (upTo !== undefined && last >= upTo) {
          const wanted = batch.filter(({ sequence }) => sequence <= upTo)
          if (wanted.length > 0) yield wanted
          return
        }
        after = last
        yield batch
      } else if (pulling.isBroken) {
        pulling.close()
        pulling = undefined
      } else if (pulling.isAtEnd && upTo !== undefined) {
        if (!(await isAnyLeft(reading, after, upTo))) return
        pulling.close()
        pulling = undefined
      } else {
        const { buffer: awaited, pull } = pulling
        pull()
        const current = pulling
        await new Promise<void>((resolve) => {
          wake = resolve
          if (awaited.length > 0 || current.isBroken || current.isAtEnd || isAborted() || isClosed) resolve()
        })
      }
    }
  } finally {
    pulling?.close()
    stopHearing()
    signal?.removeEventListener('abort', news)
  }
}

const pause = (ms: number, ending: (end: () => void) => void) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    ending(() => {
      clearTimeout(timer)
      resolve()
    })
  })

const isAnyLeft = async ({ nats, stream, filterSubjects }: Reading, after: number, upTo: number): Promise<boolean> => {
  for (const filter of filterSubjects?.length ? filterSubjects : ['>']) {
    const next = await directGet(nats, stream, { seq: after + 1, next_by_subj: filter })
    if (next !== undefined && next.sequence <= upTo) return true
  }
  return false
}

const startPulling = async (reading: Reading, after: number, news: () => void): Promise<Pulling> => {
  const { nats, stream, filterSubjects, upTo } = reading
  const name = `reader-${randomUUID()}`
  const isFollowing = upTo === undefined
  await createConsumer(nats, stream, name, after, filterSubjects)

  const inbox = nats.newInbox()
  const waiting = isFollowing
    ? { expires: nanos(PULL_EXPIRES_MS), idle_heartbeat: nanos(HEARTBEAT_MS) }
    : { no_wait: true }
  const request = JSON.stringify({ batch: PULL_MESSAGES, max_bytes: PULL_BYTES, ...waiting })
  const requestOfOne = JSON.stringify({ batch: 1, ...waiting })
  let awaited = 0 // asked for and not yet come
  let delivered = 0 // the consumer's number of the last message
  let deliveredAtPull = -1
  let isTooLarge = false // the last pull ended for its bytes
  let bufferedBytes = 0
  let lastSignAt = performance.now()

  const state: Pulling = {
    buffer: [],
    isAtEnd: false,
    isBroken: false,
    pull: () => {
      if (state.buffer.length === 0) bufferedBytes = 0
      // The bytes of a second pull are only asked for once those of the first are nearly here.
      if (state.isBroken || state.isAtEnd || awaited >= PULL_MESSAGES / 2) return
      if (state.buffer.length >= PULL_MESSAGES || bufferedBytes >= PULL_BYTES) return
      const isStuck = isTooLarge && deliveredAtPull === delivered
      isTooLarge = false
      deliveredAtPull = delivered
      awaited += isStuck ? 1 : PULL_MESSAGES
      lastSignAt = performance.now()
      nats.raw.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, isStuck ? requestOfOne : request, {
        reply: inbox,
      })
    },
    close: () => {
      clearInterval(watchdog)
      subscription.unsubscribe()
      // Nobody waits for the answer; one that is lost is made up for by the consumer's own end.
      if (nats.isConnected() && !nats.raw.isClosed())
        nats.raw.publish(`$JS.API.CONSUMER.DELETE.${stream}.${name}`, '', { reply: nats.newInbox() })
    },
  }

  const broken = () => {
    state.isBroken = true
    news()
  }

  const onStatus = ({ headers }: Msg) => {
    const { code = 0, description = '' } = headers ?? {}
    if (code === 100) return // a heartbeat
    const left = Number(headers?.get('Nats-Pending-Messages') || Number.NaN)
    awaited = Number.isNaN(left) ? 0 : Math.max(0, awaited - left)
    const isNothingMore = code === NOT_FOUND || code === 408
    if (isNothingMore && !isFollowing) {
      state.isAtEnd = true
      news()
    } else if (isNothingMore || /batch completed|maxbytes/i.test(description)) {
      isTooLarge = /maxbytes/i.test(description)
      state.pull()
    } else broken() // removed, moved to another server, or something this was not written for
  }

  const subscription = nats.raw.subscribe(inbox, {
    callback: (error, message) => {
      if (error) return broken()
      lastSignAt = performance.now()
      if (message.subject === inbox) return onStatus(message)
      if (state.isBroken) return
      const stored = storedOf(message)
      if (stored.number !== delivered + 1) return broken()
      delivered = stored.number
      awaited = Math.max(0, awaited - 1)
      bufferedBytes += stored.message.data.length
      state.buffer.push(stored.message)
      if (state.buffer.length === 1) news()
      state.pull()
    },
  })

  const watchdog = setInterval(() => {
    if (awaited > 0 && performance.now() - lastSignAt > (isFollowing ? SILENCE_MS : READ_SILENCE_MS)) broken()
  }, 1_000)
  watchdog.unref()

  state.pull()
  return state
}

const createConsumer = async (
  nats: Nats,
  stream: string,
  name: string,
  after: number,
  filterSubjects: readonly string[] | undefined,
): Promise<void> => {
  const config = {
    name,
    ack_policy: 'none',
    // Always a sequence: asked for "all", the client would send both, which the server refuses.
    deliver_policy: 'by_start_sequence',
    opt_start_seq: after + 1,
    replay_policy: 'instant',
    inactive_threshold: nanos(INACTIVE_MS),
    mem_storage: true,
    num_replicas: 1,
    ...(filterSubjects?.length ? { filter_subjects: [...filterSubjects] } : {}),
  }
  const { data } = await nats.raw.request(
    `$JS.API.CONSUMER.CREATE.${stream}.${name}`,
    JSON.stringify({ stream_name: stream, config, action: 'create' }),
    { timeout: API_TIMEOUT_MS },
  )
  const answer = JSON.parse(new TextDecoder().decode(data)) as { error?: { code: number; description: string } }
  if (answer.error === undefined) return
  const failure = new NatsError(answer.error.description, String(answer.error.code))
  failure.api_error = answer.error as NonNullable<NatsError['api_error']>
  throw failure
}

/** `number`: the consumer's count of what it delivered. */
const storedOf = (message: Msg): { number: number; message: StoredMessage } => {
  const tokens = (message.reply as string).split('.')
  // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, or with domain and account
  // hash after ACK and a token at the end.
  const at = tokens.length > 9 ? 7 : 5
  return {
    number: Number(tokens[at + 1]),
    message: {
      subject: message.subject,
      data: message.data,
      sequence: Number(tokens[at]),
      storedAtMs: Number(tokens[at + 2]) / 1e6,
    },
  }
}
