// @ts-check
/**
 * The guard: one small process beside whoever starts children. It holds the list of those children and does nothing
 * until its stdin ends, which happens when its owner is gone, however it went (SIGKILL included). Then it stops what is
 * still on the list, last one first, removes the temporary folders it was told of, and ends.
 *
 * It is plain JavaScript, so that it runs the same from the sources (tests) and from the build.
 *
 * One JSON object per line:
 *   {"watch": pid, "identity": string | null, "signal": "SIGTERM", "timeoutMs": 5000}
 *   {"forget": pid}
 *   {"removeAtEnd": folder}
 *   {"keep": folder}
 */
import { readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

/** @type {Map<number, { identity: string | null, signal: NodeJS.Signals, timeoutMs: number }>} */
const children = new Map()
/** @type {Set<string>} */
const folders = new Set()

// A Ctrl-C or a closed terminal is for the owner; the guard's turn comes when the owner is gone.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})

/**
 * Is this still the process that was handed over, and not a later one with the same id? Outside Linux, where there is
 * no /proc, the id alone decides.
 * @param {number} pid
 * @param {string | null} identity
 */
const isRunning = (pid, identity) => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (identity === null) return true
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie holds neither port nor file; where nobody reaps it, it would be waited for in vain.
    return fields[0] !== 'Z' && fields[0] !== 'X' && identity.endsWith(`:${fields[19]}`)
  } catch {
    return false
  }
}

/**
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
const send = (pid, signal) => {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended between the look and the signal, which is what the signal was for.
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line)
  if (message.watch) children.set(message.watch, message)
  if (message.forget) children.delete(message.forget)
  if (message.removeAtEnd) folders.add(message.removeAtEnd)
  if (message.keep) folders.delete(message.keep)
}

for (const [pid, { identity, signal, timeoutMs }] of [...children].reverse()) {
  const deadline = Date.now() + timeoutMs
  if (isRunning(pid, identity)) send(pid, signal)
  while (isRunning(pid, identity) && Date.now() < deadline) await pause(25)
  if (isRunning(pid, identity)) send(pid, 'SIGKILL')
  while (isRunning(pid, identity) && Date.now() < deadline + 2_000) await pause(25)
}
for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
// The handlers above must not keep it alive.
process.exit(0)
