import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A child the guard stops when we are gone. */
export interface GuardedChild {
  pid: number
  identity: string | undefined
  signal: NodeJS.Signals
  timeoutMs: number
}

const GUARD = fileURLToPath(new URL('../guard.mjs', import.meta.url))

const createGuard = () => {
  const children = new Map<number, GuardedChild>()
  const folders = new Set<string>()
  let guard: ChildProcess | undefined

  const watchLine = ({ pid, identity, signal, timeoutMs }: GuardedChild) => ({
    watch: pid,
    identity: process.platform === 'linux' ? (identity ?? null) : null,
    signal,
    timeoutMs,
  })

  const write = (message: object): void => {
    // A write reaches the pipe within this call (libuv tries before it queues), so that even a SIGKILL in the next
    // moment finds the guard informed.
    guard?.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  const ensureGuard = (): void => {
    if (guard !== undefined) return
    const started = spawn(process.execPath, [GUARD], {
      detached: true, // its own session: a signal to our process group must not take both
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
      env: { PATH: process.env.PATH },
    })
    guard = started
    started.unref()
    const pipe = started.stdin as typeof started.stdin & { unref?: () => void }
    pipe.unref?.()
    // EPIPE when somebody killed the guard; `exit` below replaces it and tells the new one everything again.
    pipe.on('error', () => {})
    const replace = () => {
      if (guard !== started) return
      guard = undefined
      if (children.size > 0 || folders.size > 0) ensureGuard()
    }
    started.on('exit', replace)
    started.on('error', replace)
    for (const child of children.values()) write(watchLine(child))
    for (const folder of folders) write({ removeAtEnd: folder })
  }

  return {
    watch: (child: GuardedChild): void => {
      ensureGuard()
      children.set(child.pid, child)
      write(watchLine(child))
    },
    forget: (pid: number): void => {
      if (children.delete(pid)) write({ forget: pid })
    },
    removeAtEnd: (folder: string): void => {
      ensureGuard()
      folders.add(folder)
      write({ removeAtEnd: folder })
    },
    keep: (folder: string): void => {
      if (folders.delete(folder)) write({ keep: folder })
    },
  }
}

let shared: ReturnType<typeof createGuard> | undefined

/**
 * The one guard of this process, started at the first use. See `guard.mjs` for what it does. It never keeps this
 * process alive, and ends with it.
 */
export const theGuard = (): ReturnType<typeof createGuard> => {
  shared ??= createGuard()
  return shared
}
