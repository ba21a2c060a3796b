import type { Msg } from 'nats'
import { type Headers, type Nats, toMsgHdrs } from './connection.ts'

export interface Asked {
  subject: string
  data: Uint8Array | string
  headers?: Headers | undefined
}

/** Why there is no reply. `code`: absent when the request could not be sent at all. */
export type OnSilence = (reason: string, code?: 'PUBLISH_TIMED_OUT' | 'NATS_DISCONNECTED') => void

export interface Requester {
  /** Calls back once: with the reply, or with why there is none. */
  ask: (asked: Asked, onReply: (reply: Msg) => void, onSilence: OnSilence) => void
  /** Requests sent and not yet replied to. */
  inFlight: () => number
  close: () => void
}

interface Pending {
  token: string
  expiresAt: number
  onReply: (reply: Msg) => void
  onSilence: OnSilence
}

/**
 * Requests with little work for each: one reply inbox for all, replies told apart by a token, one sweep for time-outs,
 * and the requests of one turn of the event loop handed to the socket together. The client's own request makes a stack
 * trace, a timer and a promise chain for each.
 *
 * Time-outs are noticed up to an eighth of `timeoutMs` late.
 */
export const createRequester = (nats: Nats, { timeoutMs }: { timeoutMs: number }): Requester => {
  const inbox = nats.newInbox()
  // By place, and a place is used again. Not a Map: one that entries keep coming to and going from is copied again and
  // again, and each copy left behind holds the entries of its time until the next full garbage collection.
  const pending: (Pending | undefined)[] = []
  const free: number[] = []
  let queue: [token: string, asked: Asked][] = []
  let count = 0

  /** Undefined for one that is settled already: a reply may come after its time-out. */
  const take = (token: string): Pending | undefined => {
    const place = Number.parseInt(token, 36) // up to the hyphen
    const entry = pending[place]
    if (entry?.token !== token) return undefined
    pending[place] = undefined
    free.push(place)
    return entry
  }

  const fail = (token: string, ...why: Parameters<OnSilence>) => take(token)?.onSilence(...why)
  const failAll = (...why: Parameters<OnSilence>) => {
    queue = []
    for (const entry of [...pending]) if (entry !== undefined) fail(entry.token, ...why)
  }

  const subscription = nats.raw.subscribe(`${inbox}.*`, {
    callback: (error, reply) => {
      if (error) return failAll(error.message)
      take(reply.subject.slice(inbox.length + 1))?.onReply(reply)
    },
  })

  const flush = () => {
    const batch = queue
    queue = []
    for (const [token, { subject, data, headers }] of batch) {
      try {
        nats.raw.publish(subject, data, {
          reply: `${inbox}.${token}`,
          ...(headers === undefined ? {} : { headers: toMsgHdrs(headers) }),
        })
      } catch (error) {
        // Too large for the server, or the connection was closed for good.
        fail(token, error instanceof Error ? error.message : String(error))
      }
    }
  }

  const sweep = setInterval(
    () => {
      const now = performance.now()
      for (const entry of [...pending])
        if (entry !== undefined && entry.expiresAt <= now)
          fail(entry.token, `no confirmation within ${timeoutMs} ms`, 'PUBLISH_TIMED_OUT')
    },
    Math.max(5, timeoutMs / 8),
  )
  sweep.unref()

  const stopWatching = nats.onConnectionChange((connected) => {
    // Their replies are lost with the connection. Told at once, the caller can try again.
    if (!connected) failAll('the connection was lost', 'NATS_DISCONNECTED')
  })

  let isClosed = false
  return {
    ask: (asked, onReply, onSilence) => {
      if (isClosed) return onSilence('the publisher is closed')
      // The client would buffer it without end.
      if (!nats.isConnected()) return onSilence('no connection', 'NATS_DISCONNECTED')
      const place = free.pop() ?? pending.length
      const token = `${place.toString(36)}-${(count++).toString(36)}`
      pending[place] = { token, expiresAt: performance.now() + timeoutMs, onReply, onSilence }
      if (queue.push([token, asked]) === 1) setImmediate(flush)
    },
    inFlight: () => pending.length - free.length,
    close: () => {
      isClosed = true
      clearInterval(sweep)
      stopWatching()
      failAll('the publisher is closed')
      subscription.unsubscribe()
    },
  }
}
