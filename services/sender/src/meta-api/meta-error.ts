import { GatewayError, type SendError } from '@cloudapi2/contracts'
import { Problem } from '@cloudapi2/service-kit'
import { errorInfo } from '@cloudapi2/whatsapp'

/** The body of Graph's `error`, as SDKs read it. */
export interface GraphErrorBody {
  message: string
  type: string
  code: number
  error_subcode?: number
  is_transient?: boolean
  /** `details` says what is wrong; the rest is ours: our own code, the command, the fields. */
  error_data?: { messaging_product: 'whatsapp'; details: string; [ours: string]: unknown }
  fbtrace_id?: string
}

/** An answer that is not what was asked for, in the words of the Graph API. Thrown by the Meta-compatible routes only. */
export class MetaError extends GatewayError {
  readonly status: number
  readonly error: GraphErrorBody
  readonly headers: Record<string, string>

  constructor(status: number, error: GraphErrorBody, headers: Record<string, string> = {}, cause?: unknown) {
    super(error.message, { code: String(error.code), retryable: error.is_transient === true, cause })
    this.status = status
    this.error = error
    this.headers = headers
  }

  /** Meta gives every error a trace id, and SDKs show it: where Meta gave none it is the one of our own log. */
  body(traceId: string): { error: GraphErrorBody } {
    return { error: { ...this.error, fbtrace_id: this.error.fbtrace_id ?? traceId } }
  }
}

interface Said {
  status: number
  code: number
  details: string
  ours?: Record<string, unknown>
  isTransient?: boolean
  headers?: Record<string, string>
  cause?: unknown
}

const metaError = ({ status, code, details, ours = {}, isTransient, headers, cause }: Said): MetaError =>
  new MetaError(
    status,
    {
      message: `(#${code}) ${errorInfo(code)?.title ?? 'Error'}`,
      type: 'OAuthException',
      code,
      ...(isTransient === undefined ? {} : { is_transient: isTransient }),
      error_data: { messaging_product: 'whatsapp', details, ...ours },
    },
    headers,
    cause,
  )

export const metaErrors = {
  /** Meta's own words for a token it cannot read; here it is the API key. */
  unknownKey: () =>
    new MetaError(401, {
      message: 'Invalid OAuth access token - Cannot parse access token',
      type: 'OAuthException',
      code: 190,
    }),
  scopeMissing: () =>
    metaError({ status: 403, code: 10, details: 'The API key does not allow this: use one with the scope "send".' }),
  /** Not there, or not the caller's: like Meta, it is not told which. */
  noSuchObject: (method: string, id: string) =>
    new MetaError(400, {
      message: `Unsupported ${method.toLowerCase()} request. Object with ID '${id}' does not exist, cannot be loaded due to missing permissions, or does not support this operation.`,
      type: 'GraphMethodException',
      code: 100,
      error_subcode: 33,
    }),
  noSuchPath: (path: string) =>
    new MetaError(400, { message: `Unknown path components: ${path}`, type: 'OAuthException', code: 2500 }),
  invalidParameter: (details: string, status = 400) => metaError({ status, code: 100, details }),
  missingParameter: (name: string) =>
    metaError({ status: 400, code: 131008, details: `The parameter ${name} is required.` }),
  invalidValue: (name: string, expected: string) =>
    metaError({ status: 400, code: 131009, details: `Parameter value is not valid: ${name}: ${expected}` }),
  /** The company is not set up: nothing the caller sends would help. */
  noAccessToken: () =>
    metaError({
      status: 403,
      code: 131005,
      details: 'The company has no usable access token: set WHATSAPP_ACCESS_TOKEN of the company.',
    }),
  /** Nothing was done: the same request may be repeated. */
  unavailable: (details: string, cause?: unknown) =>
    metaError({
      status: 503,
      code: 2,
      details,
      isTransient: true,
      headers: { 'retry-after': '5' },
      ...(cause === undefined ? {} : { cause }),
    }),
  /**
   * It may have been done, and a repeat may do it twice. With a status that nothing repeats by itself: SDKs and HTTP
   * clients repeat what looks like a server's fault.
   */
  uncertain: (details: string, ours: Record<string, unknown>, cause?: unknown) =>
    metaError({
      status: 400,
      code: 131000,
      details,
      ours,
      isTransient: false,
      ...(cause === undefined ? {} : { cause }),
    }),
}

/** What Meta calls our own refusals; `status` as Meta gives it with that code. */
const OURS: Readonly<Record<string, { status: number; code: number; isTransient?: boolean }>> = {
  INVALID_PHONE: { status: 400, code: 131009 },
  INVALID_MESSAGE: { status: 400, code: 131009 },
  INVALID_COMMAND: { status: 400, code: 131009 },
  TEMPLATE_DATA_MISMATCH: { status: 400, code: 132000 },
  UNKNOWN_TEMPLATE: { status: 404, code: 132001 },
  TEMPLATE_NOT_APPROVED: { status: 404, code: 132001 },
  TEMPLATE_PAUSED: { status: 400, code: 132015 },
  TEMPLATE_DISABLED: { status: 400, code: 132016 },
  IDEMPOTENCY_KEY_REUSED: { status: 400, code: 100 },
  NO_ACCESS_TOKEN: { status: 403, code: 131005 },
  // The command has ended without having been sent.
  CHANNEL_UNREACHABLE: { status: 503, code: 2, isTransient: true },
}

const OF_FAULT: Readonly<Record<string, { status: number; code: number }>> = {
  request: { status: 400, code: 100 },
  account: { status: 403, code: 131005 },
  throttled: { status: 429, code: 130429 },
  channel: { status: 500, code: 131000 },
}

/** How Meta answered, where the refusal is Meta's. */
interface ChannelAnswer {
  status?: unknown
  message?: unknown
  type?: unknown
  subcode?: unknown
}

/** True when nothing is wrong but that something is not there: Meta has a code of its own for that. */
const isMissing = (fields: unknown): boolean =>
  Array.isArray(fields) &&
  fields.length > 0 &&
  fields.every(({ message }: { message?: unknown }) =>
    /\b(required|missing|received undefined)\b/i.test(String(message)),
  )

/** A command that failed, as Meta would have answered it; where it was Meta that refused, as it did. */
export const metaErrorOf = (error: SendError, commandId: string): MetaError => {
  const { code, title, details, action, fault, fields } = error
  const explained = [title, details, action].filter((text) => text !== undefined).join(': ')
  const ours = {
    gateway_code: code,
    command_id: commandId,
    ...(fields === undefined ? {} : { fields }),
  }
  if (typeof code === 'string') {
    if (code === 'SEND_UNCERTAIN') return metaErrors.uncertain(explained, ours)
    const known = OURS[code] ?? OF_FAULT[String(fault)] ?? { status: 500, code: 131000 }
    const isIncomplete = known.code === 131009 && isMissing(fields)
    return metaError({ ...known, ...(isIncomplete ? { code: 131008 } : {}), details: explained, ours })
  }
  const { status, message, type, subcode } = (error.answer ?? {}) as ChannelAnswer
  return new MetaError(
    typeof status === 'number' && status >= 400 ? status : (OF_FAULT[String(fault)]?.status ?? 400),
    {
      message: typeof message === 'string' && message !== '' ? message : `(#${code}) ${title}`,
      type: typeof type === 'string' ? type : 'OAuthException',
      code,
      ...(typeof subcode === 'number' ? { error_subcode: subcode } : {}),
      ...(details === undefined ? {} : { error_data: { messaging_product: 'whatsapp', details } }),
      ...(typeof error.fbtrace_id === 'string' ? { fbtrace_id: error.fbtrace_id } : {}),
    },
  )
}

/** Whatever was thrown on one of these routes: our problems and Fastify's refusals in Meta's words. */
export const asMetaError = (error: unknown): MetaError => {
  if (error instanceof MetaError) return error
  if (error instanceof Problem) {
    if (error.status === 401) return metaErrors.unknownKey()
    if (error.status === 403) return metaErrors.scopeMissing()
    if (error.status === 503) return metaErrors.unavailable(error.title, error)
  }
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return metaErrors.invalidParameter('The body is too large.', 413)
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return metaErrors.invalidParameter('The content type is not supported: send JSON, or a form with the file.')
  if (
    error instanceof SyntaxError ||
    code === 'FST_ERR_CTP_INVALID_JSON_BODY' ||
    code === 'FST_ERR_CTP_EMPTY_JSON_BODY'
  )
    return metaErrors.invalidParameter('The body is not valid JSON.')
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return metaErrors.invalidParameter('The request is not valid.', statusCode)
  return metaError({ status: 500, code: 131000, details: 'Something went wrong here.', cause: error })
}
