#!/usr/bin/env node
// Describes the interfaces: docs/openapi.yaml from the routes' schemas, docs/asyncapi.yaml from those of commands and events,
// and the sender's copies of both. Without --write it says whether the files are up to date, and exits with 1 when one is not.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [option] = process.argv.slice(2)
if (option !== undefined && option !== '--write') {
  console.log('node scripts/write-api-descriptions.mjs [--write]\n\nwithout --write: tells which files differ')
  process.exit(option === '--help' ? 0 : 2)
}

// The libs' sources, not their dist: what is described is what is on the page.
const conditions = ['source', 'module', 'node', 'development|production']
const { module } = await runnerImport(join(root, 'scripts/api-descriptions/documents.ts'), {
  root,
  logLevel: 'error',
  resolve: { conditions },
  ssr: { resolve: { conditions } },
})

let changed = 0
for (const [path, text] of Object.entries(module.documents())) {
  const file = join(root, path)
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  changed += 1
  console.log(`${option === '--write' ? 'written' : 'differs'}: ${path}`)
  if (option !== '--write') continue
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
if (changed === 0) console.log('nothing to change')
else if (option !== '--write') {
  console.error('run: node scripts/write-api-descriptions.mjs --write')
  process.exitCode = 1
}
