import { asNumber, asObject, asText } from '../json-values.ts'
import { ERROR_CODES, type ErrorInfo } from './error-codes.ts'

const BY_CODE = new Map(ERROR_CODES.map((info) => [info.code, info]))
const RANGES = ERROR_CODES.filter((info) => info.code_to !== undefined)

/** What is known about a code of Meta's; undefined for one that was added since. */
export const errorInfo = (code: number): ErrorInfo | undefined =>
  BY_CODE.get(code) ?? RANGES.find((info) => code > info.code && code <= (info.code_to as number))

/** An error of the Graph API. */
export interface GraphError {
  /** Meta's code. Where the body has none, the HTTP status, and `type` is `HTTP`. */
  code: number
  subcode?: number
  title: string
  /** As Meta wrote it. */
  message: string
  details?: string
  type?: string
  /** For Meta's support. */
  fbtraceId?: string
  /** Meta invites to a repetition. */
  isTransient: boolean
  httpStatus: number
}

/** `type` of an error that Meta did not describe: a gateway's page, an empty body. */
export const HTTP_ERROR = 'HTTP'

/**
 * Reads an error answer, `{"error":{…}}`.
 *
 * @param body the parsed JSON; undefined where the answer was none
 */
export const parseGraphError = (httpStatus: number, body: unknown): GraphError => {
  const sent = asObject(asObject(body)?.error)
  const code = asNumber(sent?.code)
  if (sent === undefined || code === undefined)
    return {
      code: httpStatus,
      title: `HTTP status ${httpStatus}`,
      message: 'an answer without a description of the error',
      type: HTTP_ERROR,
      isTransient: false,
      httpStatus,
    }
  const message = asText(sent.message) ?? ''
  const userTitle = asText(sent.error_user_title)
  // Meta repeats the code in front of most messages: "(#130429) Rate limit hit".
  const title = errorInfo(code)?.title ?? userTitle ?? message.replace(/^\(#\d+\)\s*/, '')
  const error: GraphError = {
    code,
    title: title || `error ${code}`,
    message,
    isTransient: sent.is_transient === true,
    httpStatus,
  }
  const subcode = asNumber(sent.error_subcode)
  const details =
    asText(asObject(sent.error_data)?.details) ?? asText(sent.error_data) ?? asText(sent.error_user_msg) ?? userTitle
  const type = asText(sent.type)
  const fbtraceId = asText(sent.fbtrace_id)
  if (subcode !== undefined) error.subcode = subcode
  if (details !== undefined) error.details = details
  if (type !== undefined) error.type = type
  if (fbtraceId !== undefined) error.fbtraceId = fbtraceId
  return error
}

/**
 * True when the same request may succeed later. By the table of codes, or because Meta says so; a code nobody knows by
 * its HTTP status: 429 and 5xx. The status of a known code means nothing: Meta answers throttling with 400.
 */
export const isRetryable = ({ code, type, isTransient, httpStatus }: GraphError): boolean => {
  if (isTransient) return true
  const info = type === HTTP_ERROR ? undefined : errorInfo(code)
  return info === undefined ? httpStatus === 429 || httpStatus >= 500 : info.retry !== 'no'
}

/**
 * True for a code that says the token or its permissions do not suffice (0, 3, 10, 102, 104, 190, 200 to 299, 131005):
 * nothing of this tenant will succeed until an operator has seen to it.
 */
export const isCredentialError = (code: number): boolean => errorInfo(code)?.family === 'authorization'
