import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js'

// More gains nothing; an event may be 1 MiB, so that this many are not to be far more.
const MESSAGES_AHEAD = 64

/**
 * Lets a call hand over its next messages while the last ones are on their way. By itself grpc-js waits for each message
 * until the socket has taken it, one turn of the event loop for every event read: several times slower.
 */
export const writeAhead: ServerInterceptor = (_method, call) => new WriteAheadCall(call)

class WriteAheadCall extends ServerInterceptingCall {
  #onTheirWay = 0
  #waiting: (() => void) | undefined

  override sendMessage(message: unknown, callback: () => void): void {
    this.#onTheirWay += 1
    super.sendMessage(message, () => {
      this.#onTheirWay -= 1
      const waiting = this.#waiting
      this.#waiting = undefined
      waiting?.()
    })
    if (this.#onTheirWay < MESSAGES_AHEAD) callback()
    else this.#waiting = callback
  }
}
