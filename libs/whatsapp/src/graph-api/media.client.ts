import { Agent, type Dispatcher, request } from 'undici'
import { asNumber, asObject, asText } from '../json-values.ts'
import type { NetworkFault, Refused } from './graph.client.ts'
import { parseGraphError } from './graph-error.ts'
import { isMediaAddress } from './media-address.ts'
import { hexOfMediaHash } from './media-hash.ts'
import { retryAfterMs } from './retry-after.ts'

/** A file at Meta, and where it can be downloaded for the next five minutes. */
export interface MediaLocation {
  url: string
  mimeType?: string
  /** 64 hexadecimal digits, lower case. */
  sha256?: string
  sizeBytes?: number
}

/** No usable answer: nothing is known of the file. */
export interface NoAnswer {
  kind: 'no-answer'
  cause: NetworkFault
}

export type LookUpResult = { kind: 'found'; media: MediaLocation } | Refused | NoAnswer

/** `gone`: the address has expired, or never was one (404). */
export type DownloadResult =
  | { kind: 'streaming'; body: AsyncIterable<Uint8Array> }
  | { kind: 'gone' }
  | Refused
  | NoAnswer

export interface MediaClientOptions {
  /** `https://graph.facebook.com`, or the simulator's. */
  baseUrl: string
  /** `v22.0` */
  version: string
  /** For a look-up; and for each silence of a download, however long it takes as a whole. */
  timeoutMs: number
}

/** Files of messages at the Graph API. Nothing here throws for what Meta or the network does, until a body is read. */
export interface MediaClient {
  /** `GET /{media-id}`: every call gives a fresh address. */
  lookUp(request: { mediaId: string; token: string; signal?: AbortSignal }): Promise<LookUpResult>
  /**
   * Downloads from the address of a look-up. The token is sent to nobody but Meta, and redirects are not followed. The body
   * must be read to its end, or abandoned by leaving the loop; it throws when the connection breaks off.
   */
  download(request: { url: string; token: string; signal?: AbortSignal }): Promise<DownloadResult>
  /** Ends its connections after what is in flight. */
  close(): Promise<void>
}

const faultOf = (error: unknown): NetworkFault => {
  if (!(error instanceof Error)) return { code: 'UNKNOWN', message: String(error) }
  if (error.name === 'TimeoutError') return { code: 'TIMEOUT', message: 'no answer within the time allowed' }
  const first = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error
  return { code: 'code' in first && typeof first.code === 'string' ? first.code : first.name, message: first.message }
}

const noAnswer = (code: string, message: string): NoAnswer => ({ kind: 'no-answer', cause: { code, message } })

/** What fits into a header: a token with anything else was damaged on its way into the settings. */
const TOKEN = /^[\x21-\x7e]+$/

/** Meta's own answer to such a token, given without asking. */
const MALFORMED_TOKEN: Refused = {
  kind: 'refused',
  httpStatus: 401,
  error: parseGraphError(401, { error: { message: 'Malformed access token', type: 'OAuthException', code: 190 } }),
}

/** An answer that is no file: some hundred bytes. */
const MAX_TEXT_BYTES = 64 * 1_024

/** Some of Meta's file servers refuse who has no name. */
const USER_AGENT = 'cloudapi2'

/** Reads a short body; what is longer than any of Graph's answers is none. */
const shortText = async (body: Dispatcher.ResponseData['body']): Promise<string> => {
  let text = ''
  for await (const piece of body) {
    text += String(piece)
    if (text.length > MAX_TEXT_BYTES) return ''
  }
  return text
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // told apart by its absence
  }
}

const refusal = async ({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Refused> => {
  const waitMs = retryAfterMs(headers, Date.now())
  return {
    kind: 'refused',
    httpStatus: statusCode,
    error: parseGraphError(statusCode, parsed(await shortText(body))),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  }
}

const locationOf = (body: unknown): MediaLocation | undefined => {
  const sent = asObject(body)
  const url = asText(sent?.url)
  if (url === undefined) return undefined
  const mimeType = asText(sent?.mime_type)
  const sha256 = hexOfMediaHash(asText(sent?.sha256) ?? '')
  // A number or a text, as it happens.
  const size = asNumber(sent?.file_size)
  return {
    url,
    ...(mimeType === undefined ? {} : { mimeType }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(size === undefined || size < 0 ? {} : { sizeBytes: size }),
  }
}

/** A client over one pool of kept-alive connections. */
export const createMediaClient = ({ baseUrl, version, timeoutMs }: MediaClientOptions): MediaClient => {
  const agent = new Agent({ connect: { timeout: timeoutMs }, headersTimeout: timeoutMs, bodyTimeout: timeoutMs })
  const root = `${baseUrl.replace(/\/+$/, '')}/${version}`

  const get = (url: string, token: string, signal: AbortSignal | undefined) =>
    request(url, {
      headers: { authorization: `Bearer ${token}`, 'user-agent': USER_AGENT },
      dispatcher: agent,
      ...(signal === undefined ? {} : { signal }),
    })

  return {
    lookUp: async ({ mediaId, token, signal }) => {
      if (!TOKEN.test(token)) return MALFORMED_TOKEN
      const timeout = AbortSignal.timeout(timeoutMs)
      try {
        const response = await get(
          `${root}/${encodeURIComponent(mediaId)}`,
          token,
          signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        )
        if (response.statusCode < 200 || response.statusCode > 299) return await refusal(response)
        const media = locationOf(parsed(await shortText(response.body)))
        if (media === undefined) return noAnswer('NO_ADDRESS', 'an answer without the address of a file')
        if (!isMediaAddress(media.url, baseUrl))
          return noAnswer('FOREIGN_ADDRESS', 'the address of the file is not one of the channel')
        return { kind: 'found', media }
      } catch (error) {
        return { kind: 'no-answer', cause: faultOf(error) }
      }
    },

    download: async ({ url, token, signal }) => {
      if (!TOKEN.test(token)) return MALFORMED_TOKEN
      try {
        const response = await get(url, token, signal)
        if (response.statusCode === 200) return { kind: 'streaming', body: response.body }
        if (response.statusCode !== 404) return await refusal(response)
        await response.body.dump()
        return { kind: 'gone' }
      } catch (error) {
        return { kind: 'no-answer', cause: faultOf(error) }
      }
    },

    close: () => agent.close(),
  }
}
