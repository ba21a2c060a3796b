import { setTimeout as wait } from 'node:timers/promises'
import type { handleUnaryCall, ServiceError } from '@grpc/grpc-js'
import { answerOnce, type WriteDeps } from './append.routes.ts'
import { streamDeleted, unavailable, wrongExpectedVersion } from './grpc-errors.ts'
import { expectedOf, streamNameOf } from './proposed-message.ts'
import { shared, streams } from './protocol.ts'
import type { ExpectedRevision } from './recorded-event.ts'

/** Delete: the stream is gone for readers, and begins anew with the revision after its last when it is written to. */
export const deleteRoute = (deps: WriteDeps): handleUnaryCall<streams.DeleteReq, streams.DeleteResp> =>
  deletion(deps, false, (position) => {
    const response = new streams.DeleteResp()
    return position === undefined
      ? response.setNoPosition(new shared.Empty())
      : response.setPosition(new streams.DeleteResp.Position().setCommitPosition(position).setPreparePosition(position))
  })

/** Tombstone: the stream is gone for good. */
export const tombstoneRoute = (deps: WriteDeps): handleUnaryCall<streams.TombstoneReq, streams.TombstoneResp> =>
  deletion(deps, true, (position) => {
    const response = new streams.TombstoneResp()
    return position === undefined
      ? response.setNoPosition(new shared.Empty())
      : response.setPosition(
          new streams.TombstoneResp.Position().setCommitPosition(position).setPreparePosition(position),
        )
  })

const deletion =
  <Req extends streams.DeleteReq | streams.TombstoneReq, Resp>(
    deps: WriteDeps,
    isFinal: boolean,
    responseAt: (position: string | undefined) => Resp,
  ): handleUnaryCall<Req, Resp> =>
  (call, callback) => {
    const answer = answerOnce(deps, callback)
    if (answer.isGiven()) return
    deleteStream(deps, requestOf(call.request.getOptions(), isFinal)).then(
      (position) => answer(null, responseAt(position)),
      (error: ServiceError) => answer(error),
    )
  }

interface Deletion {
  stream: string
  expected: ExpectedRevision
  isFinal: boolean
}

const requestOf = (
  options: streams.DeleteReq.Options | streams.TombstoneReq.Options | undefined,
  isFinal: boolean,
): Deletion => ({
  stream: streamNameOf(options?.getStreamIdentifier()),
  expected: options === undefined ? 'any' : expectedOf(options, () => options.getRevision()),
  isFinal,
})

/** @returns the commit position, if anything was written */
const deleteStream = async ({ writer, faults }: WriteDeps, request: Deletion): Promise<string | undefined> => {
  const isDropped = faults.dropsReply()
  const answer = writer.delete(request)
  if (isDropped) throw unavailable('the connection was cut')
  const delayMs = faults.delayMs()
  if (delayMs > 0) await wait(delayMs, undefined, { ref: false })
  switch (answer.outcome) {
    case 'written':
      return answer.position?.toString()
    case 'stream deleted':
      throw streamDeleted(request.stream)
    case 'wrong expected revision':
      throw wrongExpectedVersion(request.stream, request.expected, answer.current)
  }
}
