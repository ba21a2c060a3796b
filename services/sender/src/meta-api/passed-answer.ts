import { type LinkedFile, linkQuery } from './media-link.ts'

/**
 * Parameters that Graph takes with any request, and that would make another request of it: another token, another
 * method (`method=delete`), other objects.
 */
const NOT_PASSED = new Set([
  'access_token',
  'appsecret_proof',
  'appsecret_time',
  'batch',
  'callback',
  'id',
  'ids',
  'method',
  'suppress_http_code',
])

/** The caller's query without what is not for the caller to say. */
export const passedQuery = (search: string): URLSearchParams => {
  const query = new URLSearchParams(search)
  for (const name of [...query.keys()]) if (NOT_PASSED.has(name.toLowerCase())) query.delete(name)
  return query
}

/** What the channel says about an answer and a caller may know. Connection, cookies and challenges are not among it. */
const HEADERS_BACK = [
  'accept-ranges',
  'content-disposition',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'facebook-api-version',
  'last-modified',
  'retry-after',
  'x-app-usage',
  'x-business-use-case-usage',
  'x-fb-request-id',
  'x-fb-trace-id',
]

export const headersBack = (
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string | string[]> =>
  Object.fromEntries(
    HEADERS_BACK.flatMap((name) => {
      const value = headers[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )

/** Graph writes the token into links, for whoever follows them. */
const withoutToken = (text: string, token: string): string =>
  text.replaceAll(token, 'hidden').replaceAll(encodeURIComponent(token), 'hidden')

const parsed = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined // handed back as it came
  }
}

/** Any answer of Graph's in JSON, without the token. */
export const passedText = (text: string, token: string): string => withoutToken(text, token)

/** A page of a list, whose links to the next ones lead back to us. `here`: the address of the list at ours. */
export const passedPage = (text: string, token: string, here: string): string => {
  const page = parsed(text)
  const paging = page?.paging
  if (page === undefined || typeof paging !== 'object' || paging === null) return withoutToken(text, token)
  const links = Object.entries(paging as Record<string, unknown>).map(([name, link]) =>
    (name === 'next' || name === 'previous') && typeof link === 'string' && URL.canParse(link)
      ? [name, withQuery(here, passedQuery(new URL(link).search))]
      : [name, link],
  )
  return withoutToken(JSON.stringify({ ...page, paging: Object.fromEntries(links) }), token)
}

const withQuery = (address: string, query: URLSearchParams): string =>
  query.size > 0 ? `${address}?${query}` : address

/** What Graph says of a file; undefined when it speaks of anything else. */
export const readMedia = (text: string): ({ url: string } & Record<string, unknown>) | undefined => {
  const media = parsed(text)
  return typeof media?.url === 'string' && typeof media.mime_type === 'string'
    ? (media as { url: string } & Record<string, unknown>)
    : undefined
}

/** The same with a link of ours in the place of Meta's, which only the company's token opens. */
export const passedMedia = (
  media: { url: string } & Record<string, unknown>,
  file: Omit<LinkedFile, 'target'>,
  { here, token, now }: { here: string; token: string; now: number },
): string => {
  const query = linkQuery({ ...file, target: media.url }, token, now)
  return withoutToken(JSON.stringify({ ...media, url: `${here}/content?${query}` }), token)
}

/** True when it says what Graph says of an id that is not there, or not this number's. */
export const isNoSuchObject = (status: number, text: string): boolean => {
  const error = parsed(text)?.error as { code?: unknown; error_subcode?: unknown } | undefined
  return status === 400 && error?.code === 100 && error.error_subcode === 33
}
