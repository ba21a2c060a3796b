import { Problem } from '@cloudapi2/service-kit'
import { InvalidSettings } from '@cloudapi2/tenants'
import { BroadcastFailed } from '../broadcast/broadcast.handler.ts'
import { DatabaseUnavailable } from '../database/database.client.ts'

const RETRY_AFTER = { 'Retry-After': '2' }

export const unauthorized = (): Problem =>
  new Problem({
    status: 401,
    code: 'UNAUTHENTICATED',
    title: 'The admin token is missing or wrong',
    detail: 'Send it as Authorization: Bearer <token>.',
    headers: { 'WWW-Authenticate': 'Bearer realm="tenant-config"' },
  })

export const companyNotFound = (): Problem =>
  new Problem({ status: 404, code: 'COMPANY_NOT_FOUND', title: 'There is no company of this id' })

export const apiKeyNotFound = (): Problem =>
  new Problem({ status: 404, code: 'API_KEY_NOT_FOUND', title: 'The company has no valid API key of this id' })

export const companyUnusable = (): Problem =>
  new Problem({
    status: 409,
    code: 'COMPANY_UNUSABLE',
    title: 'The services do not know the company, because its settings have problems',
    detail: 'GET the company to see its problems, and mend them first.',
  })

export const apiKeyNotMade = (cause: BroadcastFailed): Problem =>
  new Problem({
    status: 503,
    code: cause.code,
    title: 'The services could not be told of the change',
    detail: 'No key was made. Try again.',
    headers: RETRY_AFTER,
    cause,
  })

/** What the admin is told of an error. One that is not ours to explain stays as it is, and becomes a 500. */
export const problemOf = (error: unknown): unknown => {
  if (error instanceof InvalidSettings)
    return new Problem({
      status: 400,
      code: error.code,
      title: 'The settings are not valid',
      detail: error.fields.map(({ path, message }) => `${path}: ${message}`).join('; '),
      extensions: { fields: error.fields },
    })
  if (error instanceof DatabaseUnavailable)
    return new Problem({
      status: 503,
      code: error.code,
      title: 'The database is not available',
      detail: 'Nothing was changed, or it is not known whether it was: repeating the request is safe.',
      headers: RETRY_AFTER,
      cause: error,
    })
  if (error instanceof BroadcastFailed)
    return new Problem({
      status: 503,
      code: error.code,
      title: 'The services could not be told of the change',
      detail:
        'The change is stored, and the services are told of it by themselves as soon as they can be. Repeating the request is safe.',
      headers: RETRY_AFTER,
      cause: error,
    })
  return error
}
