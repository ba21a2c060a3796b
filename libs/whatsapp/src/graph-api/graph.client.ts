import { Agent, DecoratorHandler, type Dispatcher, request } from 'undici'
import { asId, asObject, asText, type JsonObject } from '../json-values.ts'
import { isReadReceipt } from '../outbound-message/read-receipt.ts'
import { parseTemplateDefinition, type TemplateDefinition } from '../template/template-definition.ts'
import { type GraphError, parseGraphError } from './graph-error.ts'
import { type AnswerHeaders, retryAfterMs } from './retry-after.ts'

export interface GraphClientOptions {
  /** `https://graph.facebook.com`, or the simulator's. */
  baseUrl: string
  /** `v22.0` */
  version: string
  /** For one call, from its start to the last byte of the answer. */
  timeoutMs: number
  /** Whatever carries the requests instead of the client's own pool; the caller closes it. */
  dispatcher?: Dispatcher
}

/** What went wrong on the way, without anything of the request in it. */
export interface NetworkFault {
  /** `TIMEOUT`, `ECONNREFUSED`, `ENOTFOUND`, `UND_ERR_SOCKET`, `NOT_JSON`, `NO_MESSAGE_ID`, … */
  code: string
  message: string
}

/** Meta said no. `retryAfterMs`: how long it asked to wait. */
export interface Refused {
  kind: 'refused'
  error: GraphError
  httpStatus: number
  retryAfterMs?: number
}

/** The request was on its way and no usable answer came: it may have been carried out. */
export interface Unknown {
  kind: 'unknown'
  cause: NetworkFault
}

/** The request never left: nothing was carried out. */
export interface Unreachable {
  kind: 'unreachable'
  cause: NetworkFault
}

/** Meta took the message; it is not delivered yet. */
export interface Accepted {
  kind: 'accepted'
  messageId: string
  /** `input` as sent; `wa_id` may be written differently; `user_id` for a recipient addressed by it. */
  contact: { input?: string; wa_id?: string; user_id?: string }
  /** Templates: `accepted`, `held_for_quality_assessment`, `paused`. */
  messageStatus?: string
  /** Meta's body. */
  response: JsonObject
}

/** Meta marked a message of the other side as read: nothing was sent, and there is no id. */
export interface Marked {
  kind: 'marked'
  /** Meta's body. */
  response: JsonObject
}

export type SendResult = Accepted | Marked | Refused | Unknown | Unreachable

export type TemplatesResult =
  /** The template in each of its languages; none when there is no such template. */
  { kind: 'found'; templates: TemplateDefinition[] } | Refused | Unknown | Unreachable

export interface SendRequest {
  phoneNumberId: string
  token: string
  /** The body, as `buildMessage` makes it. */
  body: unknown
}

export interface TemplatesRequest {
  wabaId: string
  token: string
  name: string
}

/** Calls to the Graph API. None of them throws for what Meta or the network does. */
export interface GraphClient {
  /**
   * `POST /{phone-number-id}/messages`: `accepted` for a message, `marked` for a receipt. Never repeated here: Meta has no
   * idempotency key.
   */
  sendMessage(request: SendRequest): Promise<SendResult>
  /** `GET /{waba-id}/message_templates` to its last page: a template in all its languages. */
  getTemplates(request: TemplatesRequest): Promise<TemplatesResult>
  /** Ends the client's own connections after what is in flight. */
  close(): Promise<void>
}

interface Answer {
  kind: 'answer'
  httpStatus: number
  headers: AnswerHeaders
  /** The parsed JSON; undefined for anything else. */
  body: unknown
}

/** Tells when a request is about to be written to a connection: before that, nothing can have reached Meta. */
const markingStart = (dispatcher: Dispatcher, onStart: () => void): Dispatcher =>
  dispatcher.compose((dispatch) => (options, handler) => {
    const marked: Dispatcher.DispatchHandler = new DecoratorHandler(handler)
    const start = marked.onRequestStart?.bind(marked)
    marked.onRequestStart = (controller, context) => {
      onStart()
      start?.(controller, context)
    }
    return dispatch(options, marked)
  })

const faultOf = (error: unknown): NetworkFault => {
  if (!(error instanceof Error)) return { code: 'UNKNOWN', message: String(error) }
  if (error.name === 'TimeoutError') return { code: 'TIMEOUT', message: 'no answer within the time allowed' }
  // Of several addresses tried, each has its own error; the first says enough.
  const first = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error
  return { code: 'code' in first && typeof first.code === 'string' ? first.code : first.name, message: first.message }
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // told apart by its absence: a page of a gateway in between, or half an answer
  }
}

/** What fits into a header: a token with anything else was damaged on its way into the settings. */
const TOKEN = /^[\x21-\x7e]+$/

/** Meta's own answer to such a token, given without asking. */
const MALFORMED_TOKEN: Refused = {
  kind: 'refused',
  httpStatus: 401,
  error: parseGraphError(401, {
    error: { message: 'Malformed access token', type: 'OAuthException', code: 190 },
  }),
}

/** Beyond any answer of these calls: a page of 100 templates has some hundred kilobytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** A WABA has at most 6,000 templates; `name` narrows them down to those that contain it. */
const TEMPLATES_PER_PAGE = '100'
const MAX_PAGES = 60

const TEMPLATE_FIELDS = 'name,status,category,language,components,parameter_format'

const refusal = (answer: Answer): Refused => {
  const { httpStatus, headers, body } = answer
  const waitMs = retryAfterMs(headers, Date.now())
  return {
    kind: 'refused',
    error: parseGraphError(httpStatus, body),
    httpStatus,
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  }
}

const unusable = (answer: Answer, what: string, code: string): Unknown => ({
  kind: 'unknown',
  cause:
    answer.body === undefined ? { code: 'NOT_JSON', message: 'an answer that is not JSON' } : { code, message: what },
})

const isSuccess = ({ httpStatus }: Answer): boolean => httpStatus >= 200 && httpStatus < 300

const acceptance = (answer: Answer, isReceipt: boolean): SendResult => {
  const response = asObject(answer.body)
  if (isReceipt && isSuccess(answer) && response?.success === true) return { kind: 'marked', response }
  const message = Array.isArray(response?.messages) ? asObject(response.messages[0]) : undefined
  const messageId = asId(message?.id)
  if (!isSuccess(answer) || (messageId === undefined && asObject(response?.error) !== undefined)) return refusal(answer)
  if (response === undefined || messageId === undefined)
    return unusable(answer, 'an answer without a message id', 'NO_MESSAGE_ID')

  const sent = Array.isArray(response.contacts) ? asObject(response.contacts[0]) : undefined
  const contact: Accepted['contact'] = {}
  for (const key of ['input', 'wa_id', 'user_id'] as const) {
    const text = asText(sent?.[key])
    if (text !== undefined) contact[key] = text
  }
  const messageStatus = asText(message?.message_status)
  return {
    kind: 'accepted',
    messageId,
    contact,
    ...(messageStatus === undefined ? {} : { messageStatus }),
    response,
  }
}

/** A client over one pool of kept-alive connections. */
export const createGraphClient = ({ baseUrl, version, timeoutMs, dispatcher }: GraphClientOptions): GraphClient => {
  const ownAgent =
    dispatcher === undefined
      ? new Agent({
          connect: { timeout: timeoutMs },
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
          maxResponseSize: MAX_ANSWER_BYTES,
        })
      : undefined
  const carrier = (dispatcher ?? ownAgent) as Dispatcher
  const root = `${baseUrl.replace(/\/+$/, '')}/${version}`

  const call = async (
    path: string,
    token: string,
    options: { method: 'GET' } | { method: 'POST'; body: string },
  ): Promise<Answer | Unknown | Unreachable> => {
    let isStarted = false
    let answer: Answer | undefined
    try {
      const response = await request(`${root}/${path}`, {
        ...options,
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'application/json',
          ...(options.method === 'POST' ? { 'content-type': 'application/json' } : {}),
        },
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        signal: AbortSignal.timeout(timeoutMs),
        dispatcher: markingStart(carrier, () => {
          isStarted = true
        }),
      })
      answer = { kind: 'answer', httpStatus: response.statusCode, headers: response.headers, body: undefined }
      return { ...answer, body: parseJson(await response.body.text()) }
    } catch (error) {
      // The status alone of a refusal is worth more than the news that the rest of it got lost.
      if (answer !== undefined && !isSuccess(answer)) return answer
      return { kind: isStarted ? 'unknown' : 'unreachable', cause: faultOf(error) }
    }
  }

  return {
    sendMessage: async ({ phoneNumberId, token, body }) => {
      if (!TOKEN.test(token)) return MALFORMED_TOKEN
      const result = await call(`${encodeURIComponent(phoneNumberId)}/messages`, token, {
        method: 'POST',
        body: JSON.stringify(body),
      })
      const sent = asObject(body)
      return result.kind === 'answer' ? acceptance(result, sent !== undefined && isReadReceipt(sent)) : result
    },

    getTemplates: async ({ wabaId, token, name }) => {
      if (!TOKEN.test(token)) return MALFORMED_TOKEN
      const query = new URLSearchParams({ fields: TEMPLATE_FIELDS, name, limit: TEMPLATES_PER_PAGE })
      const templates: TemplateDefinition[] = []
      for (let page = 0; page < MAX_PAGES; page++) {
        const result = await call(`${encodeURIComponent(wabaId)}/message_templates?${query}`, token, { method: 'GET' })
        if (result.kind !== 'answer') return result
        if (!isSuccess(result)) return refusal(result)
        const list = asObject(result.body)
        if (!Array.isArray(list?.data)) return unusable(result, 'an answer without a list of templates', 'NO_LIST')
        const found = list.data.map(parseTemplateDefinition).filter((template) => template !== undefined)
        templates.push(...found.filter((template) => template.name === name))
        // By its cursor, not by its link: the token goes to no address but our own.
        const paging = asObject(list.paging)
        const after = asText(asObject(paging?.cursors)?.after)
        if (paging?.next === undefined || after === undefined || after === query.get('after')) break
        query.set('after', after)
      }
      return { kind: 'found', templates }
    },

    close: async () => {
      await ownAgent?.close()
    },
  }
}
