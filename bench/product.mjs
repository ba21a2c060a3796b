// The whole product on ports and in a folder of its own.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const ANY_PORT = Object.fromEntries(
  [
    'WEBHOOK_GATEWAY',
    'SENDER',
    'TENANT_CONFIG',
    'PROJECTOR',
    'GRAPH_SIMULATOR',
    'EMBEDDED_NATS',
    'EMBEDDED_POSTGRES',
  ].map((name) => [`${name}_PORT`, '0']),
)

export const startProduct = async (env = {}) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'cloudapi2-bench-'))
  const child = spawn(process.execPath, ['cli/dist/main.js', 'up'], {
    cwd: root,
    env: { ...process.env, ...ANY_PORT, DATA_DIR: dataDir, DEMO_TRAFFIC: 'off', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise((resolve) => child.on('exit', resolve))
  await new Promise((resolve, reject) => {
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (output.includes('CloudAPI2 is up')) resolve()
    })
    exited.then(() => reject(new Error(`the product did not start:\n${output}`)))
  })
  return {
    runtime: JSON.parse(readFileSync(join(dataDir, 'runtime.json'), 'utf8')),
    stop: async () => {
      child.kill('SIGINT')
      await exited
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
