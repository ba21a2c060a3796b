import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'
import { tenantA } from './simulator.rig.ts'

const noFile = (): string => {
  throw Object.assign(new Error('ENOENT: secret-path'), { code: 'ENOENT' })
}
const tenants = JSON.stringify([tenantA('http://127.0.0.1:8080/a/webhook')])

test('everything has a default', () => {
  expect(parseConfig({}, noFile)).toEqual({ port: 8089, host: '127.0.0.1', logLevel: 'info', tenants: [] })
})
test('tenants come as JSON or as the path of a file', () => {
  expect(parseConfig({ GRAPH_SIMULATOR_TENANTS: tenants }, noFile).tenants).toHaveLength(1)
  expect(parseConfig({ GRAPH_SIMULATOR_TENANTS: '/etc/tenants.json' }, () => tenants).tenants).toHaveLength(1)
})
test('every bad variable is named', () => {
  expect(() => parseConfig({ PORT: 'eighty', LOG_LEVEL: 'loud' }, noFile)).toThrow(/PORT: .*\nLOG_LEVEL: /)
})
test.each([
  ['a file that is not there', 'secret-path', /file it names cannot be read/],
  ['what is no JSON', '[secret', /is not valid JSON/],
  ['a tenant without secrets', '[{"company_id":"secret"}]', /0\.app_secret/],
  ['an object', '{"company_id":"secret"}', /expected array/],
])('%s is named without its value', (_name, GRAPH_SIMULATOR_TENANTS, message) => {
  const parse = () => parseConfig({ GRAPH_SIMULATOR_TENANTS }, noFile)
  expect(parse).toThrow(message)
  expect(parse).not.toThrow(/secret-path|\[secret|"secret"/)
})
