import type { SendResult } from '../channel/channel.ts'
import type { CallReport } from './pacing.ts'

/**
 * What the answer to a call says of the number and the channel.
 *
 * @param call.isCurrentToken false when the company has been given other credentials while the call was under way: that
 *   the old ones are not accepted is then no news
 * @param call.cause          names the call: the pause that it begins is told under an id made of it
 */
export const callReport = (
  result: SendResult,
  call: { token: string; isCurrentToken: boolean; cause: string },
): CallReport => {
  switch (result.kind) {
    case 'accepted':
      return { kind: 'works' }
    case 'unknown':
    case 'unreachable':
      return { kind: 'broken' }
    case 'refused':
      switch (result.concerns) {
        case 'message':
          return { kind: 'works' }
        case 'channel':
          return { kind: 'broken' }
        case 'recipient':
          return { kind: 'recipient-limit', retryAfterMs: result.retryAfterMs }
        case 'number':
          return { kind: 'number-limit', retryAfterMs: result.retryAfterMs }
        case 'account':
          return call.isCurrentToken
            ? { kind: 'account-refused', error: result.error, token: call.token, cause: call.cause }
            : { kind: 'works' }
      }
  }
}
