import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { handleServerStreamingCall, ServerWritableStream, ServiceError } from '@grpc/grpc-js'
import { type EventFilter, matcherOf } from './event-filter.ts'
import type { EventStore } from './event-store.ts'
import type { FaultState } from './faults.ts'
import { invalidArgument, streamDeleted, unavailable } from './grpc-errors.ts'
import type { OpenCalls } from './open-calls.ts'
import { streamNameOf } from './proposed-message.ts'
import { shared, streams } from './protocol.ts'
import { allIndexOf, type Direction, isVisible, type Start, streamIndexOf, subscriptionIndexOf } from './read-plan.ts'
import { DELETED_REVISION, DELETED_REVISION_TEXT, type RecordedEvent } from './recorded-event.ts'

export interface ReadDeps {
  store: EventStore
  faults: FaultState
  openCalls: OpenCalls
  now: () => number
  /** Calls back after each write, until the returned function is called. */
  onWritten: (listener: () => void) => () => void
}

type ReadCall = ServerWritableStream<streams.ReadReq, streams.ReadResp>

/** Read: a stream or `$all`, forwards or backwards, to its end or, as a subscription, for ever. */
export const readRoute =
  (deps: ReadDeps): handleServerStreamingCall<streams.ReadReq, streams.ReadResp> =>
  (call) => {
    const reader = readerOf(call, deps)
    if (deps.faults.isUnavailable()) return reader.fail(unavailable('the server is away'))
    const request = parseRequest(call.request)
    if (request === undefined) return reader.fail(invalidArgument('this combination of read options is invalid'))
    const answering = request.isSubscription ? subscribe(deps, reader, request) : readToEnd(deps, reader, request)
    answering.then(reader.end, (error: ServiceError) => reader.fail(error))
  }

interface ReadRequest {
  /** Left out: `$all`. */
  stream?: string
  from: Start
  direction: Direction
  /** At most so many. */
  count: number
  isSubscription: boolean
  filter?: EventFilter
  /** With a filter: a checkpoint after so many events looked at. */
  checkpointInterval: number
}

const readToEnd = async (deps: ReadDeps, reader: Reader, request: ReadRequest): Promise<void> => {
  await delayed(deps)
  const { stream, from, direction } = request
  const { store } = deps
  if (stream !== undefined) {
    if (store.isTombstoned(stream)) throw streamDeleted(stream)
    if (!store.exists(stream) || store.isSoftDeleted(stream)) return await reader.send(notFound(stream))
  }
  const events = stream === undefined ? store.all : store.eventsOf(stream)
  const isWanted = stream === undefined ? matches(request) : isVisible(store, stream, deps.now())
  const step = direction === 'forwards' ? 1 : -1
  const end = direction === 'forwards' ? events.length : -1 // what is written from now on is not read
  let index = stream === undefined ? allIndexOf(from, direction, events) : streamIndexOf(from, direction, events.length)
  for (let sent = 0; sent < request.count && index * step < end * step && !reader.isOver(); index += step) {
    const event = events[index]
    if (event === undefined || !isWanted(event)) continue
    await reader.send(eventResponse(event))
    sent += 1
  }
}

const subscribe = async (deps: ReadDeps, reader: Reader, request: ReadRequest): Promise<void> => {
  const { stream, from, filter, checkpointInterval } = request
  const { store } = deps
  await delayed(deps)
  const events = () => (stream === undefined ? store.all : store.eventsOf(stream))
  const isMatch = matches(request)
  let index = subscriptionIndexOf(from, events(), stream === undefined ? 'all' : 'stream')
  await reader.send(confirmation())

  let sinceCheckpoint = 0
  let wasCaughtUp = false
  while (!reader.isOver()) {
    if (stream !== undefined && store.isTombstoned(stream)) throw streamDeleted(stream)
    const isWanted = stream === undefined ? isMatch : isVisible(store, stream, deps.now())
    for (const source = events(); index < source.length && !reader.isOver(); index += 1) {
      const event = source[index]
      if (event === undefined) break
      if (isWanted(event)) await reader.send(eventResponse(event))
      sinceCheckpoint += 1
      if (filter !== undefined && sinceCheckpoint >= checkpointInterval) {
        sinceCheckpoint = 0
        await reader.send(checkpoint(event.position))
      }
    }
    if (!wasCaughtUp) await reader.send(new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp()))
    wasCaughtUp = true
    // Asked again in the same breath: a write between the two would be waited for in vain.
    if (index >= events().length && !(stream !== undefined && store.isTombstoned(stream))) await reader.written()
  }
}

/** What a call gives: messages as fast as the client takes them, the end or an error once. */
const readerOf = (call: ReadCall, { openCalls, onWritten }: ReadDeps) => {
  let isOver = false
  let wake: (() => void) | undefined
  const finish = () => {
    isOver = true
    forget()
    wake?.()
  }
  const fail = (error: ServiceError): void => {
    if (isOver) return
    finish()
    call.emit('error', error)
  }
  const forget = openCalls.add(fail)
  call.on('cancelled', finish)
  call.on('drain', () => wake?.())

  const woken = () =>
    new Promise<void>((resolve) => {
      wake = () => {
        wake = undefined
        resolve()
      }
    })
  return {
    isOver: () => isOver,
    send: async (message: streams.ReadResp): Promise<void> => {
      if (isOver || call.write(message)) return
      await woken()
    },
    written: async (): Promise<void> => {
      const stop = onWritten(() => wake?.())
      await woken()
      stop()
    },
    fail,
    end: (): void => {
      if (isOver) return
      finish()
      call.end()
    },
  }
}
type Reader = ReturnType<typeof readerOf>

const delayed = async ({ faults }: ReadDeps): Promise<void> => {
  const delayMs = faults.delayMs()
  if (delayMs > 0) await wait(delayMs, undefined, { ref: false })
}

const matches = ({ filter }: ReadRequest): ((event: RecordedEvent) => boolean) =>
  filter === undefined ? () => true : matcherOf(filter)

// A filter without a window of its own looks at pages of this many events.
const DEFAULT_WINDOW = 32

const parseRequest = (request: streams.ReadReq): ReadRequest | undefined => {
  const options = request.getOptions()
  const ofStream = options?.getStream()
  const ofAll = options?.getAll()
  if (options === undefined || (ofStream === undefined && ofAll === undefined)) return undefined
  const isSubscription = options.hasSubscription()
  const direction =
    options.getReadDirection() === streams.ReadReq.Options.ReadDirection.BACKWARDS ? 'backwards' : 'forwards'
  if (isSubscription && direction === 'backwards') return undefined
  const filterOptions = options.getFilter()
  const filter = filterOptions === undefined ? undefined : parseFilter(filterOptions)
  if (filterOptions !== undefined && (filter === undefined || ofAll === undefined)) return undefined
  const windowSize = filterOptions?.hasMax() ? filterOptions.getMax() : DEFAULT_WINDOW
  const start: Start =
    ofStream !== undefined
      ? ofStream.hasRevision()
        ? Number(ofStream.getRevision())
        : ofStream.hasEnd()
          ? 'end'
          : 'start'
      : ofAll?.hasPosition()
        ? Number(ofAll.getPosition()?.getCommitPosition())
        : ofAll?.hasEnd()
          ? 'end'
          : 'start'
  return {
    ...(ofStream !== undefined && { stream: streamNameOf(ofStream.getStreamIdentifier()) }),
    from: start,
    direction,
    count: Number(options.getCount()),
    isSubscription,
    ...(filter !== undefined && { filter }),
    checkpointInterval: windowSize * Math.max(1, filterOptions?.getCheckpointintervalmultiplier() ?? 1),
  }
}

const parseFilter = (options: streams.ReadReq.Options.FilterOptions): EventFilter | undefined => {
  const expression = options.getStreamIdentifier() ?? options.getEventType()
  if (expression === undefined) return undefined
  const on = options.hasStreamIdentifier() ? 'stream' : 'type'
  const regex = expression.getRegex()
  return regex === '' ? { on, prefixes: expression.getPrefixList() } : { on, regex }
}

const eventResponse = (event: RecordedEvent): streams.ReadResp => {
  const position = String(event.position)
  const recorded = new streams.ReadResp.ReadEvent.RecordedEvent()
    .setId(new shared.UUID().setString(event.id))
    .setStreamIdentifier(new shared.StreamIdentifier().setStreamName(Buffer.from(event.stream)))
    .setStreamRevision(event.revision === DELETED_REVISION ? DELETED_REVISION_TEXT : String(event.revision))
    .setCommitPosition(position)
    .setPreparePosition(position)
    .setData(event.data)
    .setCustomMetadata(event.metadata)
  recorded
    .getMetadataMap()
    .set('type', event.type)
    .set('created', `${event.created}0000`) // in ticks, 10,000 to a millisecond
    .set('content-type', event.contentType)
  return new streams.ReadResp().setEvent(
    new streams.ReadResp.ReadEvent().setEvent(recorded).setCommitPosition(position),
  )
}

const notFound = (stream: string): streams.ReadResp =>
  new streams.ReadResp().setStreamNotFound(
    new streams.ReadResp.StreamNotFound().setStreamIdentifier(
      new shared.StreamIdentifier().setStreamName(Buffer.from(stream)),
    ),
  )

const confirmation = (): streams.ReadResp =>
  new streams.ReadResp().setConfirmation(
    new streams.ReadResp.SubscriptionConfirmation().setSubscriptionId(randomUUID()),
  )

const checkpoint = (position: number): streams.ReadResp =>
  new streams.ReadResp().setCheckpoint(
    new streams.ReadResp.Checkpoint().setCommitPosition(String(position)).setPreparePosition(String(position)),
  )
