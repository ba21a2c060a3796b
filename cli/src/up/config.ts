import {
  adminToken,
  databaseUrl,
  eventStoreUrl,
  flag,
  natsUrl,
  port,
  readEnvironment,
  TOPOLOGY_ENVIRONMENT,
  topologyOf,
} from '@cloudapi2/service-kit'
import { z } from 'zod'

const Environment = z.object({
  WEBHOOK_GATEWAY_PORT: port().optional(),
  SENDER_PORT: port().optional(),
  TENANT_CONFIG_PORT: port().optional(),
  PROJECTOR_PORT: port().optional(),
  MEDIA_PORT: port().optional(),
  ARCHIVER_PORT: port().optional(),
  GRAPH_SIMULATOR_PORT: port().optional(),
  EMBEDDED_NATS_PORT: port().optional(),
  EMBEDDED_POSTGRES_PORT: port().optional(),
  NATS_URL: natsUrl().optional(),
  DATABASE_URL: databaseUrl().optional(),
  /** Handed on to the archiver; here so that a fault in it is told before anything has started. */
  EVENTSTORE_URL: eventStoreUrl().optional(),
  GRAPH_BASE_URL: z.url({ protocol: /^https?$/ }).optional(),
  DATA_DIR: z.string().default('.data'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  ADMIN_TOKEN: adminToken(),
  SECRETS_KEYS: z.string().optional(),
  DEMO_TRAFFIC: flag().default(true),
  ...TOPOLOGY_ENVIRONMENT,
})

/** The ports of everything `up` runs, with the variable that sets each and its default. */
export const PORTS = {
  webhook_gateway: { variable: 'WEBHOOK_GATEWAY_PORT', standard: 8080 },
  sender: { variable: 'SENDER_PORT', standard: 8081 },
  tenant_config: { variable: 'TENANT_CONFIG_PORT', standard: 8082 },
  projector: { variable: 'PROJECTOR_PORT', standard: 8083 },
  media: { variable: 'MEDIA_PORT', standard: 8084 },
  archiver: { variable: 'ARCHIVER_PORT', standard: 8085 },
  graph_simulator: { variable: 'GRAPH_SIMULATOR_PORT', standard: 8089 },
  nats: { variable: 'EMBEDDED_NATS_PORT', standard: 4222 },
  postgres: { variable: 'EMBEDDED_POSTGRES_PORT', standard: 5432 },
} as const
export type PortName = keyof typeof PORTS

/** Reads the environment once. @throws ConfigError naming every bad variable and none of their values */
export const parseConfig = (env: NodeJS.ProcessEnv) => {
  const e = readEnvironment(Environment, env)
  const ports = Object.fromEntries(
    Object.entries(PORTS).map(([name, { variable, standard }]) => {
      const wanted = e[variable]
      return [name, { name: variable, wanted: wanted ?? standard, explicit: wanted !== undefined }]
    }),
  ) as Record<PortName, { name: string; wanted: number; explicit: boolean }>
  return {
    ports,
    natsUrl: e.NATS_URL,
    databaseUrl: e.DATABASE_URL,
    eventstoreUrl: e.EVENTSTORE_URL,
    graphBaseUrl: e.GRAPH_BASE_URL,
    dataDir: e.DATA_DIR,
    logLevel: e.LOG_LEVEL,
    adminToken: e.ADMIN_TOKEN,
    secretsKeys: e.SECRETS_KEYS,
    demoTraffic: e.DEMO_TRAFFIC,
    topology: topologyOf(e),
  }
}
export type UpConfig = ReturnType<typeof parseConfig>
