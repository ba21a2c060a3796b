import { fastify } from 'fastify'
import { afterAll, expect, test } from 'vitest'
import { apiDocsRoutes } from './api-docs.routes.ts'

const app = fastify()
apiDocsRoutes(app)
afterAll(() => app.close())
const get = (url: string) => app.inject({ method: 'GET', url })

test('the page and everything it loads come from here', async () => {
  const page = await get('/docs')
  expect(page.statusCode).toBe(200)
  expect(page.headers['content-type']).toContain('text/html')
  const addresses = [...page.body.matchAll(/\b(?:src|href)="([^"]+)"/g)].map(([, address]) => address as string)
  expect(addresses.length).toBeGreaterThanOrEqual(6)
  for (const address of addresses) {
    expect(address).toMatch(/^\/docs\/static\//)
    const asset = await get(address)
    expect(asset.statusCode, address).toBe(200)
    if (address.endsWith('.css')) expect(asset.body).not.toMatch(/@import|url\(\s*["']?(?!["']?data:)/)
  }
  expect(page.body).not.toMatch(/https?:/)
})

test('the browser is told to ask nobody else', async () => {
  for (const url of ['/docs', '/docs/static/swagger-ui-bundle.js', '/docs/static/swagger-initializer.js']) {
    const policy = (await get(url)).headers['content-security-policy'] as string
    const sources = policy.split(';').flatMap((directive) => directive.trim().split(' ').slice(1))
    expect(new Set(sources)).toEqual(new Set(["'none'", "'self'", "'unsafe-inline'", 'data:']))
    expect(policy).toContain("script-src 'self';")
  }
})

test('the page reads the description from here, and has nobody else check it', async () => {
  const { body } = await get('/docs/static/swagger-initializer.js')
  expect(body).toContain("url: resolveUrl('./json')")
  expect(body).toMatch(/"validatorUrl":\s*null/)
  expect(body.replaceAll('https://stackoverflow.com/a/77855838/492336', '')).not.toMatch(/https?:/)
})

test('the description can be had as JSON and as YAML', async () => {
  const description = (await get('/docs/json')).json()
  expect(description).toMatchObject({ openapi: '3.1.1', paths: { '/send_text_direct': { post: {} } } })
  expect((await get('/docs/yaml')).body).toContain('/send_text_direct:')
})

test('what goes over NATS can be downloaded', async () => {
  const file = await get('/docs/asyncapi.yaml')
  expect(file.headers['content-disposition']).toContain('asyncapi.yaml')
  expect(file.body).toContain('asyncapi: 3.0.0')
})
