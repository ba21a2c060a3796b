import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { GatewayError } from '@cloudapi2/contracts'
import type { Content, MediaStore } from './media-store.ts'

export interface S3Options {
  bucket: string
  /** Undefined: Amazon's for the region. */
  endpoint: string | undefined
  region: string
  /** Undefined: wherever Amazon's SDK finds some (environment, instance, container). */
  credentials: { accessKeyId: string; secretAccessKey: string } | undefined
  forcePathStyle: boolean
}

/** S3 did not answer, or refused. */
export class S3Unavailable extends GatewayError {
  constructor(operation: string, cause: unknown) {
    super(`S3 ${operation}: ${cause instanceof Error ? cause.name : 'failed'}`, {
      code: 'S3_UNAVAILABLE',
      retryable: true,
      cause,
    })
  }
}

/** The smallest part there may be; two of them are in memory. */
const PART_BYTES = 5 * 1_024 * 1_024
const PARTS_IN_FLIGHT = 1
const CONNECT_TIMEOUT_MS = 5_000
/** Of silence. */
const REQUEST_TIMEOUT_MS = 30_000

const isMissing = (error: unknown): boolean =>
  error instanceof S3ServiceException &&
  (error.name === 'NoSuchKey' || error.name === 'NotFound' || error.$metadata.httpStatusCode === 404)

/** Passes the source on, and remembers what it was as a whole, or the error it ended with. */
const measured = (source: AsyncIterable<Uint8Array>, check: (content: Content) => void) => {
  const hash = createHash('sha256')
  let sizeBytes = 0
  let content: Content | undefined
  let failure: { error: unknown } | undefined
  const pass = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of source) {
        hash.update(piece)
        sizeBytes += piece.length
        yield piece
      }
      content = { sizeBytes, sha256: hash.digest('hex') }
      // Before the end of the body is known the upload cannot be completed: what is refused here never becomes visible.
      check(content)
    } catch (error) {
      failure = { error }
      throw error
    }
  }
  return { pass, content: () => content, failure: () => failure }
}

/** Files in a bucket of S3, or of anything that speaks its protocol. */
export const s3Store = ({ bucket, endpoint, region, credentials, forcePathStyle }: S3Options): MediaStore => {
  const client = new S3Client({
    region,
    forcePathStyle,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
    // The checksums that the SDK adds by itself are refused by other stores than Amazon's.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const at = (key: string) => ({ Bucket: bucket, Key: key })

  return {
    put: async (key, source, check = () => {}) => {
      const { pass, content, failure } = measured(source, check)
      const upload = new Upload({
        client,
        // What it is served as stands in the index; this keeps it harmless should the bucket ever be public.
        params: { ...at(key), Body: Readable.from(pass()), ContentType: 'application/octet-stream' },
        partSize: PART_BYTES,
        queueSize: PARTS_IN_FLIGHT,
      })
      try {
        await upload.done()
      } catch (cause) {
        const failed = failure()
        if (failed !== undefined) throw failed.error
        throw new S3Unavailable('put', cause)
      }
      return content() as Content
    },

    head: async (key) => {
      try {
        const { ContentLength = 0 } = await client.send(new HeadObjectCommand(at(key)))
        return { sizeBytes: ContentLength }
      } catch (error) {
        if (isMissing(error)) return undefined
        throw new S3Unavailable('head', error)
      }
    },

    get: async (key, range) => {
      try {
        const { Body } = await client.send(
          new GetObjectCommand({
            ...at(key),
            ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }),
          }),
        )
        return Body as Readable
      } catch (error) {
        if (isMissing(error)) return undefined
        throw new S3Unavailable('get', error)
      }
    },

    delete: async (key) => {
      try {
        await client.send(new DeleteObjectCommand(at(key)))
      } catch (error) {
        if (!isMissing(error)) throw new S3Unavailable('delete', error)
      }
    },

    sweep: async (olderThanMs) => {
      let swept = 0
      let marker: { KeyMarker?: string; UploadIdMarker?: string } = {}
      try {
        for (;;) {
          const page = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, ...marker }))
          for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
            if (Key === undefined || UploadId === undefined || Initiated === undefined) continue
            if (Date.now() - Initiated.getTime() < olderThanMs) continue
            await client.send(new AbortMultipartUploadCommand({ ...at(Key), UploadId }))
            swept += 1
          }
          if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return swept
          marker = {
            KeyMarker: page.NextKeyMarker,
            ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
          }
        }
      } catch (cause) {
        throw new S3Unavailable('sweep', cause)
      }
    },

    close: async () => client.destroy(),
  }
}
