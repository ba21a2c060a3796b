import { spawn } from 'node:child_process'
import { setMaxListeners } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { theGuard } from './guard.client.ts'
import { processIdentity } from './process-identity.client.ts'

/** A program to be run as a child, and how to end it. */
export interface ChildSpec {
  /** Unique among the children of a supervisor; used in log lines, `pids()` and errors. */
  name: string
  command: string
  args: readonly string[]
  /** The whole environment of the child; nothing is added to it. */
  env: Readonly<Record<string, string | undefined>>
  cwd?: string
  uid?: number
  gid?: number
  /** Asks the child to stop. Default SIGTERM. */
  stopSignal?: NodeJS.Signals
  /** Milliseconds until SIGKILL follows. Default 10,000. */
  stopTimeoutMs?: number
  /** Gets every line of the child's output, without its end. Left out: the output is read and dropped. */
  onOutput?: (line: string, stream: 'stdout' | 'stderr') => void
}

/** How a child ended. `error` when it could not be started at all. */
export interface ChildExit {
  code: number | null
  signal: NodeJS.Signals | null
  error?: Error
}

/** A child that was started. It runs in its own session: a Ctrl-C on our terminal does not reach it. */
export interface RunningChild {
  /** Undefined when the program could not be started. */
  pid: number | undefined
  /** See `processIdentity`. */
  identity: string | undefined
  exited: Promise<ChildExit>
  isRunning: () => boolean
  /** Sends one signal; nothing happens to a child that has ended. */
  kill: (signal: NodeJS.Signals) => void
  /** `stopSignal`, then SIGKILL after `stopTimeoutMs`; resolves when the child has ended. */
  stop: () => Promise<ChildExit>
}

const readLines = (stream: Readable, onLine: (line: string) => void): void => {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine)
}

/** Starts a child and puts it under the guard, so that it does not outlive this process however this process ends. */
export const startChild = (spec: ChildSpec): RunningChild => {
  const { stopSignal = 'SIGTERM', stopTimeoutMs = 10_000, onOutput } = spec
  const child = spawn(spec.command, spec.args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: spec.env as NodeJS.ProcessEnv,
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    ...(spec.uid === undefined ? {} : { uid: spec.uid }),
    ...(spec.gid === undefined ? {} : { gid: spec.gid }),
  })
  const { pid } = child
  const identity = pid === undefined ? undefined : processIdentity(pid)
  if (pid !== undefined) theGuard().watch({ pid, identity, signal: stopSignal, timeoutMs: stopTimeoutMs })

  readLines(child.stdout, (line) => onOutput?.(line, 'stdout'))
  readLines(child.stderr, (line) => onOutput?.(line, 'stderr'))

  let running = pid !== undefined
  const exited = new Promise<ChildExit>((resolve) => {
    // `exit`, not `close`: processes the child left behind may hold its output open.
    child.on('exit', (code, signal) => {
      running = false
      if (pid !== undefined) theGuard().forget(pid)
      resolve({ code, signal })
    })
    child.on('error', (error) => {
      if (pid === undefined) resolve({ code: null, signal: null, error })
    })
  })

  const kill = (signal: NodeJS.Signals): void => {
    if (running) child.kill(signal)
  }

  const stop = async (): Promise<ChildExit> => {
    kill(stopSignal)
    const timer = setTimeout(() => kill('SIGKILL'), stopTimeoutMs)
    const exit = await exited
    clearTimeout(timer)
    return exit
  }

  return { pid, identity, exited, isRunning: () => running, kill, stop }
}

/** Resolves when a child that was started can be used; asks again and again until it can, or the signal is aborted. */
export type Ready = (signal: AbortSignal) => Promise<void>

/**
 * Waits until the child is ready or has ended, whichever comes first.
 *
 * @returns undefined when it is ready, else how it ended
 * @throws what `ready` rejects with, and the signal's reason when it is aborted
 */
export const readyOrExit = async (
  child: RunningChild,
  ready: Ready,
  signal?: AbortSignal,
): Promise<ChildExit | undefined> => {
  const asking = new AbortController()
  const combined = signal === undefined ? asking.signal : AbortSignal.any([asking.signal, signal])
  // `ready` may ask many times, each with listeners of its own on this signal; they go with it.
  setMaxListeners(0, combined)
  const answer = ready(combined).then(() => undefined)
  // `ready` may be slow to notice the abort, or not look at its signal at all.
  const aborted = new Promise<never>((_, reject) => {
    const give = () => reject(combined.reason)
    if (combined.aborted) give()
    else combined.addEventListener('abort', give, { once: true })
  })
  // Whichever loses the race is not looked at again: its late rejection is the abort below.
  answer.catch(() => {})
  aborted.catch(() => {})
  try {
    return await Promise.race([answer, aborted, child.exited])
  } finally {
    asking.abort()
  }
}
