#!/usr/bin/env node
// Checks what the compiler does not: who may import whom, what is declared, and which files may touch the world.
// (Cycles between files are Biome's noImportCycles; cycles between packages are refused by `tsc -b`.)
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const faults = []

const folders = (parent) =>
  readdirSync(join(root, parent), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${parent}/${entry.name}`)

const packages = new Map(
  [...folders('libs'), ...folders('dev'), ...folders('services'), 'cli'].map((path) => {
    const { name, dependencies = {} } = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'))
    return [name, { path, kind: path.split('/')[0], dependencies: Object.keys(dependencies) }]
  }),
)

/** services, cli, dev → libs; cli → dev as well; within libs only → contracts; client and event-log → nats. */
const mayImport = (from, to) => {
  // The client is what another program has of this one, and the log is kept there: each is a face for the adapter to NATS.
  if (['libs/client', 'libs/event-log'].includes(from.path) && to.path === 'libs/nats') return true
  if (to.kind === 'libs') return from.kind !== 'libs' || to.path === 'libs/contracts'
  return from.kind === 'cli' && to.kind === 'dev'
}

// Files with one of these endings may touch the world; every other one is pure, and easy to test because of it.
const TOUCHES_THE_WORLD = /(\.(handler|store|client|routes|app|migration)\.ts|^(main|app|testing)\.ts)$/
const WORLD = /^(undici|pg|fastify|node-pg-migrate|node:(fs|net|http|https|child_process|dgram|dns|os)(\/.*)?)$/
/** libs that are an adapter as a whole: their every file is about one outside system. */
const ADAPTERS = ['libs/nats', 'libs/service-kit']

const sources = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return /\.ts$/.test(entry.name) ? [path] : []
  })

for (const [name, from] of packages) {
  for (const file of sources(join(root, from.path, 'src'))) {
    const isTest = /\.(test|contract|rig)\.ts$/.test(file) || /[\\/]fixtures[\\/]/.test(file)
    const text = readFileSync(file, 'utf8')
    const where = relative(root, file)
    const imports = [...text.matchAll(/^\s*(import|export)\s(type\s)?[^'"]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'/gm)]
    for (const [, , typeOnly, specifier, bare] of imports) {
      const target = specifier ?? bare
      if (target.startsWith('.')) continue
      const [scope, rest] = target.split('/')
      const dependency = scope.startsWith('@') ? `${scope}/${rest}` : scope
      const to = packages.get(dependency)
      if (isTest) continue
      if (to !== undefined && !mayImport(from, to)) faults.push(`${where}: ${name} may not import ${dependency}`)
      if (!target.startsWith('node:') && !from.dependencies.includes(dependency))
        faults.push(`${where}: ${dependency} is not declared in ${from.path}/package.json`)
      if (dependency === 'nats' && from.path !== 'libs/nats') faults.push(`${where}: nats belongs into libs/nats`)
      const isPure = !TOUCHES_THE_WORLD.test(basename(file)) && !ADAPTERS.includes(from.path)
      if (
        isPure &&
        !typeOnly &&
        WORLD.test(target) &&
        !/import\s*\{\s*type [^,}]*\}/.test(text.match(new RegExp(`import[^'"]*'${target}'`))?.[0] ?? '')
      )
        faults.push(
          `${where}: imports ${target}, which touches the world: name it .client, .store, .handler, .routes or .app`,
        )
    }
    if (
      !isTest &&
      /process\.env/.test(text) &&
      !/(main|config|lifecycle|testing)\.ts$/.test(file) &&
      from.kind !== 'dev' &&
      from.kind !== 'cli'
    )
      faults.push(`${where}: reads process.env; only main.ts does`)
    if (/\.only\(/.test(text) && isTest) faults.push(`${where}: a test is marked .only`)
  }
}

for (const fault of faults) console.error(fault)
console.log(
  faults.length === 0 ? `architecture: ${packages.size} packages, no fault` : `architecture: ${faults.length} faults`,
)
process.exitCode = faults.length === 0 ? 0 : 1
