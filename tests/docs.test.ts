import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EVENT_DATA } from '@cloudapi2/contracts'
import { describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const filesBelow = (folder: string, suffix: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name))

const packagesBelow = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(ROOT, folder, entry.name, 'src')))
    .map((entry) => join(folder, entry.name, 'src'))

/** What ships: no tests, and nothing that only tests use. */
const SOURCES = [...['libs', 'services', 'dev'].flatMap(packagesBelow), 'cli/src']
  .flatMap((folder) => filesBelow(folder, '.ts'))
  .filter((path) => !/\.(test|contract|rig)\.ts$/.test(path))

/**
 * Codes of the system that errors are compared with or imitate: those of node:os. SQLSTATEs begin with a digit, or are
 * five characters of which one is. None of them is ours to explain.
 */
const isForeign = (code: string): boolean =>
  Object.hasOwn(constants.errno, code) || (/^[0-9A-Z]{5}$/.test(code) && /\d/.test(code))

/** `code: 'THIS'`, `code = 'THIS'`, and every member of `code: 'THIS' | 'THAT'`; not `code === 'THIS'`. */
const codesOf = (source: string): string[] =>
  [...source.matchAll(/\bcode\s*[:=]\s*((?:'[A-Z][A-Z0-9_]+'\s*\|?\s*)+)/g)]
    .flatMap(([, literals]) => [...(literals as string).matchAll(/'([A-Z0-9_]+)'/g)].map(([, code]) => code as string))
    .filter((code) => !isForeign(code))

const firstCells = (markdown: string): string[] =>
  [...markdown.matchAll(/^\| *`([^`]+)`[^|]*\|/gm)].map(([, cell]) => cell as string)

describe('docs/errors.md', () => {
  const rows = firstCells(read('docs/errors.md'))
  const sources = SOURCES.map((path) => ({ path: relative(ROOT, join(ROOT, path)), text: read(path) }))

  test('has a row for every code that the sources give an error', () => {
    const missing = sources.flatMap(({ path, text }) =>
      codesOf(text)
        .filter((code) => !rows.includes(code))
        .map((code) => `${code} (${path})`),
    )
    expect(missing).toEqual([])
  })

  test('has one row for each code, not two', () => {
    expect(rows.filter((code, index) => rows.indexOf(code) !== index)).toEqual([])
  })

  test('speaks of no code that the sources do not have', () => {
    const all = sources.map(({ text }) => text).join('\n')
    expect(rows.filter((code) => !all.includes(`'${code}'`))).toEqual([])
  })
})

describe('docs/operating.md', () => {
  test('names every variable of the environment that a program reads', () => {
    const operating = read('docs/operating.md')
    const configs = SOURCES.filter((path) => /\/(config|environment)\.ts$/.test(path))
    expect(configs.length).toBeGreaterThanOrEqual(7)
    const variables = configs.flatMap((path) =>
      [...read(path).matchAll(/^\s+([A-Z][A-Z0-9_]*):/gm)].map(([, name]) => name as string),
    )
    expect(variables).toContain('NATS_URL')
    expect([...new Set(variables)].filter((name) => !operating.includes(`\`${name}\``))).toEqual([])
  })
})

describe('docs/using.md', () => {
  test('has a row for every type of event, and no other', () => {
    const [, section = ''] = read('docs/using.md').split(/^## Events$/m)
    const types = firstCells(section.split(/^## /m)[0] as string).filter((cell) => /^[a-z]+\.[a-z]+$/.test(cell))
    expect(types.sort()).toEqual(Object.keys(EVENT_DATA).sort())
  })

  test('names every table and view of the schema gateway', () => {
    const migrations = SOURCES.filter((path) => path.includes('/migrations/')).map(read)
    const tables = migrations.flatMap((text) =>
      [...text.matchAll(/create (?:table|view) (?:if not exists )?gateway\.(\w+)/g)].map(([, name]) => name as string),
    )
    expect(tables).toContain('api_keys')
    const named = firstCells(read('docs/using.md'))
    expect(tables.filter((name) => !named.includes(name))).toEqual([])
  })
})

const withoutCode = (markdown: string): string =>
  markdown.replace(/^( *)```[\s\S]*?^\1```$/gm, '').replace(/`[^`\n]*`/g, '')

/** The anchor that a heading gets: GitHub's rule. */
const anchorsOf = (markdown: string): string[] =>
  [...markdown.replace(/^( *)```[\s\S]*?^\1```$/gm, '').matchAll(/^#+ +(.+)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )

describe('links', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', ...filesBelow('docs', '.md')]

  test.each(pages)('of %s lead to what is there', (page) => {
    const links = [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link as string)
    const broken = links
      .filter((link) => !/^[a-z]+:/i.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const target = path === '' ? page : join(dirname(page), path)
        if (!existsSync(join(ROOT, target))) return true
        return anchor !== undefined && target.endsWith('.md') && !anchorsOf(read(target)).includes(anchor)
      })
    expect(broken).toEqual([])
  })
})
