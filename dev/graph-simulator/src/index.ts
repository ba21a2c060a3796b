export { buildSimulator, type SimulatorOptions } from './app.ts'
export { ConfigError, SimulationRefused } from './errors.ts'
export type { TenantInput } from './tenants.ts'
export { TEST_RECIPIENTS } from './test-recipient.ts'
