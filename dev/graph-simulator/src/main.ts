import { readFileSync } from 'node:fs'
import { buildSimulator } from './app.ts'
import { parseConfig } from './config.ts'
import { ConfigError, SimulationRefused } from './errors.ts'

const start = async (): Promise<void> => {
  const config = parseConfig(process.env, (path) => readFileSync(path, 'utf8'))
  const app = buildSimulator({
    tenants: config.tenants,
    log: { level: config.logLevel, base: { service: 'graph-simulator' } },
  })
  const stop = (signal: NodeJS.Signals) => {
    app.log.info({ event: 'service.stopping', signal })
    void app.close().then(() => app.log.info({ event: 'service.stopped' }))
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  const url = await app.listen({ host: config.host, port: config.port })
  app.log.info({ event: 'service.started', url, tenants: config.tenants.length })
}

start().catch((error: unknown) => {
  const isForeseen = error instanceof ConfigError || error instanceof SimulationRefused
  const isListening = (error as NodeJS.ErrnoException).syscall === 'listen'
  // A stack helps nobody with a wrong setting or a port that is taken.
  process.stderr.write(
    isForeseen || isListening ? `graph-simulator: ${(error as Error).message}\n` : `${(error as Error).stack}\n`,
  )
  process.exitCode = 1
})
