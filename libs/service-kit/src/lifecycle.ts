import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { ConfigError } from './environment.ts'
import type { Logger } from './log.ts'

/** sysexits.h EX_CONFIG: a supervisor sees that starting again would not help. */
export const EXIT_CONFIG = 78

/**
 * Reads the configuration, or ends the process with every fault on standard error: nothing else runs on half a
 * configuration.
 */
export const configOrExit = <C>(parse: (env: NodeJS.ProcessEnv) => C, env: NodeJS.ProcessEnv = process.env): C => {
  try {
    return parse(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(EXIT_CONFIG)
  }
}

/** Starts listening, or ends the process saying which address could not be had and why. */
export const listenOrExit = async (
  app: FastifyInstance,
  { host, port }: { host: string; port: number },
  log: Logger,
) => {
  try {
    await app.listen({ host, port })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    process.stderr.write(`cannot listen on ${host}:${port}: ${code === 'EADDRINUSE' ? 'the port is taken' : code}\n`)
    process.exit(EXIT_CONFIG)
  }
  log.info({ event: 'service.listening', host, port: (app.server.address() as AddressInfo).port })
}

/** How long a stop may take before the process ends anyway: below the 30 s that orchestrators usually grant. */
const STOP_TIMEOUT_MS = 25_000

/**
 * Runs `stop` once, on SIGTERM, on SIGINT, or when the supervisor's IPC channel closes, then ends the process.
 * An error nobody caught ends the process with 1 after being logged: a supervisor starts it afresh, and everything that
 * was not acknowledged comes again.
 */
export const onShutdown = (log: Logger, stop: () => Promise<void>): void => {
  let stopping = false
  const shutdown = (reason: string) => {
    if (stopping) return
    stopping = true
    log.info({ event: 'service.stopping', reason })
    const timer = setTimeout(() => {
      log.error({ event: 'service.stop_timed_out' })
      end(log, 1)
    }, STOP_TIMEOUT_MS)
    stop().then(
      () => {
        clearTimeout(timer)
        log.info({ event: 'service.stopped' })
        end(log, 0)
      },
      (err) => {
        log.error({ event: 'service.stop_failed', err })
        end(log, 1)
      },
    )
  }
  process.on('SIGTERM', () => shutdown('SIGTERM'))
  process.on('SIGINT', () => shutdown('SIGINT'))
  process.on('disconnect', () => shutdown('supervisor gone'))
  process.on('uncaughtException', (err) => {
    log.fatal({ event: 'service.crashed', err })
    end(log, 1)
  })
}

const end = (log: Logger, code: number): void => {
  // The last lines are the ones an operator needs most.
  log.flush(() => process.exit(code))
  setTimeout(() => process.exit(code), 500).unref()
}
