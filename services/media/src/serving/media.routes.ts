import { Readable } from 'node:stream'
import { type AccessDeps, admitReader, type Logger, Problem } from '@cloudapi2/service-kit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { mediaKey } from '../carried-file.ts'
import type { IndexEntry } from '../index/index-entry.ts'
import type { MediaIndex } from '../index/media-index.store.ts'
import { contentKey, type MediaStore } from '../store/media-store.ts'
import { byteRange, namesTag } from './byte-range.ts'
import { contentDisposition } from './content-disposition.ts'
import { endingOf, isShown } from './served-type.ts'

export interface MediaRoutesDeps extends AccessDeps {
  log: Logger
  index: Pick<MediaIndex, 'get'>
  store: Pick<MediaStore, 'get' | 'head'>
  count: (status: number) => void
}

interface Params {
  company_id: string
  media_id: string
}

/** How long a caller waits until it asks again for a file that is on its way. */
const ASK_AGAIN_S = 2

type StoredEntry = IndexEntry & { state: 'stored' }

const unavailable = (cause: unknown) =>
  new Problem({
    status: 503,
    code: 'MEDIA_STORE_UNAVAILABLE',
    title: 'The file cannot be read just now',
    headers: { 'retry-after': '2' },
    cause,
  })

const isHere = (entry: IndexEntry | undefined): StoredEntry => {
  switch (entry?.state) {
    case undefined:
      throw new Problem({
        status: 404,
        code: 'UNKNOWN_MEDIA',
        title: 'There is no such file',
        detail: 'Expected the media id of a message that this company received.',
      })
    case 'waiting':
      // No success: a program would take the body for the file.
      throw new Problem({
        status: 409,
        code: 'MEDIA_NOT_STORED_YET',
        title: 'The file is known and not stored yet',
        ...(entry.reason === undefined ? {} : { detail: `The last attempt ended with: ${entry.reason}.` }),
        headers: { 'retry-after': String(ASK_AGAIN_S) },
      })
    case 'failed':
      throw gone(entry.reason)
    case 'stored':
      return entry
  }
}

const gone = (reason: string) =>
  new Problem({
    status: 410,
    code: 'MEDIA_GONE',
    title: 'The file is not to be had',
    detail: `Reason: ${reason}.`,
    extensions: { reason },
  })

const headersOf = ({ kind, mime_type, filename, stored_at }: StoredEntry, mediaId: string, tag: string) => ({
  // The same id is the same bytes for ever; asked again all the same, so that a key that was revoked opens nothing.
  'cache-control': 'private, no-cache',
  etag: tag,
  'last-modified': new Date(stored_at).toUTCString(),
  'accept-ranges': 'bytes',
  'content-disposition': contentDisposition(
    isShown(mime_type) && kind !== 'document' ? 'inline' : 'attachment',
    filename,
    `${mediaKey(mediaId)}${endingOf(mime_type)}`,
  ),
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
})

/** Serves what messages carried: to the company alone, never as a page that a browser would run. */
export const mediaRoutes = (app: FastifyInstance, deps: MediaRoutesDeps): void => {
  const { log, index, store, count } = deps
  const onRequest = admitReader(deps)

  const answer = async (
    { params, headers, method }: FastifyRequest<{ Params: Params }>,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    const { company_id: companyId, media_id: mediaId } = params
    const entry = isHere(
      await index.get(companyId, mediaId).catch((cause: unknown) => {
        throw unavailable(cause)
      }),
    )
    const key = contentKey(companyId, entry.sha256)
    const tag = `"${entry.sha256}"`
    const isPartWanted = headers['if-range'] === undefined || headers['if-range'] === tag
    const range = isPartWanted ? byteRange(headers.range, entry.size_bytes) : undefined
    if (namesTag(headers['if-none-match'], tag))
      return reply
        .code(304)
        .headers(headersOf(entry, mediaId, tag))
        .send()
    if (range === 'unsatisfiable')
      throw new Problem({
        status: 416,
        code: 'RANGE_NOT_SATISFIABLE',
        title: 'The file has no such part',
        headers: { 'content-range': `bytes */${entry.size_bytes}` },
      })

    const body = await (method === 'HEAD' ? store.head(key) : store.get(key, range)).catch((cause: unknown) => {
      throw unavailable(cause)
    })
    if (body === undefined) throw gone('removed')
    void reply
      .headers(headersOf(entry, mediaId, tag))
      .type(entry.mime_type)
      .header('content-length', range === undefined ? entry.size_bytes : range.end - range.start + 1)
    if (range !== undefined)
      void reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${entry.size_bytes}`)
    if (!(Symbol.asyncIterator in body)) return reply.send()
    return reply.send(body instanceof Readable ? body : Readable.from(body, { objectMode: false }))
  }

  app.route<{ Params: Params }>({
    // HEAD is told apart here: by itself it would read the whole file and throw it away.
    method: ['GET', 'HEAD'],
    url: '/companies/:company_id/media/:media_id',
    onRequest,
    handler: answer,
    onResponse: async ({ params, method }, reply) => {
      count(reply.statusCode)
      log.info({
        event: 'media.served',
        method,
        company_id: params.company_id,
        media_id: params.media_id,
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime),
      })
    },
  })
}
