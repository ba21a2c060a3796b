import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** Beside `src` and `dist`, hence the same from both; written by scripts/write-api-descriptions.mjs. */
const FOLDER = fileURLToPath(new URL('../../api-docs', import.meta.url))

/** Whatever the page's scripts try, the browser asks nobody but us. The page sets styles by itself. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * `/docs`: what can be asked, as a page, open to everybody since it holds nothing of anybody. All of it comes from here: a
 * machine without a way out shows it as well.
 */
export const apiDocsRoutes = (app: FastifyInstance): void => {
  const asyncapi = readFileSync(join(FOLDER, 'asyncapi.yaml'))
  app.register(async (scope) => {
    await scope.register(swagger, {
      mode: 'static',
      specification: { path: join(FOLDER, 'openapi.yaml'), baseDir: FOLDER },
    })
    scope.get('/docs/asyncapi.yaml', (_request, reply) =>
      reply
        .type('application/yaml')
        .header('content-disposition', 'attachment; filename="asyncapi.yaml"')
        .header('x-content-type-options', 'nosniff')
        .send(asyncapi),
    )
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: CONTENT_SECURITY_POLICY,
      theme: { title: 'CloudAPI2' },
      uiConfig: {
        layout: 'BaseLayout',
        docExpansion: 'list',
        defaultModelsExpandDepth: 0,
        validatorUrl: null,
        // Some of the routes are other services', which the policy above does not let the page call.
        supportedSubmitMethods: [],
      },
    })
  })
}
