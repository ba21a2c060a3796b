import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { encodeEvent, newEvent, SendCommand, SendOutcome, subjects } from '@cloudapi2/contracts'
import { createMetrics } from '@cloudapi2/service-kit'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { documents } from '../scripts/api-descriptions/documents.ts'
import { everyServiceOperations } from '../scripts/api-descriptions/every-service.ts'
import { OPERATIONS, type Service } from '../scripts/api-descriptions/openapi.ts'
import type { Operation } from '../scripts/api-descriptions/operation.ts'
import { beforeRouting } from '../scripts/api-descriptions/webhook-gateway.ts'

const ROOT = new URL('..', import.meta.url)

/** Every route that an application registers while it is built. */
const registered: RouteOptions[] = []
vi.mock('fastify', async (original) => {
  const real = await original<typeof import('fastify')>()
  return {
    ...real,
    fastify: (...options: never[]) => {
      const app = real.fastify(...options)
      app.addHook('onRoute', (route) => void registered.push(route))
      return app
    },
  }
})

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

const apps: FastifyInstance[] = []
afterAll(() => Promise.all(apps.map((app) => app.close())))

/** `GET /companies/{}/messages`: parameters by their places, whatever they are called. */
const routesOf = async (service: string): Promise<string[]> => {
  const { buildApp } = (await import(`../services/${service}/src/app.ts`)) as {
    buildApp: (deps: unknown) => FastifyInstance
  }
  registered.length = 0
  const app = buildApp({ log: quiet, tenants: {}, metrics: createMetrics(service), metaAppSecrets: [] })
  apps.push(app)
  await app.ready()
  return [
    ...new Set(
      registered
        .flatMap(({ method, url }) =>
          [method].flat().map((each) => `${each} ${bare(url.replace(/:(\w+)(\([^)]*\))?/g, '{$1}'))}`),
        )
        // GET brings HEAD; a star is what stands for all that is not there; the rest are files of the page.
        .filter((route) => !route.startsWith('HEAD ') && !route.includes('*') && !route.includes('/docs/static/')),
    ),
  ]
}
const bare = (path: string): string => path.replace(/\{\w+\}/g, '{}').replace(/(.)\/$/, '$1')
const describedRoutes = (operations: readonly Pick<Operation, 'method' | 'path'>[]): string[] =>
  operations.map(({ method, path }) => `${method.toUpperCase()} ${bare(path)}`)

describe('docs/openapi.yaml', () => {
  test.each(Object.keys(OPERATIONS) as Service[])('has every route of %s, and no other', async (service) => {
    const isBefore = (route: string) => service === 'webhook-gateway' && describedRoutes(beforeRouting).includes(route)
    const expected = [...describedRoutes(OPERATIONS[service]), ...describedRoutes(everyServiceOperations)]
    expect((await routesOf(service)).sort()).toEqual(expected.filter((route) => !isBefore(route)).sort())
  })

  test('has what the gateway answers before the framework sees it', async () => {
    const { webhookPosts } = await import('../services/webhook-gateway/src/webhook/webhook.routes.ts')
    const received = vi.fn()
    const answers = webhookPosts({ tenants: { get: () => undefined }, metaAppSecrets: [] } as never, received)
    const paths = ['/a9242a58-4f5d-494c-8a74-45f8cee150e6/webhook', '/webhook', '/a/b/webhook', '/companies']
    expect(paths.map((url) => answers({ method: 'POST', url } as never, {} as never))).toEqual([
      true,
      true,
      false,
      false,
    ])
    expect(beforeRouting).toHaveLength(received.mock.calls.length)
  })
})

type Json = Record<string, unknown>
const files = documents()
const openapi = parse(files['docs/openapi.yaml'] as string) as Json
const asyncapi = parse(files['docs/asyncapi.yaml'] as string) as Json

test.each(Object.keys(files))(
  '%s is what the sources say (node scripts/write-api-descriptions.mjs --write)',
  (path) => {
    expect(readFileSync(fileURLToPath(new URL(path, ROOT)), 'utf8')).toBe(files[path])
  },
)

const everyObject = function* (value: unknown): Generator<Json> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield value as Json
  for (const inner of Object.values(value)) yield* everyObject(inner)
}

const at = (document: Json, pointer: string): unknown =>
  pointer
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>((inside, name) => (inside as Json | undefined)?.[name.replaceAll('~1', '/')], document)

describe.each([
  ['docs/openapi.yaml', openapi],
  ['docs/asyncapi.yaml', asyncapi],
])('%s', (_path, document) => {
  test('refers to nothing that is not there', () => {
    const references = [...everyObject(document)].flatMap(({ $ref }) => (typeof $ref === 'string' ? [$ref] : []))
    expect(references.length).toBeGreaterThan(50)
    expect(references.filter((reference) => at(document, reference) === undefined)).toEqual([])
  })

  test('holds schemas that a validator takes', () => {
    const { schemas } = document.components as { schemas: Json }
    const ajv = validatorOf(document)
    for (const name of Object.keys(schemas))
      expect(ajv.getSchema(`doc#/components/schemas/${name}`), name).toBeDefined()
  })
})

/** Knows the schemas of a document by where they are in it. */
const validatorOf = (document: Json) => {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema({ $id: 'doc', ...document }, 'doc')
  return ajv
}

describe('OpenAPI', () => {
  const operations = Object.entries(openapi.paths as Record<string, Record<string, Json>>).flatMap(([path, methods]) =>
    Object.values(methods).map((operation) => ({ path, operation })),
  )

  test('an operation has a name of its own, a known tag, and an answer', () => {
    const names = operations.map(({ operation }) => operation.operationId)
    expect(new Set(names).size).toBe(names.length)
    const tags = (openapi.tags as { name: string }[]).map(({ name }) => name)
    for (const { path, operation } of operations) {
      expect(tags, path).toContain((operation.tags as string[])[0])
      expect(
        Object.keys(operation.responses as Json).some((status) => /^2..$/.test(status)),
        path,
      ).toBe(true)
      for (const requirement of operation.security as Json[])
        for (const scheme of Object.keys(requirement))
          expect(openapi).toHaveProperty(['components', 'securitySchemes', scheme])
    }
  })

  test('the parameters of a path are those it names', () => {
    for (const { path, operation } of operations) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const parameters = (operation.parameters ?? []) as { name: string; in: string; required?: boolean }[]
      const inPath = parameters.filter((parameter) => parameter.in === 'path')
      expect(inPath.map(({ name }) => name).sort(), path).toEqual(named.sort())
      expect(inPath.every(({ required }) => required === true)).toBe(true)
      expect(new Set(parameters.map((parameter) => `${parameter.in} ${parameter.name}`)).size).toBe(parameters.length)
    }
  })

  test('every example is one that its schema takes', () => {
    const ajv = validatorOf(openapi)
    let examples = 0
    for (const { path, operation } of operations) {
      const content = (operation.requestBody as { content?: Record<string, Json> } | undefined)?.content ?? {}
      for (const [type, { schema, examples: named }] of Object.entries(content)) {
        const method = Object.entries((openapi.paths as Record<string, Json>)[path] as Json).find(
          ([, o]) => o === operation,
        )
        const place = ['paths', path, method?.[0] as string, 'requestBody', 'content', type, 'schema']
        const pointer = place
          .map((name) => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1')))
          .join('/')
        expect(schema).toBeDefined()
        for (const { value } of Object.values((named ?? {}) as Record<string, { value: unknown }>)) {
          expect(ajv.validate(`doc#/${pointer}`, value), `${path}: ${ajv.errorsText()}`).toBe(true)
          examples += 1
        }
      }
    }
    expect(examples).toBeGreaterThan(5)
  })

  test('every code it speaks of is explained', () => {
    const errors = readFileSync(fileURLToPath(new URL('docs/errors.md', ROOT)), 'utf8')
    const codes = operations.flatMap(({ operation }) =>
      Object.values(operation.responses as Record<string, { description: string }>).flatMap(({ description }) =>
        [...description.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, code]) => code as string),
      ),
    )
    expect([...new Set(codes)].filter((code) => !errors.includes(`| \`${code}\``))).toEqual([])
  })
})

describe('AsyncAPI', () => {
  const ajv = validatorOf(asyncapi)
  const messages = (asyncapi.components as { messages: Record<string, Json> }).messages

  test('its examples are commands and outcomes', () => {
    const [command] = (messages.sendCommand?.examples ?? []) as { payload: unknown }[]
    expect(SendCommand.safeParse(command?.payload).success).toBe(true)
    expect(ajv.validate('doc#/components/schemas/SendCommand', command?.payload)).toBe(true)
    const [outcome] = (messages.sendOutcome?.examples ?? []) as { payload: unknown }[]
    expect(SendOutcome.safeParse(outcome?.payload).success).toBe(true)
  })

  test('a stored event is what it says, and one without its data is not', () => {
    const event = newEvent({
      id: '0b6f3c52-1f0e-5f6d-8b1e-2b1f0c6d7e8f',
      source: '/webhook-gateway',
      type: 'status.updated',
      subject: 'wamid.A',
      time: '2026-11-24T08:15:30.000Z',
      companyId: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
      channel: 'whatsapp',
      recordedTime: '2026-11-24T08:15:31.000Z',
      data: { message_id: 'wamid.A', status: 'read', raw: {}, added_later: true },
    })
    const stored = JSON.parse(encodeEvent(event).toString())
    const payload = 'doc#/components/messages/statusUpdated/payload'
    expect(ajv.validate(payload, stored), ajv.errorsText()).toBe(true)
    expect(ajv.validate(payload, { ...stored, data: {} })).toBe(false)
    expect(ajv.validate('doc#/components/messages/messageCreated/payload', stored)).toBe(false)
    const { address } = (asyncapi.channels as Record<string, { address: string }>).statusUpdated as { address: string }
    const filled = address.replace('{company_id}', stored.companyid).replace('{channel}', stored.channel)
    expect(filled).toBe(subjects.event(stored.companyid, stored.channel, stored.type))
  })

  test('every channel has a message, and is used by an operation', () => {
    const used = Object.values(asyncapi.operations as Record<string, Json>).flatMap(({ channel, reply }) =>
      [channel, (reply as Json | undefined)?.channel].flatMap((one) => (one === undefined ? [] : [(one as Json).$ref])),
    )
    expect(used.sort()).toEqual(
      Object.keys(asyncapi.channels as Json)
        .map((name) => `#/channels/${name}`)
        .sort(),
    )
  })
})
