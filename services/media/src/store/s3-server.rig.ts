import { createHash, createHmac, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/**
 * A small S3 for tests: objects on disk, the calls that a store of files needs, and every signature checked (AWS Signature
 * Version 4, https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html), so that a client that signs
 * wrongly fails here as it would there.
 */
export interface S3Server {
  url: string
  bucket: string
  credentials: { accessKeyId: string; secretAccessKey: string }
  region: string
  /** What was asked, as `PUT`, `PUT part`, `POST uploads`, … */
  calls: string[]
  /** Keys of the objects there are. */
  keys: () => string[]
  /** Uploads begun and neither completed nor aborted. */
  openUploads: () => number
  /** Answers the next request with this status instead. */
  failNext: (status: number) => void
  stop: () => Promise<void>
}

/** S3 takes no smaller part than this, but the last. */
const SMALLEST_PART = 5 * 1024 * 1024

interface Part {
  file: string
  etag: string
  sizeBytes: number
}
interface StoredObject {
  parts: Part[]
  etag: string
  sizeBytes: number
}
interface PendingUpload {
  key: string
  parts: Map<number, Part>
  initiatedAt: Date
}

class Refused extends Error {
  readonly status: number
  readonly s3Code: string
  constructor(status: number, s3Code: string) {
    super(s3Code)
    this.status = status
    this.s3Code = s3Code
  }
}

const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest()
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const encoded = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)

export const startS3 = async (): Promise<S3Server> => {
  const folder = await mkdtemp(join(tmpdir(), 's3-rig-'))
  const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret-of-the-test' }
  const region = 'eu-test-1'
  const bucket = 'files'
  const objects = new Map<string, StoredObject>()
  const uploads = new Map<string, PendingUpload>()
  const calls: string[] = []
  let failure: number | undefined

  /** @throws Refused for a signature that is not the one that this request must have */
  const checkSignature = ({ method, headers }: IncomingMessage, url: URL) => {
    const match =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
        headers.authorization ?? '',
      )
    if (match === null) throw new Refused(403, 'AccessDenied')
    const [, accessKeyId, date, signedRegion, signedHeaders, signature] = match as unknown as string[] & { length: 6 }
    if (accessKeyId !== credentials.accessKeyId) throw new Refused(403, 'InvalidAccessKeyId')
    if (signedRegion !== region) throw new Refused(400, 'AuthorizationHeaderMalformed')
    const names = (signedHeaders as string).split(';')
    for (const required of ['host', 'x-amz-date', 'x-amz-content-sha256'])
      if (!names.includes(required)) throw new Refused(403, 'AccessDenied')
    const query = [...url.searchParams]
      .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
      .sort()
      .join('&')
    const canonical = [
      method,
      url.pathname,
      query,
      ...names.map(
        (name) =>
          `${name}:${String(headers[name] ?? '')
            .trim()
            .replace(/ +/g, ' ')}`,
      ),
      '',
      signedHeaders,
      headers['x-amz-content-sha256'],
    ].join('\n')
    const scope = `${date}/${region}/s3/aws4_request`
    const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n')
    const key = hmac(
      hmac(hmac(hmac(`AWS4${credentials.secretAccessKey}`, date as string), region), 's3'),
      'aws4_request',
    )
    if (hmac(key, toSign).toString('hex') !== signature) throw new Refused(403, 'SignatureDoesNotMatch')
  }

  /** To disk, never to memory: what is measured is the client. @throws Refused when it is not what was signed */
  const receive = async (request: IncomingMessage): Promise<Part> => {
    const file = join(folder, randomUUID())
    const md5 = createHash('md5')
    const hash = createHash('sha256')
    let sizeBytes = 0
    await pipeline(
      request,
      async function* (source: AsyncIterable<Buffer>) {
        for await (const piece of source) {
          md5.update(piece)
          hash.update(piece)
          sizeBytes += piece.length
          yield piece
        }
      },
      createWriteStream(file),
    )
    const signed = request.headers['x-amz-content-sha256']
    if (signed !== 'UNSIGNED-PAYLOAD' && signed !== hash.digest('hex'))
      throw new Refused(400, 'XAmzContentSHA256Mismatch')
    return { file, etag: `"${md5.digest('hex')}"`, sizeBytes }
  }

  const textOf = async (request: IncomingMessage): Promise<string> => {
    let text = ''
    for await (const piece of request) text += String(piece)
    return text
  }

  const forget = async (parts: Iterable<Part>) => {
    for (const { file } of parts) await rm(file, { force: true })
  }
  const store = async (key: string, parts: Part[]): Promise<StoredObject> => {
    const old = objects.get(key)
    const object = {
      parts,
      etag: (parts[0] as Part).etag,
      sizeBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0),
    }
    objects.set(key, object)
    if (old !== undefined) await forget(old.parts)
    return object
  }

  const xml = (response: ServerResponse, status: number, body: string) =>
    response
      .writeHead(status, { 'content-type': 'application/xml' })
      .end(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`)

  const send = async (response: ServerResponse, object: StoredObject, header: string | undefined, isHead: boolean) => {
    const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? '')
    const start = match === null ? 0 : Number(match[1])
    const end = match?.[2] ? Math.min(Number(match[2]), object.sizeBytes - 1) : object.sizeBytes - 1
    if (match !== null && start >= object.sizeBytes) throw new Refused(416, 'InvalidRange')
    response.writeHead(match === null ? 200 : 206, {
      'content-length': end - start + 1,
      etag: object.etag,
      'accept-ranges': 'bytes',
      'last-modified': new Date().toUTCString(),
      ...(match === null ? {} : { 'content-range': `bytes ${start}-${end}/${object.sizeBytes}` }),
    })
    if (!isHead) {
      const pieces = async function* () {
        let at = 0
        for (const { file, sizeBytes } of object.parts) {
          const first = Math.max(0, start - at)
          const last = Math.min(sizeBytes - 1, end - at)
          if (first <= last) yield* createReadStream(file, { start: first, end: last })
          at += sizeBytes
        }
      }
      await pipeline(pieces, response)
      return
    }
    response.end()
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url as string, 'http://s3')
    const { method } = request
    const query = url.searchParams
    const kind = query.has('uploads')
      ? ' uploads'
      : query.has('partNumber')
        ? ' part'
        : query.has('uploadId')
          ? ' upload'
          : query.has('list-type')
            ? ' list'
            : ''
    calls.push(`${method}${kind}`)
    checkSignature(request, url)
    if (failure !== undefined) {
      const status = failure
      failure = undefined
      throw new Refused(status, 'SlowDown')
    }
    const [, pathBucket, ...rest] = url.pathname.split('/').map(decodeURIComponent)
    const key = rest.join('/')
    if (pathBucket !== bucket) throw new Refused(404, 'NoSuchBucket')

    const pending = () => {
      const upload = uploads.get(query.get('uploadId') ?? '')
      if (upload?.key !== key) throw new Refused(404, 'NoSuchUpload')
      return upload
    }
    switch (`${method}${kind}`) {
      case 'PUT': {
        const object = await store(key, [await receive(request)])
        response.writeHead(200, { etag: object.etag }).end()
        return
      }
      case 'POST uploads': {
        const id = randomUUID()
        uploads.set(id, { key, parts: new Map(), initiatedAt: new Date() })
        xml(
          response,
          200,
          `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${key}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        )
        return
      }
      case 'PUT part': {
        const { parts } = pending()
        const part = await receive(request)
        parts.set(Number(query.get('partNumber')), part)
        response.writeHead(200, { etag: part.etag }).end()
        return
      }
      case 'POST upload': {
        const upload = pending()
        const named = [...(await textOf(request)).matchAll(/<Part>.*?<\/Part>/gs)].map(([text]) => ({
          number: Number(/<PartNumber>(\d+)</.exec(text)?.[1]),
          etag: /<ETag>(?:"|&quot;)?([0-9a-f]+)(?:"|&quot;)?</.exec(text)?.[1],
        }))
        const parts = named.map(({ number, etag }) => {
          const part = upload.parts.get(number)
          if (part?.etag !== `"${etag}"`) throw new Refused(400, 'InvalidPart')
          return part
        })
        if (parts.slice(0, -1).some(({ sizeBytes }) => sizeBytes < SMALLEST_PART))
          throw new Refused(400, 'EntityTooSmall')
        if (named.some(({ number }, i) => i > 0 && number <= (named[i - 1]?.number ?? 0)))
          throw new Refused(400, 'InvalidPartOrder')
        uploads.delete(query.get('uploadId') as string)
        const { etag } = await store(key, parts)
        xml(
          response,
          200,
          `<CompleteMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${key}</Key><ETag>${etag}</ETag></CompleteMultipartUploadResult>`,
        )
        return
      }
      case 'DELETE upload': {
        const { parts } = pending()
        uploads.delete(query.get('uploadId') as string)
        await forget(parts.values())
        response.writeHead(204).end()
        return
      }
      case 'GET uploads': {
        const items = [...uploads].map(
          ([id, upload]) =>
            `<Upload><Key>${upload.key}</Key><UploadId>${id}</UploadId><Initiated>${upload.initiatedAt.toISOString()}</Initiated></Upload>`,
        )
        xml(
          response,
          200,
          `<ListMultipartUploadsResult><Bucket>${bucket}</Bucket><IsTruncated>false</IsTruncated>${items.join('')}</ListMultipartUploadsResult>`,
        )
        return
      }
      case 'GET list': {
        const prefix = query.get('prefix') ?? ''
        const items = [...objects]
          .filter(([name]) => name.startsWith(prefix))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(
            ([name, { sizeBytes, etag }]) =>
              `<Contents><Key>${name}</Key><Size>${sizeBytes}</Size><ETag>${etag}</ETag></Contents>`,
          )
        xml(
          response,
          200,
          `<ListBucketResult><Name>${bucket}</Name><KeyCount>${items.length}</KeyCount><IsTruncated>false</IsTruncated>${items.join('')}</ListBucketResult>`,
        )
        return
      }
      case 'GET':
      case 'HEAD': {
        const object = objects.get(key)
        if (object === undefined) throw new Refused(404, method === 'HEAD' ? 'NotFound' : 'NoSuchKey')
        await send(response, object, request.headers.range, method === 'HEAD')
        return
      }
      case 'DELETE': {
        const object = objects.get(key)
        objects.delete(key)
        if (object !== undefined) await forget(object.parts)
        response.writeHead(204).end()
        return
      }
      default:
        throw new Refused(501, 'NotImplemented')
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) return response.destroy()
      const { status, s3Code } = error instanceof Refused ? error : { status: 500, s3Code: 'InternalError' }
      if (request.method === 'HEAD') response.writeHead(status).end()
      else xml(response, status, `<Error><Code>${s3Code}</Code><Message>${s3Code}</Message></Error>`)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    credentials,
    region,
    calls,
    keys: () => [...objects.keys()],
    openUploads: () => uploads.size,
    failNext: (status) => {
      failure = status
    },
    stop: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      await rm(folder, { recursive: true, force: true })
    },
  }
}
