import type { InvalidField, SendError } from '@cloudapi2/contracts'
import { errorInfo, type GraphError, isCredentialError, isRetryable, type NetworkFault } from '@cloudapi2/whatsapp'
import type { Retry } from '../send-command/send-command.ts'
import type { Concern, Fault } from './channel.ts'

/** Meta's families of errors that say: this account may not, whatever the message. */
const ACCOUNT_FAMILIES = new Set(['authorization', 'integrity', 'registration'])

/** Whose fault it is. By the code; Meta's HTTP status says little, throttling is answered with 400. */
export const faultOf = (error: GraphError): Fault => {
  const family = errorInfo(error.code)?.family
  if (family === 'throttling') return 'throttled'
  if (family !== undefined && ACCOUNT_FAMILIES.has(family)) return 'account'
  return isRetryable(error) || error.httpStatus >= 500 ? 'channel' : 'request'
}

const PAIR_RATE_LIMIT = 131056
/** Besides the family of throttling: another limit is being applied to the number. */
const IN_MAINTENANCE = 131057
/** Blocked, locked, unpaid: as with the credentials, nothing goes out until somebody has seen to it. */
const ACCOUNT_STOPPED = new Set([368, 131_031, 131_042])
/** Meta, or its part that sends, is out of order, whatever the HTTP status says. */
const OUT_OF_ORDER = new Set([2, 131_016, 133_004])

/** Whom it concerns besides the message. */
export const concernOf = (error: GraphError): Concern => {
  const { code, httpStatus } = error
  if (code === PAIR_RATE_LIMIT) return 'recipient'
  if (code === IN_MAINTENANCE || httpStatus === 429 || errorInfo(code)?.family === 'throttling') return 'number'
  if (isCredentialError(code) || ACCOUNT_STOPPED.has(code)) return 'account'
  return OUT_OF_ORDER.has(code) || (httpStatus >= 500 && isRetryable(error)) ? 'channel' : 'message'
}

export const retryOf = (error: GraphError): Retry => {
  if (!isRetryable(error)) return 'no'
  return errorInfo(error.code)?.retry === 'yes' ? 'once' : 'backoff'
}

/** Meta's refusal in our form: its code, its words, and what to do about it. */
export const sendErrorOf = (error: GraphError): SendError => {
  const action = errorInfo(error.code)?.action
  return {
    code: error.code,
    title: error.title,
    ...(error.details === undefined ? {} : { details: error.details }),
    ...(action === undefined ? {} : { action }),
    ...(error.fbtraceId === undefined ? {} : { fbtrace_id: error.fbtraceId }),
    fault: faultOf(error),
    // As it was answered, for those who speak the channel's own language (meta-api).
    answer: {
      status: error.httpStatus,
      message: error.message,
      ...(error.type === undefined ? {} : { type: error.type }),
      ...(error.subcode === undefined ? {} : { subcode: error.subcode }),
    },
  }
}

/** No description of Meta's and a server's fault: something in between answered, and Meta may have the message. */
export const isFromInBetween = ({ type, httpStatus }: GraphError): boolean => type === 'HTTP' && httpStatus >= 500

/** The message breaks a rule that Meta has for every message of its type; `fields` names each place. Meta was not asked. */
export const invalidMessage = (fields: readonly InvalidField[]): SendError => ({
  code: 'INVALID_MESSAGE',
  title: 'The message is not as WhatsApp takes it',
  details: fields.map(({ path, message }) => `${path}: ${message}`).join('; '),
  action: 'Correct the fields named and send it again under a new id.',
  fields,
  fault: 'request',
})

export const unknownError = (cause: Pick<NetworkFault, 'code'>): SendError => ({
  code: 'CHANNEL_ANSWER_LOST',
  title: 'The channel was asked and no usable answer came',
  details: cause.code,
  fault: 'channel',
})

export const unreachableError = (cause: NetworkFault): SendError => ({
  code: 'CHANNEL_UNREACHABLE',
  title: 'The channel could not be reached',
  details: cause.code,
  action: 'Send it again later.',
  fault: 'channel',
})
