#!/usr/bin/env node
// What `npm start` and `npm test` run first: installs what the lockfile asks for when that is not there yet, and builds.
// A second start takes a fraction of a second.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const stamp = join(root, 'node_modules', '.cloudapi2-installed')
const lock = join(root, '.bootstrap.lock')

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node.js ${process.versions.node} is too old: CloudAPI2 needs 20.19 or newer.`)
  process.exit(1)
}

const run = (command, args) => {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: false,
  })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

/** `npm start` and `npm test` typed at once must not install into one folder at once. */
const withLock = (work) => {
  for (;;) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      const ageMs = existsSync(lock) ? Date.now() - statSync(lock).mtimeMs : 0
      if (ageMs > 300_000) rmSync(lock, { recursive: true, force: true })
      else sleep(250)
    }
  }
  const release = () => rmSync(lock, { recursive: true, force: true })
  process.on('exit', release)
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  work()
}

withLock(() => {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    console.error('Installing dependencies …')
    // As the lockfile says, and without touching it. Not `npm ci`: that refuses a lockfile made where the registry lacked some
    // other platform's optional packages.
    run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'])
    writeFileSync(stamp, wanted)
  }
  run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'])
})
