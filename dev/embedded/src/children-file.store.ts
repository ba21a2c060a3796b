import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { processIdentity } from './process-identity.client.ts'

/** A child as written down for the next run, which may find it still running. */
export interface RecordedChild {
  name: string
  pid: number
  identity: string
  signal: NodeJS.Signals
  timeoutMs: number
}

/**
 * Replaces the list of running children. Synchronous, so that no moment lies between starting a child and its being
 * written down.
 */
export const recordChildren = (path: string, children: readonly RecordedChild[]): void => {
  const draft = `${path}.new`
  writeFileSync(draft, `${JSON.stringify(children, undefined, 1)}\n`, { mode: 0o600 })
  renameSync(draft, path)
}

const recorded = (path: string): RecordedChild[] => {
  if (!existsSync(path)) return []
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as RecordedChild[]
  } catch (error) {
    // Cut short by a full disk or a power cut: the children of before the cut are gone as well, or hold their port,
    // which their successors then report.
    if (error instanceof SyntaxError) return []
    throw error
  }
}

const send = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // It ended between the look and the signal, which is what the signal was for.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * Stops what an earlier run left behind, the last child first. That needs both its supervisor and the guard to have
 * been killed, and would put two servers on the same files.
 *
 * @returns the names of the children that were stopped
 */
export const stopLeftovers = async (path: string): Promise<string[]> => {
  const stopped: string[] = []
  for (const { name, pid, identity, signal, timeoutMs } of recorded(path).reverse()) {
    const isLeft = () => processIdentity(pid) === identity
    if (!isLeft()) continue
    send(pid, signal)
    const deadline = Date.now() + timeoutMs
    while (isLeft() && Date.now() < deadline) await pause(25)
    if (isLeft()) send(pid, 'SIGKILL')
    while (isLeft()) await pause(25)
    stopped.push(name)
  }
  rmSync(path, { force: true })
  return stopped
}
