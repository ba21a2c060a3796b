/** What somebody who wants to call the channel says of the call, so that slots can be shared out fairly. */
export interface SlotRequest {
  companyId: string
  phoneNumberId: string
  chatId: string
  priority: 'high' | 'normal'
}

/**
 * The right to call the channel now. Whoever waits for its next attempt holds none. Pacing by number and recipient is
 * a matter of this port: the rest of the sender only asks.
 */
export interface Slots {
  /** Resolves when it is one's turn, with how to give the slot back. Rejects when the signal aborts. */
  take: (request: SlotRequest, signal: AbortSignal) => Promise<() => void>
  waiting: () => number
}

interface Waiting {
  start: () => void
  priority: 'high' | 'normal'
}

/** So many calls at the same time, those with priority first, else in the order of asking. */
export const createSlots = (size: number): Slots => {
  let free = size
  const queue = { high: [] as Waiting[], normal: [] as Waiting[] }

  const release = () => {
    const next = queue.high.shift() ?? queue.normal.shift()
    if (next === undefined) free++
    else next.start()
  }
  /** Giving back twice must not make a slot out of nothing. */
  const once = () => {
    let isReleased = false
    return () => {
      if (isReleased) return
      isReleased = true
      release()
    }
  }

  return {
    waiting: () => queue.high.length + queue.normal.length,
    take: ({ priority }, signal) => {
      signal.throwIfAborted()
      if (free > 0) {
        free--
        return Promise.resolve(once())
      }
      return new Promise((resolve, reject) => {
        const entry: Waiting = {
          priority,
          start: () => {
            signal.removeEventListener('abort', onAbort)
            resolve(once())
          },
        }
        const onAbort = () => {
          const line = queue[priority]
          const at = line.indexOf(entry)
          if (at >= 0) line.splice(at, 1)
          reject(signal.reason)
        }
        signal.addEventListener('abort', onAbort, { once: true })
        queue[priority].push(entry)
      })
    },
  }
}
