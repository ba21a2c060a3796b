import { missingMetadata } from './grpc-errors.ts'
import type { shared, streams } from './protocol.ts'
import type { ExpectedRevision, ProposedEvent } from './recorded-event.ts'

type ProposedMessage = InstanceType<
  typeof streams.AppendReq.ProposedMessage | typeof streams.BatchAppendReq.ProposedMessage
>

/** @throws a gRPC error when the type or the content type is missing */
export const toProposedEvent = (message: ProposedMessage): ProposedEvent => {
  const type = message.getMetadataMap().get('type')
  const contentType = message.getMetadataMap().get('content-type')
  if (type === undefined) throw missingMetadata('type')
  if (contentType === undefined) throw missingMetadata('content-type')
  return {
    id: uuidOf(message.getId()),
    type,
    contentType: contentType === 'application/json' ? contentType : 'application/octet-stream',
    data: message.getData_asU8(),
    metadata: message.getCustomMetadata_asU8(),
  }
}

/** A UUID comes as text or as two 64-bit numbers. */
export const uuidOf = (uuid: InstanceType<typeof shared.UUID> | undefined): string => {
  const structured = uuid?.getStructured()
  if (structured === undefined) return uuid?.getString() ?? ''
  const half = (bits: string) => BigInt.asUintN(64, BigInt(bits)).toString(16).padStart(16, '0')
  const hex = half(structured.getMostSignificantBits()) + half(structured.getLeastSignificantBits())
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

export const streamNameOf = (identifier: InstanceType<typeof shared.StreamIdentifier> | undefined): string =>
  Buffer.from(identifier?.getStreamName_asU8() ?? new Uint8Array()).toString('utf8')

/** Any of the requests that carry an expectation; the batch names its revision otherwise. */
export const expectedOf = (
  options: { hasAny: () => boolean; hasNoStream: () => boolean; hasStreamExists: () => boolean },
  revision: () => string,
): ExpectedRevision => {
  if (options.hasAny()) return 'any'
  if (options.hasNoStream()) return 'no_stream'
  if (options.hasStreamExists()) return 'stream_exists'
  return Number(revision())
}
