// What the benchmarks share: programs started and ended, rounds run in turn, medians.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Starts a program of this repository; resolves with it once `url`/readyz answers 200. */
export const startProgram = async (path, env, url) => {
  const child = spawn(process.execPath, [path], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = new Promise((resolve) => child.on('exit', resolve))
  let isRunning = true
  process.on('exit', () => child.kill('SIGKILL'))
  exited.then(() => (isRunning = false))
  while (isRunning) {
    const isReady = await fetch(`${url}/readyz`).then(
      (r) => r.ok,
      () => false,
    )
    if (isReady) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  if (!isRunning) throw new Error(`${path} ended before it was ready`)
  return {
    pid: child.pid,
    stop: async () => {
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** Runs a program to its end and returns the JSON of its last line. */
export const runProgram = (path, args, env = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path, ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let last = ''
    createInterface({ input: child.stdout }).on('line', (line) => (last = line))
    child.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(last)) : reject(new Error(`${path} ended with ${code}`)),
    )
  })

export const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]

/**
 * Runs each of `things` once per round, in turn, and prints the medians, and for each the median of its ratios to the
 * first one in the same round: a machine that slows down for a while slows both. A first round warms up and does not
 * count.
 */
export const inTurn = async (rounds, things, unit) => {
  const results = Object.fromEntries(Object.keys(things).map((name) => [name, []]))
  for (let round = 0; round <= rounds; round++)
    for (const [name, run] of Object.entries(things)) {
      const value = await run(round)
      if (round > 0) results[name].push(value)
      console.log(
        `${round === 0 ? 'warm-up' : `round ${round}`}  ${name.padEnd(28)} ${Math.round(value).toLocaleString('en')} ${unit}`,
      )
    }
  const [base] = Object.keys(things)
  console.log('')
  for (const [name, values] of Object.entries(results)) {
    const ratios = values.map((value, round) => value / results[base][round])
    console.log(
      `${name.padEnd(30)} median ${Math.round(median(values)).toLocaleString('en').padStart(9)} ${unit}   ratio ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
    )
  }
  return results
}

export const SECRETS_KEYS = `bench:${Buffer.alloc(32, 7).toString('base64')}`
export const COMPANY = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
export const APP_SECRET = 'bench_app_secret'
export const quiet = { info: () => {}, warn: () => {}, error: () => {} }
