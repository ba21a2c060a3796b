export type { Faults } from './faults.ts'
export { type EventStoreServer, type EventStoreServerOptions, startEventStoreServer } from './server.app.ts'
