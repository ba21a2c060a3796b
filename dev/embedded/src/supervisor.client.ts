import { setTimeout as pause } from 'node:timers/promises'
import { GatewayError } from '@cloudapi2/contracts'
import {
  type ChildExit,
  type ChildSpec,
  type Ready,
  type RunningChild,
  readyOrExit,
  startChild,
} from './child-process.client.ts'
import { recordChildren } from './children-file.store.ts'
import { restartAfter } from './restart-delay.ts'

/** A child that is kept running. */
export interface SupervisedSpec extends ChildSpec {
  /**
   * Called after every start. A GatewayError that is not retryable fails a first start at once; any other rejection
   * counts as a death.
   */
  ready: Ready
  /** How long the first start may take, milliseconds. Default 60,000. A restart may take as long as it needs. */
  readyTimeoutMs?: number
}

/** The part of a logger that the supervisor uses; pino fits. */
export interface SupervisorLog {
  info: (fields: Record<string, unknown>) => void
  warn: (fields: Record<string, unknown>) => void
  error: (fields: Record<string, unknown>) => void
}

export interface SupervisorOptions {
  log: SupervisorLog
  /** Told the pids whenever a child has started or ended. */
  onPidChange?: (pids: Record<string, number>) => void
  /** Where the running children are written down for the next run: `childrenFile` of the data folder's lock. */
  childrenFile?: string
}

export interface Supervisor {
  /**
   * Starts a child and resolves when it is ready; from then on it is started again whenever it ends, after 100 ms, 200
   * … 5,000 ms, counting from 100 again once it has been up for ten seconds.
   *
   * @throws GatewayError CHILD_NOT_READY when it could not be started, ended six times before it was ready, or took too
   *   long: it is then no longer supervised and not running. SUPERVISOR_STOPPED after or during `stopAll`
   */
  start: (spec: SupervisedSpec) => Promise<void>
  /** The children that run now, by name. */
  pids: () => Record<string, number>
  /** Stops the children one after the other, the last one started first. Never rejects; may be called again. */
  stopAll: () => Promise<void>
}

/** About three seconds: enough for a killed predecessor to let go of its port and memory. */
const START_ATTEMPTS = 6

interface Supervised {
  spec: SupervisedSpec
  child: RunningChild | undefined
  ended: Promise<void>
}

const stopped = (name: string) =>
  new GatewayError(`${name} was not started: everything is being stopped`, {
    code: 'SUPERVISOR_STOPPED',
    retryable: false,
  })

const describeExit = ({ code, signal, error }: ChildExit): string =>
  error !== undefined ? `could not be started: ${error.message}` : `ended with ${signal ?? `code ${code}`}`

/** Starts children, keeps them running, and stops them in order. Whatever happens to this process, they end with it. */
export const createSupervisor = ({ log, onPidChange, childrenFile }: SupervisorOptions): Supervisor => {
  const all: Supervised[] = []
  const stopping = new AbortController()
  let stopAllDone: Promise<void> | undefined

  const running = () =>
    all.flatMap(({ spec, child }) =>
      child?.pid !== undefined && child.isRunning() ? [{ spec, pid: child.pid, identity: child.identity }] : [],
    )
  const pids = () => Object.fromEntries(running().map(({ spec, pid }) => [spec.name, pid]))

  const changed = (): void => {
    if (childrenFile !== undefined) {
      try {
        recordChildren(
          childrenFile,
          running().flatMap(({ spec: { name, stopSignal, stopTimeoutMs }, pid, identity }) =>
            identity === undefined
              ? []
              : [{ name, pid, identity, signal: stopSignal ?? 'SIGTERM', timeoutMs: stopTimeoutMs ?? 10_000 }],
          ),
        )
      } catch (error) {
        // A full disk must not take the children down; the next change tries again.
        log.error({ event: 'children.not_recorded', err: error })
      }
    }
    try {
      onPidChange?.(pids())
    } catch (error) {
      log.error({ event: 'pids.not_reported', err: error })
    }
  }

  /** One life of a child: from its start to its end. */
  const live = async (entry: Supervised, limit: AbortSignal, onReady: () => void) => {
    const startedAt = Date.now()
    const child = startChild(entry.spec)
    entry.child = child
    changed()
    let failure: unknown
    let exit = await readyOrExit(child, entry.spec.ready, limit).catch(async (error: unknown) => {
      failure = error
      // On the way down `stopAll` ends the child when its turn comes.
      return stopping.signal.aborted ? child.exited : child.stop()
    })
    if (exit === undefined) {
      onReady()
      log.info({ event: 'child.ready', child: entry.spec.name, pid: child.pid, duration_ms: Date.now() - startedAt })
      exit = await child.exited
    }
    changed()
    return { exit, failure, uptimeMs: Date.now() - startedAt, pid: child.pid }
  }

  const keepRunning = async (entry: Supervised, onReady: () => void, onFailure: (error: Error) => void) => {
    const { name, readyTimeoutMs = 60_000 } = entry.spec
    const firstStart = AbortSignal.timeout(readyTimeoutMs)
    let wasReady = false
    let deaths = 0
    while (!stopping.signal.aborted) {
      const limit = wasReady ? stopping.signal : AbortSignal.any([stopping.signal, firstStart])
      const { exit, failure, uptimeMs, pid } = await live(entry, limit, () => {
        wasReady = true
        onReady()
      })
      if (stopping.signal.aborted) break
      const next = restartAfter(deaths, uptimeMs)
      deaths = next.deaths

      if (!wasReady) {
        const isHopeless = exit.error !== undefined || (failure instanceof GatewayError && !failure.retryable)
        const isLate = firstStart.aborted
        if (isHopeless || isLate || deaths >= START_ATTEMPTS) {
          all.splice(all.indexOf(entry), 1)
          const why = isLate ? `was not ready within ${readyTimeoutMs} ms` : `${describeExit(exit)} before it was ready`
          return onFailure(
            failure instanceof GatewayError
              ? failure
              : new GatewayError(`${name} ${why}`, {
                  code: 'CHILD_NOT_READY',
                  retryable: false,
                  cause: failure ?? exit.error,
                }),
          )
        }
      }
      log.warn({
        event: 'child.died',
        child: name,
        pid,
        code: exit.code,
        signal: exit.signal,
        uptime_ms: uptimeMs,
        restart_in_ms: next.delayMs,
        ...(failure === undefined ? {} : { err: failure }),
        ...(exit.error === undefined ? {} : { err: exit.error }),
      })
      await pause(next.delayMs, undefined, { signal: stopping.signal }).catch(() => {}) // aborted: the loop ends
    }
    onFailure(stopped(name))
  }

  const start = (spec: SupervisedSpec): Promise<void> => {
    if (stopping.signal.aborted) return Promise.reject(stopped(spec.name))
    if (all.some((other) => other.spec.name === spec.name))
      return Promise.reject(
        new GatewayError(`two children are named ${spec.name}`, { code: 'CHILD_NAME_TAKEN', retryable: false }),
      )
    return new Promise((resolve, reject) => {
      const entry: Supervised = { spec, child: undefined, ended: Promise.resolve() }
      all.push(entry)
      entry.ended = keepRunning(entry, resolve, reject).catch((error: Error) => {
        log.error({ event: 'child.not_supervised', child: spec.name, err: error })
        reject(error)
      })
    })
  }

  const stopAll = (): Promise<void> => {
    stopAllDone ??= (async () => {
      stopping.abort()
      for (const entry of [...all].reverse()) {
        await entry.child?.stop()
        await entry.ended
      }
    })()
    return stopAllDone
  }

  return { start, pids, stopAll }
}
