import { GatewayError } from '@cloudapi2/contracts'
import {
  type ConnectionOptions,
  connect,
  createInbox,
  ErrorCode,
  Events,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  NatsError,
} from 'nats'

/** What a connection reports of itself; the service's logger fits. */
export interface NatsLog {
  info: (line: Record<string, unknown>) => void
  warn: (line: Record<string, unknown>) => void
  error: (line: Record<string, unknown>) => void
}

export interface NatsOptions {
  /** `nats://user:password@host:port`, several separated by commas; credentials of the first one count. */
  url: string
  /** Shown by the server for this connection, and the prefix of its reply inboxes: `_INBOX.<name>`. */
  name: string
  log: NatsLog
  /** Instead of the user and password of the URL. */
  token?: string
  /** For a command line: gives up when the server is not there within this, and for good when it is lost. */
  giveUpAfterMs?: number
}

export type Headers = Readonly<Record<string, string>>

export interface Request {
  subject: string
  data: Uint8Array
  header: (name: string) => string | undefined
  respond: (data: Uint8Array | string) => void
}

/** A connection that stays: it comes back by itself for as long as the process lives. */
export interface Nats {
  /** False while the connection is lost. */
  isConnected: () => boolean
  /** Calls back at every loss (`false`) and return (`true`) of the connection. Returns how to stop. */
  onConnectionChange: (listener: (connected: boolean) => void) => () => void
  /** Core publish: no confirmation. */
  publish: (subject: string, data: Uint8Array | string, headers?: Headers) => void
  /** @throws NatsRequestFailed when nobody answers in time */
  request: (subject: string, data: Uint8Array | string, timeoutMs: number, headers?: Headers) => Promise<Uint8Array>
  /** Answers requests, shared with every other process that names the same queue. Returns how to stop. */
  respond: (subject: string, queue: string, handler: (request: Request) => Promise<void>) => () => void
  /** `queue`: of all who name the same one, one gets each message. */
  subscribe: (subject: string, handler: (message: Request) => void, options?: { queue: string }) => () => void
  /** Resolves once the server has taken everything published before. */
  flush: () => Promise<void>
  /** The largest message the server takes, bytes. */
  maxPayloadBytes: () => number
  /** A reply subject of this connection's own, which its user may subscribe to. */
  newInbox: () => string
  /** Sends what is buffered, finishes subscriptions, closes. */
  close: () => Promise<void>
  /** The client's own connection, for the other files of this lib only. */
  readonly raw: NatsConnection
}

export class NatsUnreachable extends GatewayError {
  constructor(cause: unknown) {
    super(`could not connect to NATS: ${reasonOf(cause)}`, { code: 'NATS_UNREACHABLE', retryable: true, cause })
  }
}

/** Nobody answered a request, or not in time. */
export class NatsRequestFailed extends GatewayError {
  /** True when nobody subscribes to the subject; false when somebody may, who did not answer in time. */
  readonly isNobodyThere: boolean
  constructor(subject: string, cause: unknown) {
    super(`no answer on ${subject}: ${reasonOf(cause)}`, { code: 'NATS_REQUEST_FAILED', retryable: true, cause })
    this.isNobodyThere = cause instanceof NatsError && cause.code === ErrorCode.NoResponders
  }
}

export const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const NOT_FOUND = 404

/** True for an answer of JetStream's API that says: there is no such stream, consumer or message. */
export const isNotFound = (error: unknown): boolean => error instanceof NatsError && error.api_error?.code === NOT_FOUND

/** How long until the first reconnect attempt, and between attempts: a restarted server answers within a second. */
const RECONNECT_WAIT_MS = 250

/**
 * Connects, waiting for the server for as long as it takes when it is only not there yet. The client takes no
 * credentials from a URL by itself; here they are.
 *
 * @throws NatsUnreachable when the server refuses these credentials, or is not there within `giveUpAfterMs`
 */
export const connectNats = async ({ url, name, log, token, giveUpAfterMs }: NatsOptions): Promise<Nats> => {
  const options: ConnectionOptions = {
    ...addressOf(url),
    ...(token === undefined ? {} : { token }),
    name,
    inboxPrefix: `_INBOX.${name}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: 100,
    waitOnFirstConnect: true,
    // A server that vanished without closing the socket is noticed after two of these.
    pingInterval: 10_000,
    maxPingOut: 2,
    // A stack trace for every request cost 13 % of a publisher's time.
    noAsyncTraces: true,
    ...(giveUpAfterMs === undefined ? {} : { waitOnFirstConnect: false, reconnect: false, timeout: giveUpAfterMs }),
  }
  let raw: NatsConnection
  try {
    raw = await connect(options)
  } catch (cause) {
    throw new NatsUnreachable(cause)
  }

  let connected = true
  const listeners = new Set<(connected: boolean) => void>()
  const change = (to: boolean) => {
    if (connected === to) return
    connected = to
    for (const listener of listeners) listener(to)
  }
  void (async () => {
    for await (const status of raw.status()) {
      if (status.type === Events.Disconnect) {
        log.warn({ event: 'nats.disconnected' })
        change(false)
      } else if (status.type === Events.Reconnect) {
        log.info({ event: 'nats.reconnected' })
        change(true)
      } else if (status.type === Events.Error) {
        log.error({ event: 'nats.error', reason: String(status.data), permission: status.permissionContext?.subject })
      }
    }
  })()
  void raw.closed().then((error) => {
    change(false)
    if (error) log.error({ event: 'nats.closed', reason: error.message })
  })

  return {
    raw,
    isConnected: () => connected,
    onConnectionChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    publish: (subject, data, headers) =>
      raw.publish(subject, data, headers ? { headers: toMsgHdrs(headers) } : undefined),
    request: async (subject, data, timeoutMs, headers) => {
      try {
        const options = { timeout: timeoutMs, ...(headers ? { headers: toMsgHdrs(headers) } : {}) }
        return (await raw.request(subject, data, options)).data
      } catch (cause) {
        throw new NatsRequestFailed(subject, cause)
      }
    },
    respond: (subject, queue, handler) => {
      const subscription = raw.subscribe(subject, {
        queue,
        callback: (error, message) => {
          if (error) return log.error({ event: 'nats.subscription_failed', subject, reason: error.message })
          handler(asRequest(message)).catch((err: unknown) =>
            log.error({ event: 'nats.responder_failed', subject, err }),
          )
        },
      })
      return () => subscription.unsubscribe()
    },
    subscribe: (subject, handler, options) => {
      const subscription = raw.subscribe(subject, {
        ...options,
        callback: (error, message) => {
          if (error) log.error({ event: 'nats.subscription_failed', subject, reason: error.message })
          else handler(asRequest(message))
        },
      })
      return () => subscription.unsubscribe()
    },
    flush: () => raw.flush(),
    maxPayloadBytes: () => raw.info?.max_payload ?? 0,
    newInbox: () => createInbox(options.inboxPrefix),
    close: async () => {
      if (raw.isClosed()) return
      // Draining needs the server; without it there is nothing to wait for.
      if (connected) await raw.drain()
      else await raw.close()
    },
  }
}

const asRequest = (message: Msg): Request => ({
  subject: message.subject,
  data: message.data,
  header: (name) => message.headers?.get(name) || undefined,
  respond: (data) => void message.respond(data),
})

/** Characters that would end a header early, and with it become protocol. */
const BREAKS_A_HEADER = /[\r\n]/

/**
 * Headers for the client to send. It asks for no more of them than their bytes, so no more is made: its own class checks
 * and keeps every value by itself, which was a tenth of the cost of a publication.
 *
 * @throws GatewayError INVALID_HEADER when a value holds a line break
 */
export const toMsgHdrs = (headers: Headers): MsgHdrs => {
  let text = 'NATS/1.0\r\n'
  for (const name in headers) {
    const value = headers[name] as string
    if (BREAKS_A_HEADER.test(value))
      throw new GatewayError(`the header ${name} holds a line break`, { code: 'INVALID_HEADER', retryable: false })
    text += `${name}: ${value}\r\n`
  }
  return { encode: () => Buffer.from(`${text}\r\n`) } as unknown as MsgHdrs
}

/** Splits a NATS URL into what the client wants: plain servers, and the user and password of the first URL that has them. */
export const addressOf = (
  url: string,
): { servers: string[]; user?: string; pass?: string; tls?: Record<string, never> } => {
  const urls = url.split(',').map((part) => new URL(part.trim()))
  const withUser = urls.find(({ username }) => username !== '')
  return {
    servers: urls.map(({ hostname, port }) => `${hostname}:${port || '4222'}`),
    ...(withUser === undefined
      ? {}
      : { user: decodeURIComponent(withUser.username), pass: decodeURIComponent(withUser.password) }),
    ...(urls.some(({ protocol }) => protocol === 'tls:') ? { tls: {} } : {}),
  }
}
