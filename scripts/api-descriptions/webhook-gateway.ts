import { companyInPath, type Method, ok, operationsOf, type Parameter, problems } from './operation.ts'
import { answer, type Schema, string } from './schema.ts'

const of = operationsOf('webhook-gateway', [])

const hub = (name: string, description: string): Parameter => ({
  name: `hub.${name}`,
  in: 'query',
  required: true,
  description,
  schema: name === 'mode' ? { const: 'subscribe' } : string,
})
const handshake = [
  hub('mode', 'Meta sends nothing else'),
  hub('verify_token', 'The one that Meta was given'),
  hub('challenge', 'To be sent back'),
]
const challenge: Schema = { description: 'The challenge', content: { 'text/plain': { schema: string } } }

const webhooks = (path: string, whose: string, id: string, parameters: Parameter[], absent: readonly string[]) => [
  of('get', path, {
    id: `verify${id}`,
    summary: `Meta’s handshake, for the webhook of ${whose}`,
    parameters: [...parameters, ...handshake],
    responses: {
      200: challenge,
      ...problems({ 403: ['VERIFY_TOKEN_INVALID'], 404: absent, 503: ['TENANTS_NOT_LOADED'] }),
    },
  }),
  of('post', path, {
    id: `receive${id}`,
    summary: `What Meta has to tell, for ${whose}`,
    description: 'The 200 is a receipt: every event of the body is stored. Anything else makes Meta repeat it.',
    security: [{ metaSignature: [] }],
    parameters,
    body: {
      required: true,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            description: 'Meta’s own: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components',
            properties: { object: string, entry: { type: 'array', items: { type: 'object' } } },
          },
        },
      },
    },
    responses: {
      200: ok('Stored; or of another product of Meta’s, and ignored', answer({ status: string })),
      ...problems({
        400: ['INVALID_JSON'],
        401: ['SIGNATURE_INVALID'],
        404: absent,
        413: ['BODY_TOO_LARGE'],
        503: ['NOT_STORED', 'OVERLOADED', 'TENANTS_NOT_LOADED'],
      }),
    },
  }),
]

/** Answered before the framework sees them: for each webhook that Meta sends. */
export const beforeRouting: { method: Method; path: string }[] = [
  { method: 'post', path: '/{company_id}/webhook' },
  { method: 'post', path: '/webhook' },
]

export const webhookGatewayOperations = [
  ...webhooks('/{company_id}/webhook', 'one company', 'CompanyWebhook', [companyInPath], ['UNKNOWN_COMPANY']),
  ...webhooks('/webhook', 'an app in front of several companies', 'AppWebhook', [], ['APP_WEBHOOK_NOT_CONFIGURED']),
]
