import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { keyBeside, publicHalfOf, writeExport } from './audit-files.store.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cloudapi2-files-'))
  file = join(folder, 'export')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function* lines(brokenOff = false): AsyncGenerator<string, string> {
  yield 'one\n'
  yield 'é\n'.repeat(1_000_000) // more than is kept before it is written
  if (brokenOff) throw new Error('the log went away')
  yield 'end\n'
  return 'done'
}

test('what bears the name of the export is whole, and its key lies beside it', async () => {
  expect(await writeExport(file, false, lines(), 'KEY')).toBe('done')
  expect(readFileSync(file, 'utf8')).toBe(`one\n${'é\n'.repeat(1_000_000)}end\n`)
  expect(readFileSync(keyBeside(file), 'utf8')).toBe('KEY')
  expect(readdirSync(folder)).toHaveLength(2)
})
test('an export that breaks off leaves nothing, and what was there before is as it was', async () => {
  await expect(writeExport(file, false, lines(true), 'KEY')).rejects.toThrow('the log went away')
  expect(readdirSync(folder)).toEqual([])
  writeFileSync(file, 'earlier')
  writeFileSync(keyBeside(file), 'EARLIER KEY')
  await expect(writeExport(file, true, lines(true), 'KEY')).rejects.toThrow('the log went away')
  expect(readFileSync(file, 'utf8')).toBe('earlier')
  expect(readFileSync(keyBeside(file), 'utf8')).toBe('EARLIER KEY')
  expect(readdirSync(folder)).toHaveLength(2)
})
test('a file that came to be while the export was written is not written over', async () => {
  const slow = async function* () {
    yield* lines()
    writeFileSync(file, 'of somebody else')
  }
  await expect(writeExport(file, false, slow(), 'KEY')).rejects.toMatchObject({ code: 'AUDIT_FILE_EXISTS' })
  expect(readFileSync(file, 'utf8')).toBe('of somebody else')
  expect(readdirSync(folder)).toEqual(['export'])
})
test('the public half of a pair is named after the private one', () => {
  expect(publicHalfOf('keys/audit-2026.pem')).toBe('keys/audit-2026.pub.pem')
  expect(publicHalfOf('keys/audit')).toBe('keys/audit.pub.pem')
})
