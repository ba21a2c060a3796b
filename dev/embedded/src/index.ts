/**
 * nats-server and PostgreSQL from npm packages, started and watched; a supervisor for child processes; ports and the
 * lock of the data folder. For `cloudapi up` and for tests.
 */
export * from './child-process.client.ts'
export * from './data-dir.store.ts'
export * from './nats-server.client.ts'
export * from './nats-server-config.ts'
export * from './ports.client.ts'
export * from './postgres.client.ts'
export { type PostgresBinaries, resolvePostgres } from './postgres-binaries.client.ts'
export * from './process-identity.client.ts'
export * from './supervisor.client.ts'
export * from './testing.ts'
