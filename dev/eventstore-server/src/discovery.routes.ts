import { randomUUID } from 'node:crypto'
import type { handleUnaryCall } from '@grpc/grpc-js'
import type { FaultState } from './faults.ts'
import { unavailable } from './grpc-errors.ts'
import { gossip, serverFeatures, shared } from './protocol.ts'

// Of this version on the real server answers as this one does: positions in what is read of a stream, caught-up messages.
const SERVER_VERSION = '24.10.0'
const STREAMS = 'event_store.client.streams.streams'

/** What the server can do; without `batchappend` the client makes a call of every append. */
export const supportedMethodsRoute =
  (
    faults: FaultState,
    { batchAppend }: { batchAppend: boolean },
  ): handleUnaryCall<shared.Empty, serverFeatures.SupportedMethods> =>
  (_call, callback) => {
    if (faults.isUnavailable()) return callback(unavailable('the server is away'))
    const methods = ['append', 'read', 'delete', 'tombstone', ...(batchAppend ? ['batchappend'] : [])]
    callback(
      null,
      new serverFeatures.SupportedMethods()
        .setEventStoreServerVersion(SERVER_VERSION)
        .setMethodsList(
          methods.map((name) => new serverFeatures.SupportedMethod().setServiceName(STREAMS).setMethodName(name)),
        ),
    )
  }

/** A cluster of one: what a client asks for that was given several addresses, or `esdb+discover`. */
export const gossipRoute =
  (
    faults: FaultState,
    address: () => { host: string; port: number },
  ): handleUnaryCall<shared.Empty, gossip.ClusterInfo> =>
  (_call, callback) => {
    if (faults.isUnavailable()) return callback(unavailable('the server is away'))
    const { host, port } = address()
    callback(
      null,
      new gossip.ClusterInfo().setMembersList([
        new gossip.MemberInfo()
          .setInstanceId(new shared.UUID().setString(randomUUID()))
          .setTimeStamp(`${Date.now()}0000`)
          .setState(gossip.MemberInfo.VNodeState.LEADER)
          .setIsAlive(true)
          .setHttpEndPoint(new gossip.EndPoint().setAddress(host).setPort(port)),
      ]),
    )
  }
