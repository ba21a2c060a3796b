export {
  type EventData,
  type EventType,
  GatewayError,
  type GatewayEvent,
  InvalidCommand,
  type InvalidField,
  type SendCommand,
  type SendError,
  type SendOutcome,
} from '@cloudapi2/contracts'
export { NatsUnreachable } from '@cloudapi2/nats'
export { type ClientRights, clientPermissions } from './client-permissions.ts'
export type { Send } from './command.ts'
export * from './errors.ts'
export type { EventSelection, From } from './event-selection.ts'
export type { EventDelivery, EventHandler, EventOf, SubscribeOptions, Subscription } from './events.client.ts'
export { connectGateway, type Gateway, type GatewayOptions } from './gateway.client.ts'
export type { SendOptions, Sent } from './send.client.ts'
