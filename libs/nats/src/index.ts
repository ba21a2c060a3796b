export { type CommandOutcomes, createCommandOutcomes, type ExpectedOutcome } from './command-outcomes.ts'
export {
  connectNats,
  type Headers,
  type Nats,
  type NatsLog,
  type NatsOptions,
  NatsRequestFailed,
  NatsUnreachable,
  type Request,
} from './connection.ts'
export * from './consumer.ts'
export * from './consumer-pause.ts'
export * from './dead-letter-redrive.ts'
export * from './dead-letter-views.ts'
export * from './dead-letters.ts'
export * from './kv.ts'
export * from './leases.ts'
export * from './log-age.ts'
export * from './log-trim.ts'
export * from './object-store.ts'
export * from './outcome.ts'
export * from './permissions.ts'
export * from './publisher.ts'
export * from './stream-lookup.ts'
export * from './stream-reader.ts'
export * from './stream-report.ts'
export * from './stream-subjects.ts'
export * from './topology.ts'
