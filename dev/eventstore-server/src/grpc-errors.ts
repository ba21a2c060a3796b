import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import type { ExpectedRevision } from './recorded-event.ts'

// Codes, texts and trailers as the real server has them: the client tells errors apart by the trailer `exception`.
const rpcError = (code: status, details: string, trailers: Record<string, string> = {}): ServiceError => {
  const metadata = new Metadata()
  // Header values are ASCII; a stream's name need not be.
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, value.replace(/[^\x20-\x7e]/g, '?'))
  return Object.assign(new Error(details), { name: 'ServiceError', code, details, metadata })
}

export const unavailable = (details: string): ServiceError => rpcError(status.UNAVAILABLE, details)

export const invalidArgument = (details: string): ServiceError => rpcError(status.INVALID_ARGUMENT, details)

export const streamDeleted = (stream: string): ServiceError =>
  rpcError(status.FAILED_PRECONDITION, `Event stream '${stream}' is deleted.`, {
    exception: 'stream-deleted',
    'stream-name': stream,
  })

export const maximumAppendSizeExceeded = (maxAppendSize: number): ServiceError =>
  rpcError(status.INVALID_ARGUMENT, `Maximum Append Size of ${maxAppendSize} Exceeded.`, {
    exception: 'maximum-append-size-exceeded',
    'maximum-append-size': String(maxAppendSize),
  })

export const missingMetadata = (property: string): ServiceError =>
  rpcError(status.INVALID_ARGUMENT, `Required Metadata Property '${property}' is missing`, {
    exception: 'missing-required-metadata-property',
    'required-metadata-properties': 'type,content-type',
  })

const EXPECTED_VERSION = { any: -2, no_stream: -1, stream_exists: -4 } as const

export const wrongExpectedVersion = (stream: string, expected: ExpectedRevision, current: number): ServiceError => {
  const version = typeof expected === 'number' ? expected : EXPECTED_VERSION[expected]
  return rpcError(
    status.FAILED_PRECONDITION,
    `Delete failed due to WrongExpectedVersion. Stream: ${stream}, Expected version: ${version}, Actual version: ${current}`,
    {
      exception: 'wrong-expected-version',
      'stream-name': stream,
      'expected-version': String(version),
      'actual-version': String(current),
    },
  )
}
