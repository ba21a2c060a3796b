import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startNats } from '@cloudapi2/embedded'
import type { Command } from 'commander'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { doctorCommand } from './doctor/doctor.handler.ts'
import type { Terminal } from './output/terminal.client.ts'
import { start } from './output/terminal.rig.ts'
import { replayCommand } from './replay/replay.handler.ts'
import { simulateCommand } from './simulate/simulate.handler.ts'
import { statusCommand } from './status/status.handler.ts'
import { tenantCommand } from './tenant/tenant.handler.ts'
import { PORTS, parseConfig } from './up/config.ts'
import { type Up, up } from './up/up.handler.ts'

const waitFor = <T>(fact: () => T | Promise<T>) => vi.waitFor(fact, { timeout: 30_000, interval: 100 })

const DEMO = 'a9242a58-4f5d-494c-8a74-45f8cee150e6'
const NEW = '5a1d3f0e-7f1c-4c3e-9d53-0c8f0e2b6a11'

// The services are the built ones (`npm run build`), the commands are those on the page.
let running: Up
let dataDir: string
const printed: string[] = []

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'cloudapi2-cli-'))
  const ports = Object.fromEntries(Object.values(PORTS).map(({ variable }) => [variable, '0']))
  const env = { ...process.env, ...ports, DATA_DIR: dataDir, DEMO_TRAFFIC: 'off', LOG_LEVEL: 'warn' }
  running = await up({ config: parseConfig(env), env, print: () => {} })
})
afterAll(async () => {
  await running?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

interface More {
  env?: Record<string, string>
  answer?: boolean
  input?: string
}
type Deps = {
  env: NodeJS.ProcessEnv
  terminal: Terminal
  now: () => number
  ended: () => AbortSignal
  readInput: () => Promise<string>
}
const run =
  (make: (deps: Deps) => Command) =>
  async (args: string[], { env = {}, answer, input = '' }: More = {}) => {
    const ran = await start(
      (terminal) =>
        make({
          env: { PATH: process.env.PATH, DATA_DIR: dataDir, ...env },
          terminal,
          now: Date.now,
          ended: () => new AbortController().signal,
          readInput: async () => input,
        }),
      args,
      answer === undefined ? {} : { answer },
    ).done
    printed.push(ran.out, ran.err)
    return ran
  }
const status = run(statusCommand)
const doctor = run(doctorCommand)
const tenant = run(tenantCommand)
const simulate = run(simulateCommand)
const replay = run(replayCommand)

const file = (name: string, text: string): string => {
  const path = join(dataDir, name)
  writeFileSync(path, text)
  return path
}

describe('cloudapi simulate', () => {
  test('lets a person write, and Meta tell of it', async () => {
    const ran = await simulate(['inbound', '--company', DEMO, '--from', '34608684495', '--text', 'Hi there'])
    expect(ran).toEqual({
      code: 0,
      err: '',
      out: expect.stringMatching(/^wamid\..*: delivered, the gateway answered 200\n$/),
    })
    const id = ran.out.split(':')[0] as string
    const told = await replay(['--company', DEMO, '--message', id])
    expect(told.out).toMatch(/message\.created +wamid\..* inbound text received/)
  })

  test('lets a person send a file', async () => {
    const path = file('invoice.pdf', '%PDF-1.4')
    const args = [
      'inbound',
      '--company',
      DEMO,
      '--from',
      '34608684495',
      '--file',
      path,
      '--text',
      'As agreed',
      '-o',
      'json',
    ]
    const { code, out } = await simulate(args)
    expect(code).toBe(0)
    const [{ message_id }] = JSON.parse(out)
    const told = await replay(['--company', DEMO, '--message', message_id, '-o', 'ndjson'])
    expect(JSON.parse(told.out.split('\n')[0] as string).data).toMatchObject({
      kind: 'document',
      text: 'As agreed',
      media: { filename: 'invoice.pdf', mime_type: 'application/pdf' },
    })
  })

  test('tells of a status', async () => {
    const args = ['status', '--company', DEMO, '--message', 'wamid.status', '--status', 'failed', '--error', '131026']
    expect(await simulate(args)).toMatchObject({ code: 0, out: 'failed: delivered, the gateway answered 200\n' })
    const told = await replay(['--company', DEMO, '--message', 'wamid.status'])
    expect(told.out).toMatch(/status\.updated +wamid\.status {2}failed error=131026/)
    expect(await simulate(['status', '--company', NEW, '--message', 'w', '--status', 'read'])).toMatchObject({
      code: 3,
    })
  })

  test('verifies a webhook', async () => {
    expect(await simulate(['handshake', '--company', DEMO])).toMatchObject({
      code: 0,
      out: 'verified: the gateway answered 200\n',
    })
  })

  test('sets what goes wrong, shows it, and puts it back', async () => {
    expect((await simulate(['faults', 'errors_5xx=0.5', 'affects=graph'])).out).toMatch(/^errors_5xx +0\.5$/m)
    expect(JSON.parse((await simulate(['faults', '-o', 'json'])).out)[0]).toMatchObject({ errors_5xx: 0.5 })
    expect((await simulate(['faults', '--clear'])).out).toMatch(/^errors_5xx +0$/m)
    expect(await simulate(['faults', 'errors_5xx=7'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('errors_5xx'),
    })
    expect((await simulate(['limits'])).out).toMatch(/^messages_per_second +80$/m)
    expect((await simulate(['timing', 'read_ms=null'])).out).toMatch(/^read_ms +null$/m)
    expect((await simulate(['media-faults', 'download_5xx=1'])).code).toBe(0)
    expect((await simulate(['media-faults', '--clear'])).code).toBe(0)
  })

  test('shows what was asked of it', async () => {
    const base = running.runtime.urls.graph_simulator
    await request(`${base}/v22.0/${running.runtime.demo?.phone_number_id}/messages`, { method: 'POST' })
    const { out } = await simulate(['calls', '--limit', '5'])
    expect(out).toMatch(/^AT +OUTCOME +STATUS/)
    expect(out).toMatch(/unauthorised|refused/)
    expect((await simulate(['calls', '--clear'])).err).toBe('forgotten\n')
    expect((await simulate(['calls'])).err).toBe('no calls\n')
  })

  test('puts and removes templates', async () => {
    const path = file(
      'template.json',
      JSON.stringify({ name: 'mine', language: 'es', components: [{ type: 'BODY', text: 'Hi' }] }),
    )
    expect((await simulate(['template', 'put', '--company', DEMO, path])).err).toMatch(/^put 1; the company has \d+\n$/)
    expect((await simulate(['template', 'list', '--company', DEMO])).out).toMatch(/^mine +es +APPROVED/m)
    expect((await simulate(['template', 'remove', '--company', DEMO, 'mine'])).err).toBe('removed 1\n')
    expect((await simulate(['template', 'remove', '--company', DEMO, 'mine'])).code).toBe(2)
  })

  test('is refused where there is no simulator', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'cloudapi2-real-'))
    writeFileSync(join(elsewhere, 'runtime.json'), JSON.stringify({ urls: {}, nats_url: 'nats://127.0.0.1:1' }))
    const ran = await simulate(['calls'], { env: { DATA_DIR: elsewhere } })
    expect(ran).toMatchObject({ code: 78, err: expect.stringMatching(/has no simulator.*NO_SIMULATOR/) })
    rmSync(elsewhere, { recursive: true })
  })
})

describe('cloudapi tenant', () => {
  const set = (args: string[], more: More = {}) => tenant(['set', NEW, ...args], more)

  test('makes a company with --replace, with secrets from a file, standard input and the environment', async () => {
    const ran = await set(
      [
        ...['--replace', '--name', 'New company', '--property', 'DEFAULT_COUNTRY=PT'],
        ...['--property', 'WHATSAPP_PHONE_NUMBERS=[{"id":"991"},{"id":"992"}]'],
        ...['--secret-from', `WHATSAPP_ACCESS_TOKEN=${file('token', 'EAAsecreto-token\n')}`],
        ...['--secret-from', 'WHATSAPP_APP_SECRET=-', '--secret-env', 'WHATSAPP_VERIFY_TOKEN=MY_VERIFY'],
      ],
      { input: 'secreto-app-secret\n', env: { MY_VERIFY: 'secreto-verify-token' } },
    )
    expect(ran).toMatchObject({ code: 0, err: '' })
    expect(ran.out).toMatch(/^WHATSAPP_ACCESS_TOKEN +set \(…oken, fingerprint [0-9a-f]{8}\)$/m)
    // What was set is what works: Meta's handshake with this very token.
    await waitFor(async () => {
      const checks = await doctor(['--company', NEW, '-o', 'json'])
      expect(JSON.parse(checks.out)).toContainEqual({ check: 'webhook handshake', state: 'ok', detail: '1 company' })
    })
  })

  test('changes a part, and removes a setting', async () => {
    const { out } = await set(['--property', 'RETENTION_DAYS=400', '--unset', 'DEFAULT_COUNTRY'])
    expect(out).toMatch(/^RETENTION_DAYS +400$/m)
    expect(out).not.toContain('DEFAULT_COUNTRY')
    expect(out).toMatch(/^name +New company$/m)
  })

  test('takes back what "get" printed, secrets unchanged', async () => {
    const before = await tenant(['get', NEW, '-o', 'json'])
    const after = await set(['--file', '-', '--replace', '--property', 'RETENTION_DAYS=30', '-o', 'json'], {
      input: before.out,
    })
    const [{ custom_properties: was }] = JSON.parse(before.out)
    const [{ custom_properties: is }] = JSON.parse(after.out)
    expect(is).toEqual({ ...was, RETENTION_DAYS: '30' })
  })

  test('lists every company', async () => {
    const { out } = await tenant(['list'])
    expect(out).toMatch(new RegExp(`^${NEW} +2 .* +0 +New company$`, 'm'))
    const ids = (await tenant(['list', '-o', 'ndjson'])).out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).id)
    expect(ids.sort()).toEqual([NEW, DEMO])
  })

  test('refuses what cannot be used, by name', async () => {
    expect(await set(['--property', 'DEFAULT_COUNTRY=Spain'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/DEFAULT_COUNTRY: expected an ISO 3166 country code.*INVALID_SETTINGS/),
    })
    expect(await set([])).toMatchObject({ code: 2, err: expect.stringContaining('nothing to set') })
    expect(await set(['--replace', '--property', 'A=1'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('--name'),
    })
    const one = 'WHATSAPP_APP_SECRET=-'
    expect(await set(['--secret-from', one, '--file', '-'], { input: '{}' })).toMatchObject({
      code: 2,
      err: expect.stringContaining('once'),
    })
    expect(await set(['--secret-from', 'WHATSAPP_APP_SECRET=/no/such/file'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('/no/such/file cannot be read (ENOENT)'),
    })
  })

  test('takes no secret from the command line, and shows none of one that was tried', async () => {
    const ran = await set(['--property', 'WHATSAPP_ACCESS_TOKEN=EAAsecreto-token'])
    expect(ran).toMatchObject({ code: 2, out: '', err: expect.stringContaining('--secret-from') })
    expect((await set(['--secret-env', 'WHATSAPP_ACCESS_TOKEN=EAAsecreto-token'])).code).toBe(2)
  })

  test('says that a company is not there, and how it is made', async () => {
    const missing = '6a1d3f0e-7f1c-4c3e-9d53-0c8f0e2b6a11'
    expect(await tenant(['get', missing])).toMatchObject({ code: 3, err: expect.stringContaining('COMPANY_NOT_FOUND') })
    expect(await tenant(['set', missing, '--name', 'x'])).toMatchObject({
      code: 3,
      err: expect.stringContaining('--replace'),
    })
    expect(await tenant(['get', 'nonsense'])).toMatchObject({ code: 2 })
  })

  test('makes a key that works, until it is revoked', async () => {
    const made = await tenant(['key', 'create', NEW, '--name', 'crm', '--scope', 'read'])
    const key = made.out.trim()
    expect(made.err).toMatch(/^key [0-9a-f-]{36} \(read\); it cannot be shown again\n$/)
    // It is meant to be printed, this once.
    printed.splice(printed.indexOf(made.out), 1)
    const asked = async () => {
      const url = `${running.runtime.urls.projector}/companies/${NEW}/messages`
      const { statusCode, body } = await request(url, { headers: { authorization: `Bearer ${key}` } })
      await body.dump()
      return statusCode
    }
    await waitFor(async () => expect(await asked()).toBe(200))

    const listed = await tenant(['key', 'list', NEW])
    expect(listed.out).toMatch(/^ID +MADE +SCOPES +NAME\n[0-9a-f-]{36} .* read +crm$/m)
    expect(listed.out).not.toContain(key)
    const [{ id }] = JSON.parse((await tenant(['key', 'list', NEW, '-o', 'json'])).out)
    expect((await tenant(['key', 'revoke', NEW, id])).code).toBe(2) // nobody is there to be asked
    expect(await tenant(['key', 'revoke', NEW, id, '--yes'])).toMatchObject({ code: 0, err: `revoked ${id}\n` })
    await waitFor(async () => expect(await asked()).toBe(401))
    expect((await tenant(['key', 'revoke', NEW, id, '--yes'])).code).toBe(3)
    expect(printed.join('\n')).not.toContain(key)
  })

  test('asks before it removes', async () => {
    expect((await tenant(['remove', NEW])).code).toBe(2)
    expect((await tenant(['remove', NEW], { answer: false })).code).toBe(1)
    expect((await tenant(['get', NEW])).code).toBe(0)
    expect(await tenant(['remove', NEW], { answer: true })).toMatchObject({ code: 0, err: `removed ${NEW}\n` })
    expect((await tenant(['get', NEW])).code).toBe(3)
  })

  test('says whose token is wrong, and who does not answer', async () => {
    expect(await tenant(['list'], { env: { ADMIN_TOKEN: 'secreto-wrong-token' } })).toMatchObject({
      code: 78,
      err: expect.stringMatching(/ADMIN_TOKEN must be the one.*UNAUTHENTICATED/),
    })
    expect(await tenant(['list'], { env: { TENANT_CONFIG_URL: 'http://127.0.0.1:1' } })).toMatchObject({
      code: 4,
      err: expect.stringMatching(/tenant-config does not answer at http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)/),
    })
    const { graph_simulator } = running.runtime.urls as { graph_simulator: string }
    expect(await tenant(['list'], { env: { TENANT_CONFIG_URL: graph_simulator } })).toMatchObject({
      code: 78,
      err: expect.stringMatching(/is not tenant-config: check TENANT_CONFIG_URL/),
    })
    expect(await tenant(['list'], { env: { DATA_DIR: '/nowhere' } })).toMatchObject({
      code: 4,
      err: expect.stringMatching(/set TENANT_CONFIG_URL, or run "npm start" first/),
    })
  })
})

describe('cloudapi status', () => {
  test('tells how everything stands', async () => {
    await waitFor(async () => {
      const { out } = await status(['-o', 'json'])
      const [report] = JSON.parse(out)
      expect(report.projection.behind).toBe(0)
      expect(report).toMatchObject({
        ready: true,
        companies: 1,
        dead_letters: 0,
        archive: null,
        nats: { reachable: true },
      })
      const events = report.streams.find(({ name }: { name: string }) => name === 'EVENTS')
      expect(events.messages).toBeGreaterThan(0)
      expect(events.consumers.map(({ name }: { name: string }) => name)).toContain('projector')
    })
    const { code, out } = await status([])
    expect(code).toBe(0)
    expect(out).toMatch(/^projector +ready +\d+ +http:/m)
    expect(out).toMatch(/^dead letters +0$/m)
  })

  test('ends with 1 when a part is away, and tells of the others all the same', async () => {
    const ran = await status([], {
      env: { SENDER_URL: 'http://127.0.0.1:1', DATABASE_URL: 'postgres://u:secreto@127.0.0.1:1/d' },
    })
    expect(ran.code).toBe(1)
    expect(ran.out).toMatch(/^sender +DOWN +- +http:\/\/127\.0\.0\.1:1 +ECONNREFUSED$/m)
    expect(ran.out).toMatch(/^database +DOES NOT ANSWER: ECONNREFUSED$/m)
    expect(ran.out).toMatch(/^projector +ready/m)
    expect(ran.out).toMatch(/^EVENTS/m)
    const noNats = await status([], { env: { NATS_URL: 'nats://u:secreto@127.0.0.1:1' } })
    expect(noNats).toMatchObject({ code: 1, out: expect.stringMatching(/^nats +DOES NOT ANSWER/m) })
  })

  test('tells it again and again until it is ended', async () => {
    const ctrlC = new AbortController()
    const deps = { env: { DATA_DIR: dataDir }, now: Date.now, ended: () => ctrlC.signal }
    const watching = start((terminal) => statusCommand({ ...deps, terminal }), ['--watch', '1', '-o', 'ndjson'])
    await waitFor(() => expect(watching.out().trimEnd().split('\n').length).toBeGreaterThanOrEqual(2))
    ctrlC.abort()
    expect((await watching.done).code).toBe(0)
  })

  test('says that nothing runs where nothing does', async () => {
    expect(await status([], { env: { DATA_DIR: '/nowhere' } })).toMatchObject({
      code: 4,
      err: expect.stringContaining('NO_INSTALLATION'),
    })
  })
})

describe('cloudapi doctor', () => {
  const checksOf = async (args: string[], more: More = {}) => {
    const { code, out } = await doctor([...args, '-o', 'json'], more)
    return { code, checks: JSON.parse(out) as { check: string; state: string; detail: string; todo?: string }[] }
  }

  test('finds nothing wrong with an installation that is well', async () => {
    const { code, checks } = await checksOf([])
    expect(checks.filter(({ state }) => state === 'fail')).toEqual([])
    expect(code).toBe(0)
    const fine = checks.filter(({ state }) => state === 'ok').map(({ check }) => check)
    expect(fine).toEqual(
      expect.arrayContaining([
        ...[
          'nats-server',
          'postgres',
          'disk',
          'nats',
          'topology',
          'clock of NATS',
          'sealed secrets',
          'webhook handshake',
        ],
        ...[
          'database',
          'migrations of read model',
          'migrations of tenant-config',
          'clock of PostgreSQL',
          'sender',
          'graph',
        ],
      ]),
    )
    expect((await doctor([])).out).toMatch(/^CHECK +STATE +WHAT WAS FOUND\n/)
  })

  test('finds secrets that the keys do not open', async () => {
    const env = { SECRETS_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}` }
    const { code, checks } = await checksOf([], { env })
    expect(code).toBe(1)
    const faults = checks.filter(({ check, state }) => check === 'sealed secrets' && state === 'fail')
    expect(faults.map(({ detail }) => detail)).toEqual(
      expect.arrayContaining([expect.stringMatching(new RegExp(`^${DEMO}: WHATSAPP_ACCESS_TOKEN cannot be opened`))]),
    )
    expect(faults[0]?.todo).toContain('SECRETS_KEYS')
  })

  test('finds streams that are missing', async () => {
    const empty = await startNats({})
    const { code, checks } = await checksOf([], { env: { NATS_URL: empty.url } })
    await empty.stop()
    expect(code).toBe(1)
    expect(checks).toContainEqual(
      expect.objectContaining({ check: 'topology', state: 'fail', detail: 'stream EVENTS is not there' }),
    )
    expect(checks).toContainEqual(
      expect.objectContaining({ check: 'sealed secrets', state: 'skipped', detail: 'the bucket tenants is not there' }),
    )
  })

  test('goes on with the rest when parts are away', async () => {
    const away = 'http://127.0.0.1:1'
    const { code, checks } = await checksOf([], {
      env: {
        DATABASE_URL: 'postgres://u:secreto@127.0.0.1:1/d',
        WEBHOOK_GATEWAY_URL: away,
        GRAPH_BASE_URL: away,
        EVENTSTORE_URL: 'esdb://127.0.0.1:1?tls=false',
      },
    })
    expect(code).toBe(1)
    const state = (check: string) => checks.find((one) => one.check === check)?.state
    for (const check of ['database', 'webhook-gateway', 'webhook handshake', 'graph', 'archive'])
      expect([check, state(check)]).toEqual([check, 'fail'])
    for (const check of ['nats', 'topology', 'sealed secrets', 'projector'])
      expect([check, state(check)]).toEqual([check, 'ok'])
    expect(checks.filter((one) => one.state === 'fail' && one.todo === undefined)).toEqual([])
  })

  test('finds ports that are taken, and those that are none', async () => {
    const { projector } = running.runtime.urls as { projector: string }
    const taken = new URL(projector).port
    const { code, checks } = await checksOf([], {
      env: { DATA_DIR: '/nowhere', SENDER_PORT: taken, MEDIA_PORT: 'none', GRAPH_BASE_URL: projector },
    })
    expect(code).toBe(1)
    expect(
      checks.filter(({ check, state }) => check === 'ports' && state === 'fail').map(({ detail }) => detail),
    ).toEqual([`${taken} (SENDER_PORT) is taken by another program`, 'MEDIA_PORT is no port'])
  })

  test('looks at this machine where nothing runs', async () => {
    const { code, checks } = await checksOf([], {
      env: { DATA_DIR: '/nowhere', GRAPH_BASE_URL: running.runtime.urls.graph_simulator as string },
    })
    expect(checks.find(({ check }) => check === 'nats')).toMatchObject({ state: 'skipped' })
    expect(checks.find(({ check }) => check === 'nats-server')).toMatchObject({ state: 'ok' })
    expect(code).toBe(0)
  })
})

test('no secret was ever printed', () => {
  const made = JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8'))
  const secrets = [
    ...[made.admin_token, made.secrets_keys, made.secrets_keys.split(':')[1], made.postgres_password],
    ...Object.values(made.nats_passwords as Record<string, string>),
    ...Object.values(made.demo as Record<string, string>),
    'secreto',
  ]
  const all = printed.join('\n')
  expect(secrets.length).toBeGreaterThan(10)
  expect(secrets.filter((secret) => all.includes(secret))).toEqual([])
})
