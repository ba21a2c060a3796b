import { API_KEY_SCOPES } from '@cloudapi2/tenants'
import { ListQuery, NewApiKey, Patch, Put } from '../../services/tenant-config/src/companies/requests.ts'
import { companyInPath, empty, jsonBody, ok, operationsOf, problems, queryOf, traceparent } from './operation.ts'
import { answer, dateTime, integer, listOf, ref, type Schema, schemaOf, string, uuid } from './schema.ts'

const of = operationsOf('tenant-config', [{ adminToken: [] }])

const away = { 503: ['DATABASE_UNAVAILABLE', 'BROADCAST_FAILED'] }
const asked = { 400: ['INVALID_REQUEST'], 401: ['UNAUTHENTICATED'] }
const written = {
  400: ['INVALID_REQUEST', 'INVALID_SETTINGS', 'INVALID_JSON'],
  401: ['UNAUTHENTICATED'],
  413: ['BODY_TOO_LARGE'],
  415: ['UNSUPPORTED_MEDIA_TYPE'],
}
const example = {
  name: 'Bakery',
  custom_properties: { WHATSAPP_PHONE_NUMBER_ID: '106540352242922', DEFAULT_COUNTRY: 'DE' },
}

export const tenantConfigOperations = [
  of('get', '/companies', {
    id: 'listCompanies',
    summary: 'All companies, secrets masked',
    parameters: queryOf(ListQuery, {
      after: { description: 'The `next_after` of the page before', ...uuid },
      limit: { ...integer, minimum: 1, maximum: 1_000, default: 1_000 },
    }),
    responses: {
      200: ok('A page', answer({ companies: listOf(ref('Company')), next_after: uuid }, ['next_after'])),
      ...problems({ ...asked, 503: ['DATABASE_UNAVAILABLE'] }),
    },
  }),
  of('get', '/companies/{company_id}', {
    id: 'getCompany',
    summary: 'One company, secrets masked',
    parameters: [companyInPath],
    responses: {
      200: ok('The company', ref('Company')),
      ...problems({ ...asked, 404: ['COMPANY_NOT_FOUND'], 503: ['DATABASE_UNAVAILABLE'] }),
    },
  }),
  of('put', '/companies/{company_id}', {
    id: 'putCompany',
    summary: 'Create a company, or replace its settings',
    description: 'The answer comes when the services can see the change.',
    parameters: [companyInPath, traceparent],
    body: jsonBody(schemaOf(Put), { example }),
    responses: {
      200: ok('Replaced', ref('Company')),
      201: ok('Created', ref('Company')),
      ...problems({ ...written, ...away }),
    },
  }),
  of('patch', '/companies/{company_id}', {
    id: 'patchCompany',
    summary: 'Change some settings (RFC 7396: null removes)',
    parameters: [companyInPath, traceparent],
    body: jsonBody(schemaOf(Patch), { example: { custom_properties: { DEFAULT_COUNTRY: 'DE' } } }, [
      'application/merge-patch+json',
    ]),
    responses: {
      200: ok('Changed', ref('Company')),
      ...problems({ ...written, 404: ['COMPANY_NOT_FOUND'], ...away }),
    },
  }),
  of('delete', '/companies/{company_id}', {
    id: 'removeCompany',
    summary: 'Remove a company; its messages and events stay',
    parameters: [companyInPath, traceparent],
    responses: {
      204: empty('Its webhooks are answered with 404 from now on, and its API keys open nothing'),
      ...problems({ ...asked, 404: ['COMPANY_NOT_FOUND'], ...away }),
    },
  }),
  of('post', '/companies/{company_id}/api-keys', {
    id: 'makeApiKey',
    summary: 'Make an API key; this answer is the only one that shows it',
    parameters: [companyInPath, traceparent],
    body: jsonBody(schemaOf(NewApiKey), { example: { name: 'billing', scopes: ['send', 'read'] } }),
    responses: {
      201: ok('The key', ref('NewApiKey')),
      ...problems({
        ...written,
        400: ['INVALID_REQUEST', 'INVALID_JSON'],
        404: ['COMPANY_NOT_FOUND'],
        409: ['COMPANY_UNUSABLE'],
        ...away,
      }),
    },
  }),
  of('get', '/companies/{company_id}/api-keys', {
    id: 'listApiKeys',
    summary: 'The valid keys of a company, without the keys themselves',
    parameters: [companyInPath],
    responses: {
      200: ok('All of them', answer({ api_keys: listOf(ref('ApiKey')) })),
      ...problems({ ...asked, 404: ['COMPANY_NOT_FOUND'], 503: ['DATABASE_UNAVAILABLE'] }),
    },
  }),
  of('delete', '/companies/{company_id}/api-keys/{key_id}', {
    id: 'revokeApiKey',
    summary: 'Revoke an API key',
    parameters: [companyInPath, { name: 'key_id', in: 'path', required: true, schema: uuid }, traceparent],
    responses: {
      204: empty('It opens nothing from now on'),
      ...problems({ ...asked, 404: ['API_KEY_NOT_FOUND'], ...away }),
    },
  }),
]

const apiKey = {
  id: uuid,
  name: string,
  scopes: listOf({ type: 'string', enum: [...API_KEY_SCOPES] }),
  created_at: dateTime,
}

export const tenantConfigSchemas: Record<string, Schema> = {
  Company: answer(
    {
      id: uuid,
      name: string,
      custom_properties: {
        type: 'object',
        description: 'A secret is `{"set":true,"last4":…,"fingerprint":…}`; sent back like that, it stays as it is',
      },
      problems: { ...listOf(ref('InvalidField')), description: 'What cannot be used' },
      created_at: dateTime,
      updated_at: dateTime,
    },
    ['problems'],
  ),
  ApiKey: answer(apiKey),
  NewApiKey: answer({ ...apiKey, key: string }),
}
