import { SendError, SendOutcome } from '@cloudapi2/contracts'
import { everyServiceOperations } from './every-service.ts'
import { mediaOperations } from './media.ts'
import { metaApiOperations, metaApiSchemas } from './meta-api.ts'
import type { Operation } from './operation.ts'
import { projectorOperations, projectorSchemas } from './projector.ts'
import { answer, integer, listOf, ref, type Schema, schemaOf, string } from './schema.ts'
import { senderOperations, senderSchemas } from './sender.ts'
import { tenantConfigOperations, tenantConfigSchemas } from './tenant-config.ts'
import { webhookGatewayOperations } from './webhook-gateway.ts'

/** The operations of each service; a service's own name is the tag they stand under. */
export const OPERATIONS = {
  sender: [...senderOperations, ...metaApiOperations],
  projector: projectorOperations,
  media: mediaOperations,
  'tenant-config': tenantConfigOperations,
  'webhook-gateway': webhookGatewayOperations,
} satisfies Record<string, Operation[]>

export type Service = keyof typeof OPERATIONS

/** As `npm start` has them, where nobody says otherwise. */
const SERVERS: Record<Service, string> = {
  'webhook-gateway': 'http://127.0.0.1:8080',
  sender: 'http://127.0.0.1:8081',
  'tenant-config': 'http://127.0.0.1:8082',
  projector: 'http://127.0.0.1:8083',
  media: 'http://127.0.0.1:8084',
}

const TAGS = [
  { name: 'sender', description: 'Sending, how it stands, and what was given up. An API key with the scope `send`' },
  {
    name: 'sender: Graph API',
    description: 'For software that speaks to Meta: another base URL, and an API key as its token',
  },
  { name: 'projector', description: 'Messages and commands, to read. An API key with the scope `read`' },
  { name: 'media', description: 'The files that messages carried. An API key with the scope `read`' },
  { name: 'tenant-config', description: 'Companies and their API keys, for the operator' },
  { name: 'webhook-gateway', description: 'For Meta' },
  { name: 'every service', description: 'Probes and metrics' },
]

const paths = (): Schema => {
  const result: Record<string, Record<string, Schema>> = {}
  for (const [service, operations] of Object.entries(OPERATIONS) as [Service, Operation[]][]) {
    const servers = [{ url: SERVERS[service], description: service }]
    for (const { method, path, operation } of operations) {
      result[path] ??= {}
      ;(result[path] as Record<string, Schema>)[method] = { ...operation, servers }
    }
  }
  const servers = Object.entries(SERVERS).map(([description, url]) => ({ url, description }))
  for (const { method, path, operation } of everyServiceOperations)
    result[path] = { [method]: { ...operation, servers } }
  return result
}

/** The HTTP routes of all services, as OpenAPI 3.1. */
export const openapi = (): Schema => {
  const [accepted, queued] = SendOutcome.options
  return {
    openapi: '3.1.1',
    info: {
      title: 'CloudAPI2',
      version: '1',
      summary: 'Between the software of companies and the WhatsApp Business Cloud API',
      description:
        'Every error is a problem (RFC 9457) with a stable `code`; docs/errors.md has a row for each. What goes over NATS is in asyncapi.yaml, which the sender has under /docs/asyncapi.yaml.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    externalDocs: { url: '/docs/asyncapi.yaml', description: 'The same for NATS (AsyncAPI)' },
    servers: Object.entries(SERVERS).map(([description, url]) => ({ url, description })),
    tags: TAGS,
    paths: paths(),
    components: {
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key of the company' },
        adminToken: { type: 'http', scheme: 'bearer', description: '`ADMIN_TOKEN`, for the operator of all companies' },
        metaSignature: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Hub-Signature-256',
          description: '`sha256=` and the HMAC of the body under the app secret, in hex',
        },
      },
      schemas: {
        Problem: {
          ...answer(
            {
              type: string,
              title: string,
              status: integer,
              detail: string,
              code: { type: ['string', 'integer'], description: 'Ours, or the number that the channel gave' },
              action: { ...string, description: 'What to do about it' },
              fields: listOf(ref('InvalidField')),
              command_id: string,
            },
            ['detail', 'action', 'fields', 'command_id'],
          ),
          description: 'RFC 9457. Never a secret, a message text or a phone number',
        },
        InvalidField: answer({
          path: { ...string, description: 'Such as `message.text`' },
          message: { ...string, description: 'What was expected, never what was found' },
        }),
        SendError: schemaOf(SendError, 'output'),
        Accepted: schemaOf(accepted, 'output'),
        Queued: withError(schemaOf(queued, 'output')),
        ...senderSchemas,
        ...metaApiSchemas,
        ...projectorSchemas,
        ...tenantConfigSchemas,
      },
    },
  }
}

const withError = (schema: Schema): Schema => ({
  ...schema,
  properties: { ...(schema.properties as Schema), error: ref('SendError') },
})
