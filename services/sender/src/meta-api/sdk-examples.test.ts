import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Company, type Rig, startRig } from './sender.rig.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))

const [, section = ''] = readFileSync(`${ROOT}docs/using.md`, 'utf8').split(/^## Keep your SDK.*$/m)
const examples = [...(section.split(/^## /m)[0] as string).matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(
  ([, code]) => code as string,
)

let rig: Rig
let company: Company
beforeAll(async () => {
  rig = await startRig()
  company = await rig.newCompany()
})
afterAll(() => rig?.stop())

/** Runs a program as its reader would, and resolves with what it prints. */
const run = (code: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
      cwd: ROOT,
      env: { ...process.env, SENDER_URL: rig.url, API_KEY: company.key, PHONE_NUMBER_ID: company.number },
    })
    let [printed, complained] = ['', '']
    child.stdout.on('data', (chunk) => {
      printed += chunk
    })
    child.stderr.on('data', (chunk) => {
      complained += chunk
    })
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(printed) : reject(new Error(complained))))
  })

test('the guide has one example for each of two SDKs', () =>
  expect(examples.map((code) => /from '([^']+)'/.exec(code)?.[1])).toEqual([
    '@kapso/whatsapp-cloud-api',
    'whatsapp-api-js',
  ]))
test.each(examples)('it runs as it stands and prints the message id (%#)', async (code) => {
  const before = (await rig.callsOf(company)).length
  expect(await run(code)).toMatch(/^wamid\.\S+\n$/)
  expect((await rig.callsOf(company)).slice(before)).toMatchObject([{ type: 'text', outcome: 'accepted' }])
})
