import { setTimeout as wait } from 'node:timers/promises'
import type { handleBidiStreamingCall, handleClientStreamingCall, ServiceError, sendUnaryData } from '@grpc/grpc-js'
import { sizeOf } from './event-store.ts'
import type { FaultState } from './faults.ts'
import { maximumAppendSizeExceeded, streamDeleted, unavailable } from './grpc-errors.ts'
import type { OpenCalls } from './open-calls.ts'
import { expectedOf, streamNameOf, toProposedEvent, uuidOf } from './proposed-message.ts'
import { any, code, empty, shared, status, streams } from './protocol.ts'
import type { ExpectedRevision, ProposedEvent } from './recorded-event.ts'
import type { WriteAnswer, Writer } from './writer.ts'

export interface WriteDeps {
  writer: Writer
  faults: FaultState
  openCalls: OpenCalls
  maxAppendSize: number
  now: () => number
}

interface Append {
  stream: string
  expected: ExpectedRevision
  events: ProposedEvent[]
  sizeBytes: number
}

/** Append: one call, one write. The client uses it for calls with credentials, and with servers that know no batches. */
export const appendRoute =
  (deps: WriteDeps): handleClientStreamingCall<streams.AppendReq, streams.AppendResp> =>
  (call, callback) => {
    const answer = answerOnce(deps, callback)
    let append: Append | undefined
    call.on('data', (request: streams.AppendReq) => {
      try {
        const options = request.getOptions()
        const message = request.getProposedMessage()
        if (options !== undefined)
          append = newAppend(
            streamNameOf(options.getStreamIdentifier()),
            expectedOf(options, () => options.getRevision()),
          )
        if (message !== undefined && append !== undefined) addEvent(append, toProposedEvent(message))
        if (append !== undefined && append.sizeBytes > deps.maxAppendSize)
          answer(maximumAppendSizeExceeded(deps.maxAppendSize))
      } catch (error) {
        answer(error as ServiceError)
      }
    })
    call.on('end', () => {
      if (append === undefined || call.cancelled || answer.isGiven()) return
      const { stream, expected } = append
      void write(deps, append).then(
        (result) => {
          if (result.outcome === 'stream deleted') answer(streamDeleted(stream))
          else answer(null, appendResponse(expected, result))
        },
        (error: ServiceError) => answer(error),
      )
    })
  }

/** BatchAppend: one call for as long as the client lives, a write whenever a request says it is the last of its kind. */
export const batchAppendRoute =
  (deps: WriteDeps): handleBidiStreamingCall<streams.BatchAppendReq, streams.BatchAppendResp> =>
  (call) => {
    const pending = new Map<string, Append & { deadline: number }>()
    let isOver = false
    const forget = deps.openCalls.add((error) => cut(error))
    const end = () => {
      isOver = true
      forget()
    }
    const cut = (error: ServiceError) => {
      if (isOver) return
      end()
      call.emit('error', error)
    }
    call.on('cancelled', end)
    call.on('end', () => {
      end()
      call.end()
    })
    if (deps.faults.isUnavailable()) return cut(unavailable('the server is away'))

    call.on('data', (request: streams.BatchAppendReq) => {
      if (isOver) return
      const id = uuidOf(request.getCorrelationId())
      const reply = (stream: string, content: BatchContent) => {
        if (!isOver) call.write(batchResponse(request.getCorrelationId(), stream, content))
      }
      try {
        const options = request.getOptions()
        if (options !== undefined)
          pending.set(id, {
            ...newAppend(
              streamNameOf(options.getStreamIdentifier()),
              expectedOf(options, () => options.getStreamPosition()),
            ),
            deadline: options.getDeadline()?.toDate().getTime() ?? Number.POSITIVE_INFINITY,
          })
        const append = pending.get(id)
        if (append === undefined) return // refused already; the rest of it comes in vain
        for (const message of request.getProposedMessagesList()) addEvent(append, toProposedEvent(message))
        if (append.sizeBytes > deps.maxAppendSize) {
          pending.delete(id)
          return reply(append.stream, maximumSizeStatus(deps.maxAppendSize))
        }
        if (!request.getIsFinal()) return
        pending.delete(id)
        if (deps.now() >= append.deadline) return reply(append.stream, timeoutStatus())
        const timeLeftMs = append.deadline - deps.now()
        const isLate = deps.faults.delayMs() > timeLeftMs
        void write(deps, append, timeLeftMs).then(
          (result) => reply(append.stream, isLate ? timeoutStatus() : batchContent(append, result)),
          (error: ServiceError) => cut(error),
        )
      } catch (error) {
        pending.delete(id)
        reply('', badRequestStatus((error as Error).message))
      }
    })
  }

/** @throws ServiceError when the answer is dropped, or the write could not be kept */
const write = async (deps: WriteDeps, append: Append, longestMs = Number.POSITIVE_INFINITY): Promise<WriteAnswer> => {
  if (deps.faults.isUnavailable()) throw unavailable('the server is away')
  const isDropped = deps.faults.dropsReply()
  const answer = appendOrRefuse(deps, append)
  if (isDropped) throw unavailable('the connection was cut')
  const delayMs = Math.min(deps.faults.delayMs(), longestMs)
  if (delayMs > 0) await wait(delayMs, undefined, { ref: false })
  return answer
}

const appendOrRefuse = (deps: WriteDeps, append: Append): WriteAnswer => {
  try {
    return deps.writer.append(append)
  } catch (error) {
    throw unavailable(`the write could not be kept: ${(error as Error).message}`)
  }
}

const newAppend = (stream: string, expected: ExpectedRevision): Append => ({
  stream,
  expected,
  events: [],
  sizeBytes: 0,
})

const addEvent = (append: Append, event: ProposedEvent): void => {
  append.events.push(event)
  append.sizeBytes += sizeOf(event)
}

/** A callback that is called once, whatever happens, and by a cut too. */
export const answerOnce = <T>(
  { faults, openCalls }: Pick<WriteDeps, 'faults' | 'openCalls'>,
  callback: sendUnaryData<T>,
) => {
  let isGiven = false
  const forget = openCalls.add((error) => answer(error))
  const answer = (error: ServiceError | null, value?: T): void => {
    if (isGiven) return
    isGiven = true
    forget()
    callback(error, value)
  }
  if (faults.isUnavailable()) answer(unavailable('the server is away'))
  return Object.assign(answer, { isGiven: () => isGiven })
}

type Written = Extract<WriteAnswer, { outcome: 'written' }>
type WrongRevision = Extract<WriteAnswer, { outcome: 'wrong expected revision' }>

const appendResponse = (expected: ExpectedRevision, answer: Written | WrongRevision) => {
  const response = new streams.AppendResp()
  if (answer.outcome === 'written') {
    const success = new streams.AppendResp.Success()
    if (answer.revision < 0) success.setNoStream(new shared.Empty())
    else success.setCurrentRevision(String(answer.revision))
    if (answer.position === undefined) success.setNoPosition(new shared.Empty())
    else
      success.setPosition(
        new streams.AppendResp.Position()
          .setCommitPosition(String(answer.position))
          .setPreparePosition(String(answer.position)),
      )
    return response.setSuccess(success)
  }
  const wrong = new streams.AppendResp.WrongExpectedVersion()
  if (answer.current >= 0) wrong.setCurrentRevision(String(answer.current))
  else wrong.setCurrentNoStream(new shared.Empty())
  if (expected === 'any') wrong.setExpectedAny(new shared.Empty())
  else if (expected === 'no_stream') wrong.setExpectedNoStream(new shared.Empty())
  else if (expected === 'stream_exists') wrong.setExpectedStreamExists(new shared.Empty())
  else wrong.setExpectedRevision(String(expected))
  return response.setWrongExpectedVersion(wrong)
}

type BatchContent = streams.BatchAppendResp.Success | status.Status

const batchResponse = (correlationId: shared.UUID | undefined, stream: string, content: BatchContent) => {
  const response = new streams.BatchAppendResp()
    .setCorrelationId(correlationId)
    .setStreamIdentifier(new shared.StreamIdentifier().setStreamName(Buffer.from(stream)))
  return content instanceof status.Status ? response.setError(content) : response.setSuccess(content)
}

const batchContent = (append: Append, answer: WriteAnswer): BatchContent => {
  switch (answer.outcome) {
    case 'written':
      return batchSuccess(answer)
    case 'wrong expected revision':
      return wrongExpectedVersionStatus(append.expected, answer.current)
    case 'stream deleted':
      return streamDeletedStatus(append.stream)
  }
}

const batchSuccess = ({ revision, position }: Written) => {
  const success = new streams.BatchAppendResp.Success()
  if (revision < 0) success.setNoStream(new empty.Empty())
  else success.setCurrentRevision(String(revision))
  if (position === undefined) return success.setNoPosition(new empty.Empty())
  return success.setPosition(
    new shared.AllStreamPosition().setCommitPosition(String(position)).setPreparePosition(String(position)),
  )
}

const statusOf = (
  statusCode: code.Code,
  message: string,
  detail: { serializeBinary: () => Uint8Array },
  type: string,
) => {
  const details = new any.Any()
  details.pack(detail.serializeBinary(), `event_store.client.${type}`)
  return new status.Status().setCode(statusCode).setMessage(message).setDetails(details)
}

const wrongExpectedVersionStatus = (expected: ExpectedRevision, current: number) => {
  const wrong = new shared.WrongExpectedVersion()
  if (current >= 0) wrong.setCurrentStreamRevision(String(current))
  else wrong.setCurrentNoStream(new empty.Empty())
  if (expected === 'any') wrong.setExpectedAny(new empty.Empty())
  else if (expected === 'no_stream') wrong.setExpectedNoStream(new empty.Empty())
  else if (expected === 'stream_exists') wrong.setExpectedStreamExists(new empty.Empty())
  else wrong.setExpectedStreamPosition(String(expected))
  return statusOf(code.Code.FAILED_PRECONDITION, 'Wrong expected version.', wrong, 'WrongExpectedVersion')
}

const streamDeletedStatus = (stream: string) =>
  statusOf(
    code.Code.FAILED_PRECONDITION,
    `Event stream '${stream}' is deleted.`,
    new shared.StreamDeleted().setStreamIdentifier(new shared.StreamIdentifier().setStreamName(Buffer.from(stream))),
    'StreamDeleted',
  )

const maximumSizeStatus = (maxAppendSize: number) =>
  statusOf(
    code.Code.INVALID_ARGUMENT,
    'Maximum Append Size Exceeded.',
    new shared.MaximumAppendSizeExceeded().setMaxappendsize(maxAppendSize),
    'MaximumAppendSizeExceeded',
  )

const timeoutStatus = () => statusOf(code.Code.DEADLINE_EXCEEDED, 'Timeout', new shared.Timeout(), 'Timeout')

const badRequestStatus = (message: string) =>
  statusOf(code.Code.INVALID_ARGUMENT, message, new shared.BadRequest().setMessage(message), 'BadRequest')
