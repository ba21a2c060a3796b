import type { Readable } from 'node:stream'
import { GatewayError } from '@cloudapi2/contracts'
import { Agent, type Dispatcher, request } from 'undici'

/** What the channel said, its body still on the way. */
export interface PassedAnswer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: Readable
}

export interface Passage {
  /** A call to Graph with the company's token. @throws PassageFailed when no answer comes */
  call: (request: {
    method: 'GET' | 'POST' | 'DELETE'
    /** From the version on, such as `v22.0/1460927783319058`. */
    path: string
    query: URLSearchParams
    token: string
    headers?: Record<string, string>
    body?: Readable
    signal: AbortSignal
  }) => Promise<PassedAnswer>
  /** A file, by the whole address that Graph gave. @throws PassageFailed when no answer comes */
  download: (request: {
    url: string
    token: string
    headers?: Record<string, string>
    signal: AbortSignal
  }) => Promise<PassedAnswer>
  close: () => Promise<void>
}

/** Graph could not be reached, or did not begin to answer in time. */
export class PassageFailed extends GatewayError {
  constructor(cause: unknown) {
    const code = (cause as { code?: unknown }).code
    super(`Graph gave no answer: ${typeof code === 'string' ? code : 'unknown fault'}`, {
      code: 'PASSAGE_FAILED',
      retryable: true,
      cause,
    })
  }
}

/** Meta works on an uploaded file before it answers. */
const SILENCE_FACTOR = 3

/**
 * Hands requests on to Graph and its answers back, without keeping either. Redirects are not followed: the token goes to
 * no address but the one asked for.
 */
export const createPassage = ({ baseUrl, timeoutMs }: { baseUrl: string; timeoutMs: number }): Passage => {
  const silenceMs = SILENCE_FACTOR * timeoutMs
  const agent = new Agent({
    connect: { timeout: timeoutMs },
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
  })
  const root = baseUrl.replace(/\/+$/, '')

  const ask = async (
    url: string,
    options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>,
  ): Promise<PassedAnswer> => {
    try {
      const { statusCode, headers, body } = await request(url, { ...options, dispatcher: agent })
      return { status: statusCode, headers, body }
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause // the caller's own body, refused on its way
      throw new PassageFailed(cause)
    }
  }

  return {
    call: ({ method, path, query, token, headers = {}, body, signal }) =>
      ask(`${root}/${path}${query.size > 0 ? `?${query}` : ''}`, {
        method,
        headers: { ...headers, authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body }),
        signal,
      }),
    download: ({ url, token, headers = {}, signal }) =>
      // Some of Meta's file servers refuse who has no name.
      ask(url, {
        method: 'GET',
        headers: { 'user-agent': 'cloudapi2', ...headers, authorization: `Bearer ${token}` },
        signal,
      }),
    close: () => agent.close(),
  }
}
