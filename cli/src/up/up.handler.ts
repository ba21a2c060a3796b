import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { GatewayError } from '@cloudapi2/contracts'
import {
  choosePort,
  createSupervisor,
  lockDataDir,
  type NatsUser,
  prepareNatsServer,
  preparePostgres,
  resolveNatsServer,
  type SupervisedSpec,
} from '@cloudapi2/embedded'
import {
  applyTopology,
  asServerPermissions,
  BUCKETS,
  COMMANDS,
  connectNats,
  createPublisher,
  EVENTS,
  MEDIA_BUCKET,
  openKv,
  permissions,
  SERVICES,
} from '@cloudapi2/nats'
import { createTenantDirectory, parseSecretsKeys } from '@cloudapi2/tenants'
import { request } from 'undici'
import { banner } from './banner.ts'
import type { PortName, UpConfig } from './config.ts'
import { DEMO } from './demo.ts'
import { seedDemoCompany } from './demo-company.client.ts'
import { startDemoTraffic } from './demo-traffic.client.ts'
import { openLogFiles } from './log-files.store.ts'
import { type Runtime, removeRuntime, writeRuntime } from './runtime-file.store.ts'
import { loadSecrets, type Secrets, saveSecrets } from './secrets.store.ts'
import { mirrorTenants } from './simulator-tenants.client.ts'

/** Most that the embedded server's streams may take on disk and in memory. */
const NATS_MAX_FILE_BYTES = 16 * 1024 ** 3
const NATS_MAX_MEMORY_BYTES = 256 * 1024 ** 2

export interface UpOptions {
  config: UpConfig
  env: NodeJS.ProcessEnv
  print: (text: string) => void
}

export interface Up {
  runtime: Runtime
  stop: () => Promise<void>
}

/**
 * Starts everything on this machine and keeps it running: nats-server and PostgreSQL unless their URLs are given, the
 * Graph simulator unless another Graph is, and every service.
 *
 * @throws GatewayError; whatever had been started is stopped by then
 */
export const up = async ({ config, env, print }: UpOptions): Promise<Up> => {
  const startedAt = performance.now()
  const lock = await lockDataDir(config.dataDir)
  const dataDir = lock.dir
  const notes: string[] = lock.stoppedLeftovers.map((name) => `stopped ${name}, left over from a run that was killed`)
  const toStop: (() => Promise<void> | void)[] = [lock.release]
  const stop = async () => {
    for (const end of toStop.splice(0).reverse()) await end()
  }

  try {
    const logs = openLogFiles(dataDir, (error) => print(`a log file could not be written: ${error.message}`))
    toStop.push(logs.close)
    const log = consoleLog(print, (line) => logs.write('up', line))

    const secrets = await loadSecrets(dataDir)
    const adminToken = config.adminToken ?? secrets.admin_token
    const secretsKeys = config.secretsKeys ?? secrets.secrets_keys

    const port = async (name: PortName): Promise<number> => {
      const choice = await choosePort(config.ports[name])
      if (choice.fellBack)
        notes.push(`port ${config.ports[name].wanted} was taken; ${config.ports[name].name} is ${choice.port}`)
      return choice.port
    }
    const http = async (name: PortName) => {
      const number = await port(name)
      return { port: number, url: `http://127.0.0.1:${number}` }
    }

    const isSimulated = config.graphBaseUrl === undefined
    const tenantConfig = await http('tenant_config')
    const gateway = await http('webhook_gateway')
    const sender = await http('sender')
    const projector = await http('projector')
    const media = await http('media')
    const archiver = await http('archiver')
    const simulator = isSimulated ? await http('graph_simulator') : undefined

    const runtime: Runtime = {
      urls: {
        webhook_gateway: gateway.url,
        sender: sender.url,
        tenant_config: tenantConfig.url,
        projector: projector.url,
        media: media.url,
        archiver: archiver.url,
        ...(simulator === undefined ? {} : { graph_simulator: simulator.url }),
      },
      nats_url: config.natsUrl ?? '',
      database_url: config.databaseUrl ?? '',
      ...(config.eventstoreUrl === undefined ? {} : { eventstore_url: config.eventstoreUrl }),
      admin_token: adminToken,
      pids: {},
    }
    let isRunning = false
    let simulatorPid: number | undefined
    let onSimulatorRestart = () => {}
    const supervisor = createSupervisor({
      log,
      childrenFile: lock.childrenFile,
      onPidChange: (pids) => {
        runtime.pids = pids
        if (isRunning) writeRuntime(dataDir, runtime)
        if (pids['graph-simulator'] !== simulatorPid) {
          simulatorPid = pids['graph-simulator']
          if (simulatorPid !== undefined) onSimulatorRestart()
        }
      },
    })
    toStop.push(supervisor.stopAll)
    const run = (spec: SupervisedSpec) => supervisor.start({ ...spec, onOutput: (line) => logs.write(spec.name, line) })

    // The two stores first, side by side.
    const toStart: Promise<void>[] = []
    const natsUrlFor = await (async () => {
      const { natsUrl } = config
      if (natsUrl !== undefined) return () => natsUrl
      const number = await port('nats')
      const { spec, url } = await prepareNatsServer({
        binary: await resolveNatsServer(env),
        configFile: `${dataDir}/nats-server.conf`,
        host: '127.0.0.1',
        port: number,
        storeDir: `${dataDir}/nats`,
        serverName: 'cloudapi2-embedded',
        users: natsUsers(secrets),
        noAuthUser: DEVELOPER,
        // One node: what is confirmed has been written to disk (docs/adr/0005-fsync-on-a-single-node.md).
        syncAlways: true,
        maxMemoryBytes: NATS_MAX_MEMORY_BYTES,
        maxFileBytes: NATS_MAX_FILE_BYTES,
      })
      const starting = run(spec)
      starting.catch(() => {}) // awaited with the other one, below
      toStart.push(starting)
      runtime.nats_url = url
      return (user: string) =>
        `nats://${user}:${encodeURIComponent(secrets.nats_passwords[user] ?? '')}@127.0.0.1:${number}`
    })()
    if (config.databaseUrl === undefined) {
      const prepared = await preparePostgres({
        dataDir,
        port: await port('postgres'),
        password: secrets.postgres_password,
        env,
      })
      if (prepared.relocated)
        notes.push(`PostgreSQL's data is in ${prepared.clusterDir}: its user cannot reach ${dataDir}`)
      runtime.database_url = prepared.databaseUrl
      toStart.push(run(prepared.spec))
    }
    await Promise.all(toStart)

    const nats = await connectNats({ url: natsUrlFor('operator'), name: 'operator', log })
    toStop.push(() => nats.close())
    await applyTopology(nats, config.topology)

    const service = (
      name: (typeof SERVICES)[number],
      { port: number, url }: { port: number; url: string },
      more = {},
      probe: '/readyz' | '/healthz' = '/readyz',
    ) =>
      run({
        name,
        command: process.execPath,
        args: [programOf(`services/${name}`)],
        env: {
          ...env,
          PORT: String(number),
          HOST: '127.0.0.1',
          LOG_LEVEL: config.logLevel,
          NATS_URL: natsUrlFor(name),
          DATABASE_URL: runtime.database_url,
          ADMIN_TOKEN: adminToken,
          SECRETS_KEYS: secretsKeys,
          ...more,
        },
        stopTimeoutMs: 30_000,
        ready: (signal) => answers(`${url}${probe}`, signal),
      })

    const graphBaseUrl = simulator?.url ?? (config.graphBaseUrl as string)
    await Promise.all([
      service('tenant-config', tenantConfig),
      service('projector', projector),
      service('sender', sender, { GRAPH_BASE_URL: graphBaseUrl }),
      service('webhook-gateway', gateway),
      service('media', media, { GRAPH_BASE_URL: graphBaseUrl }),
      // An archive that is away keeps it from being ready, and nobody else from working.
      service('archiver', archiver, {}, '/healthz'),
      ...(simulator === undefined
        ? []
        : [
            run({
              name: 'graph-simulator',
              command: process.execPath,
              args: [programOf('dev/graph-simulator')],
              env: { ...env, PORT: String(simulator.port), HOST: '127.0.0.1', LOG_LEVEL: config.logLevel },
              ready: (signal) => answers(`${simulator.url}/readyz`, signal),
            }),
          ]),
    ])

    let traffic: string | undefined
    if (simulator !== undefined) {
      const apiKey = await seedDemoCompany({ tenantConfigUrl: tenantConfig.url, adminToken, secrets: secrets.demo })
      if (apiKey !== secrets.demo.api_key)
        await saveSecrets(dataDir, { ...secrets, demo: { ...secrets.demo, api_key: apiKey } })
      runtime.demo = {
        company_id: DEMO.companyId,
        phone_number_id: DEMO.phoneNumberId,
        waba_id: DEMO.wabaId,
        app_secret: secrets.demo.app_secret,
        verify_token: secrets.demo.verify_token,
        api_key: apiKey,
      }

      const tenants = await createTenantDirectory({
        source: await openKv(nats, BUCKETS.tenants, log),
        keys: parseSecretsKeys(secretsKeys),
        log,
      })
      toStop.push(() => tenants.stop())
      await until(() => tenants.get(DEMO.companyId) !== undefined, 'the demo company to be broadcast')
      const onError = (error: unknown) => log.warn({ event: 'simulation.failed', reason: (error as Error).message })
      const mirror = mirrorTenants({ tenants, simulatorUrl: simulator.url, gatewayUrl: gateway.url, onError })
      toStop.push(mirror.stop)
      await mirror.now()
      onSimulatorRestart = mirror.again

      // Never into somebody's own log or database.
      const isEmbedded = config.natsUrl === undefined && config.databaseUrl === undefined
      if (config.demoTraffic && isEmbedded) {
        const publisher = createPublisher(nats, { timeoutMs: 5_000 })
        const demo = startDemoTraffic({ simulatorUrl: simulator.url, publisher, onError })
        traffic = demo.description
        toStop.push(() => {
          demo.stop()
          publisher.close()
        })
      }
    }

    runtime.pids = supervisor.pids()
    isRunning = true
    writeRuntime(dataDir, runtime)
    toStop.push(() => {
      isRunning = false
      removeRuntime(dataDir)
    })
    print(banner({ runtime, dataDir, logsDir: logs.dir, notes, traffic, startedInMs: performance.now() - startedAt }))
    return { runtime, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Who a connection to the embedded server without credentials is: everything but changing what the streams are. */
const DEVELOPER = 'developer'

const natsUsers = (secrets: Secrets): NatsUser[] => [
  { user: 'operator', password: secrets.nats_passwords.operator as string },
  {
    user: DEVELOPER,
    password: DEVELOPER,
    permissions: {
      publish: {
        deny: [
          '$JS.API.STREAM.CREATE.>',
          '$JS.API.STREAM.UPDATE.>',
          '$JS.API.STREAM.DELETE.>',
          '$JS.API.STREAM.PURGE.>',
          // Dead letters may be worked off; everything else stays as it was written.
          ...[EVENTS, COMMANDS, `OBJ_${MEDIA_BUCKET}`, ...Object.values(BUCKETS).map((bucket) => `KV_${bucket}`)].map(
            (stream) => `$JS.API.STREAM.MSG.DELETE.${stream}`,
          ),
          '$KV.>',
          '$O.>',
          ...SERVICES.map((service) => `$JS.API.CONSUMER.DELETE.*.${service}`),
        ],
      },
    },
  },
  ...SERVICES.map((service) => ({
    user: service,
    password: secrets.nats_passwords[service] as string,
    permissions: asServerPermissions(permissions[service]),
  })),
]

/** The built program of a package of this repository. */
const programOf = (folder: string): string => {
  const path = fileURLToPath(new URL(`../../../${folder}/dist/main.js`, import.meta.url))
  if (!existsSync(path))
    throw new GatewayError(`${folder} is not built: run "npm run build"`, { code: 'NOT_BUILT', retryable: false })
  return path
}

const answers = async (url: string, signal: AbortSignal): Promise<void> => {
  for (;;) {
    signal.throwIfAborted()
    const isReady = await request(url, { signal }).then(
      async ({ statusCode, body }) => {
        await body.dump()
        return statusCode === 200
      },
      () => false, // not listening yet
    )
    if (isReady) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const until = async (fact: () => boolean, what: string): Promise<void> => {
  const deadline = performance.now() + 15_000
  while (!fact()) {
    if (performance.now() > deadline)
      throw new GatewayError(`gave up waiting for ${what}`, { code: 'UP_TIMED_OUT', retryable: true })
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** What the supervisor and the connections report: the file gets every line, a person what is worth reading. */
const consoleLog = (print: (text: string) => void, write: (line: string) => void) => {
  const at = (level: string) => (fields: Record<string, unknown>) => {
    const err = fields.err instanceof Error ? fields.err.message : fields.err
    write(
      JSON.stringify({
        level,
        time: new Date().toISOString(),
        service: 'up',
        ...fields,
        ...(err === undefined ? {} : { err }),
      }),
    )
    if (fields.event === 'child.died')
      print(
        `${fields.child} ended (${fields.signal ?? `code ${fields.code}`}); starting it again in ${fields.restart_in_ms} ms`,
      )
    else if (fields.event === 'child.ready' && isReport(fields.child as string)) print(`${fields.child} runs again`)
    else if (level === 'error') print(`${fields.event}: ${err ?? fields.reason ?? ''}`)
  }
  const seen = new Set<string>()
  // The first start of each is told by the banner.
  const isReport = (child: string) => seen.has(child) || !seen.add(child)
  return { info: at('info'), warn: at('warn'), error: at('error') }
}
