/**
 * A run as `cloudapi up` makes it, reduced to the two servers: takes the data folder, starts both under a supervisor, and
 * tells on stdout what happens, one JSON object per line. The tests build it, start it and kill it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lockDataDir } from './data-dir.store.ts'
import { prepareNatsServer, resolveNatsServer } from './nats-server.client.ts'
import { choosePort } from './ports.client.ts'
import { preparePostgres } from './postgres.client.ts'
import { createSupervisor } from './supervisor.client.ts'

const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
const [, , dataDir = ''] = process.argv

/** The ports of the first run are used by the later ones, as the defaults would be. */
const ports = async (dir: string): Promise<{ nats: number; postgres: number }> => {
  const file = join(dir, 'ports.json')
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    const any = { name: 'port', wanted: 0, explicit: false }
    const chosen = { nats: (await choosePort(any)).port, postgres: (await choosePort(any)).port }
    writeFileSync(file, JSON.stringify(chosen))
    return chosen
  }
}

try {
  const lock = await lockDataDir(dataDir)
  tell({ event: 'locked', stoppedLeftovers: lock.stoppedLeftovers })
  const port = await ports(lock.dir)
  const supervisor = createSupervisor({
    log: { info: tell, warn: tell, error: tell },
    onPidChange: (pids) => tell({ event: 'pids', pids }),
    childrenFile: lock.childrenFile,
  })
  // As a terminal's Ctrl-C does to everything in the foreground; this run chooses not to end by it.
  process.on('SIGINT', () => tell({ event: 'interrupted' }))
  process.on('SIGTERM', () => {
    void supervisor
      .stopAll()
      .then(lock.release)
      .then(() => process.exit(0))
  })
  const nats = await prepareNatsServer({
    binary: await resolveNatsServer(),
    configFile: join(lock.dir, 'nats-server.conf'),
    host: '127.0.0.1',
    port: port.nats,
    storeDir: join(lock.dir, 'jetstream'),
    serverName: 'guarded-run',
    users: [],
    syncAlways: true,
    maxMemoryBytes: 64 * 1024 ** 2,
    maxFileBytes: 1024 ** 3,
  })
  await supervisor.start(nats.spec)
  const { spec, databaseUrl, clusterDir, relocated, runsAs, created } = await preparePostgres({
    dataDir: lock.dir,
    port: port.postgres,
    password: 'a p@ss:word/é',
  })
  await supervisor.start({ ...spec, onOutput: (line) => process.stderr.write(`${line}\n`) })
  tell({
    event: 'running',
    natsPort: port.nats,
    databaseUrl,
    clusterDir,
    relocated,
    runsAs,
    created,
    pids: supervisor.pids(),
  })
} catch (error) {
  tell({ event: 'failed', code: (error as { code?: string }).code, message: (error as Error).message })
  process.exit(1)
}
